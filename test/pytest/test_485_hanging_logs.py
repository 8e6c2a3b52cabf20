"""A log whose reader hangs holds nobody up but its own writer: WebSockets go on, and the child ends.

The logs are pipes that nobody reads. Under worker and prefork each WebSocket has a thread to itself, which waits for its
own line as that of a page does; for lines about frames, see suite 486.
"""

from contextlib import ExitStack

import pytest

from harness.conf import ECHO, example, location, plugin
from harness.pipe import Pipe
from harness.rawclient import BINARY
from harness.waiting import eventually

MPMS = ("event",)
THREADS = 3
WORKERS = 24


@pytest.fixture
def hung(make_httpd, mpm):
    """A server with a virtual host whose access log and error log are pipes that nobody reads."""
    pipes = []

    def configuration(server):
        for name in ("access.pipe", "error.pipe"):
            path = server.directory / name
            if not path.exists():
                pipes.append(Pipe(path))
        padding = "x" * 500
        return f"""
WebSocketThreads {THREADS} {THREADS}
{location("/echo", example(ECHO))}
{location("/scripted", plugin("scripted"))}
{server.listen(server.spare_port)}
<VirtualHost *:{server.spare_port}>
  CustomLog "{server.directory}/access.pipe" "%h {padding}"
</VirtualHost>
{server.listen(server.tls_port)}
<VirtualHost *:{server.tls_port}>
  ErrorLog "{server.directory}/error.pipe"
  LogLevel websocket:info
</VirtualHost>
"""

    server = make_httpd(mpm, configuration, workers=WORKERS).start()
    yield server, *pipes
    for pipe in pipes:
        pipe.close()


def talk(clients):
    for client in clients:
        client.echo("still there")


def test_ws_485_01_an_access_log_that_hangs_silences_nobody(hung):
    server, access, _ = hung
    with ExitStack() as stack:
        clients = [
            stack.enter_context(server.open("/echo", port=port))
            for port in (server.port, server.spare_port)
            for _ in range(4)
        ]
        # Many more than there are threads.
        for _ in range(40):
            with server.open("/echo", port=server.spare_port) as client:
                # The end of the connection does not wait for the log.
                client.close_properly()
            talk(clients)
        eventually(access.is_full, "the access log to hang")
        assert server.ask("/index.html").status == 200
        talk(clients)
    # With the log still hanging.
    server.stop()


def test_ws_485_02_an_error_log_that_hangs_silences_nobody(hung):
    server, _, errors = hung
    with ExitStack() as stack:
        clients = [stack.enter_context(server.open("/echo")) for _ in range(4)]
        talker = stack.enter_context(server.open("/scripted", port=server.tls_port))
        for _ in range(40):
            talker.send_frame(BINARY, "log 6 " + "x" * 1000)
            with server.open("/echo", port=server.tls_port) as client:
                client.close_properly()
            talk(clients)
        eventually(errors.is_full, "the error log to hang")
        # What the plugin logs makes its callback wait as little.
        talker.send_frame(BINARY, "send text done")
        assert talker.receive_message().text == "done"

        def is_complete():
            text = errors.read()
            return text.count(b"WS0302: ") == text.count(b"WS0402: xxx") == 40

        eventually(is_complete, "the lines of each WebSocket, once the log is read")
        text = errors.text
        assert text.count(b"[client 127.0.0.1:") == text.count(b"[websocket:info]")


def test_ws_485_03_lines_that_find_no_room_are_counted_and_told(hung):
    server, _, errors = hung
    most = 8192
    with server.open("/scripted", port=server.tls_port) as talker, server.open("/echo") as beside:
        script = "; ".join(["log 6 " + "x" * 50] * 50)
        for _ in range(most // 50 + 20):
            talker.send_frame(BINARY, script)
        talker.send_frame(BINARY, "send text done")
        assert talker.receive_message().text == "done"
        beside.echo("still there")
        eventually(errors.is_full, "the error log to hang")

        def is_told():
            errors.read()
            return server.error_log.find(r"WS0009: .* \d+ lines of WebSockets are missing")

        server.error_log.expect("WS0009: ")
        eventually(is_told, "the number of lines that are missing")
        talker.send_frame(BINARY, "log 6 the last")
        eventually(lambda: b"the last" in errors.read(), "lines after the gap")
