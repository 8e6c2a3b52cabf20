"""Peers that are gone without a packet: a cable pulled, a machine switched off, a NAT that forgot.

Server and clients share a network namespace, in which the loopback interface is shut down: no end of
a connection is told anything, and the server's packets reach nobody. That needs root (CAP_SYS_ADMIN)
and iproute2's `ip`; where they are missing, the suite is left out, and says so.
"""

import pytest

from harness.conf import location, plugin
from harness.hosts import TLS_MODULES, tls_host
from harness.namespace import Namespace
from harness.processes import connections
from harness.rawclient import BINARY, PING, PONG, TEXT, frame
from harness.waiting import eventually

_WHY_NOT = Namespace.why_not()
pytestmark = pytest.mark.skipif(_WHY_NOT is not None, reason=f"no network namespace: {_WHY_NOT}")

DEAD = r"WS0302: .*no sign of life in WebSocketPongTimeout"
CLIENTS = 12
MEGABYTE = 1 << 20
HALF = 8 * MEGABYTE
# glibc keeps large blocks of memory that were freed once, unless it is told from which size not to.
ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": str(128 << 10)}


def configuration(server):
    return (
        # Every client of the crowd may hold half of a message of 16 MiB.
        "WebSocketMessageMemory 1G\n"
        # Who of the crowd has sent its half shows signs of life until it is complete.
        + location("/recorder", plugin("recorder"),
                 "WebSocketPingInterval 4s", "WebSocketPongTimeout 500ms")
        # No pings: only the output that does not move gives the peer away.
        + location("/speaks", plugin("threads"),
                   "WebSocketPingInterval 0", "WebSocketSendTimeout 1s")
        + tls_host(server)
    )


@pytest.fixture
def namespace():
    with Namespace() as namespace:
        yield namespace


@pytest.fixture
def server(namespace, make_httpd, mpm):
    server = make_httpd(mpm, configuration, modules=TLS_MODULES, workers=CLIENTS + 8,
                        environment=ENVIRONMENT, wrapper=namespace.wrapper)
    with namespace.entered():
        return server.start()


def show_life(clients):
    """Each sends one byte more of its message."""
    for client in clients:
        client.send(b"\0")


def open_connections(server):
    return sum(connections(pid) for pid in server.children())


def test_ws_435_01_dead_peers_are_noticed_told_to_the_plugin_and_freed(namespace, server):
    recorder = server.recorder()
    context = server.certificates.client_context()
    idle = open_connections(server)
    held = CLIENTS * HALF
    half = frame(BINARY, bytes(2 * HALF))[:HALF]
    begin, rest = half[:100], half[100:]
    clients = []
    try:
        with namespace.entered():
            for number in range(CLIENTS):
                client = server.open("/recorder", tls=context if number % 2 else None)
                clients.append(client)
                client.send(begin)
                show_life(clients)
        # Not earlier: children that have just been started grow by themselves.
        before = server.resident_bytes()
        for client in clients:
            # What a message has brought so far is held until its end.
            client.send(rest)
            show_life(clients)

        def are_held():
            show_life(clients)
            return server.resident_bytes() - before > held * 3 // 4

        eventually(are_held, "the halves of the messages to be held")
        namespace.cut()
        recorder.wait_for_ends(CLIENTS)
        assert len(server.error_log.wait_for(DEAD, count=CLIENTS)) == CLIENTS
        eventually(lambda: open_connections(server) <= idle, "the connections to be freed")
        eventually(lambda: server.resident_bytes() - before < held // 2,
                   "their memory to be freed")
        namespace.mend()
        with namespace.entered(), server.open("/recorder") as newcomer:
            newcomer.send_frame(TEXT, "as before")
            while (received := newcomer.receive_frame()).opcode == PING:
                newcomer.send_frame(PONG, received.payload)
            assert received.text == "as before"
    finally:
        for client in clients:
            client.vanish()


def test_ws_435_02_a_dead_peer_with_output_waiting_is_given_up_in_websocketsendtimeout(
    namespace, server
):
    idle = open_connections(server)
    with namespace.entered():
        client = server.open("/speaks")
    try:
        client.send_frame(TEXT, "start 100000000")
        client.receive_frame()
        namespace.cut()
        server.error_log.wait_for("WS0302: .*took no output in WebSocketSendTimeout")
        eventually(lambda: open_connections(server) <= idle, "the connection to be freed")
    finally:
        client.vanish()


def test_ws_435_03_a_peer_that_is_back_in_time_was_never_gone(namespace, server):
    with namespace.entered():
        client = server.open("/speaks")
    with client:
        client.echo("before")
        namespace.cut()
        client.send_frame(TEXT, "on its way")
        assert not client.has_input()
        namespace.mend()
        assert client.receive_message().text == "on its way"
        client.close_properly()
