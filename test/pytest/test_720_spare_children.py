"""Children that the event MPM finds superfluous, for they look idle, although they hold WebSockets."""

import select

from harness.crowd import TLS, Crowd, configuration
from harness.waiting import eventually

# Elsewhere a WebSocket keeps its worker thread busy, and no child of many looks idle.
MPMS = ("event",)
EACH = 15
WORKERS = 5


def test_ws_720_01_spare_children_retire_although_they_hold_websockets(make_httpd, mpm):
    """Three children or four, two of which have no thread free for a time: each that holds one has
    half a request."""
    text = configuration("2s", "MaxSpareThreads 11")
    server = make_httpd(mpm, text, modules=TLS, workers=WORKERS).start()
    held = []
    try:
        with Crowd(server) as crowd:
            crowd.open(EACH)
            for number in (1, 2):
                for _ in range(WORKERS):
                    held.append(server.client())
                    held[-1].send(b"GET / HT")
                eventually(lambda: len(server.children()) > number, "another child")
                crowd.open(EACH)
            assert len(set(crowd.pids.values())) >= 3
            # Now all look idle, and only two are allowed to.
            for client in held:
                client.vanish()
            waiting = list(crowd.clients)

            def have_retired():
                ready, _, _ = select.select([client.socket for client in waiting], [], [], 0)
                for client in [client for client in waiting if client.socket in ready]:
                    crowd.answer_close(client)
                    waiting.remove(client)
                return len(server.children()) == 2

            eventually(have_retired, "the spare children to retire", 30)
            have_retired()
            assert waiting == crowd.of(*server.children())
            assert len(waiting) < len(crowd.clients)
            crowd.echo(waiting, "undisturbed")
            crowd.leave(waiting)
            crowd.verify()
    finally:
        for client in held:
            client.vanish()
