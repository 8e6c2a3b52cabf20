"""WebSocketMessageMemory and WebSocketMessageTimeout: what messages that are not finished may take, and for how long.

Memory is the most that all children had at any time (VmHWM), beyond what they had before.
"""

import contextlib
import zlib

import pytest

from harness.conf import ECHO, example, location
from harness.memory import forget_peak_bytes, peak_bytes
from harness.rawclient import BINARY, CLOSE, CONTINUATION, PING, TEXT, frame
from harness.waiting import eventually

WORKERS = 48
# What malloc keeps for later is not what is measured (docs/operations.md, "Memory").
ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}
KILOBYTE, MEGABYTE = 1 << 10, 1 << 20
MESSAGE, MEMORY = 4 * MEGABYTE, 16 * MEGABYTE
GREEDY = 30
# Beside its message a client has a connection and a decompressor; whatever a child takes once is in the sum.
EACH, ONCE = 300 * KILOBYTE, 16 * MEGABYTE
TRY_AGAIN_LATER, POLICY_VIOLATION = 1013, 1008
DEFLATE = [("Sec-WebSocket-Extensions", "permessage-deflate")]


def configuration(server):
    return (
        f"WebSocketMaxMessageSize {MESSAGE}\nWebSocketMessageMemory {MEMORY}\n"
        + location("/echo", example(ECHO))
        + location("/compressed", example(ECHO), "WebSocketCompression On")
        + location("/timed", example(ECHO), "WebSocketMessageTimeout 500ms", "WebSocketCompression On")
        # For who sends one message after the other, also on a busy machine.
        + location("/timed/steadily", "WebSocketMessageTimeout 2s")
        + location("/timed/for-ever", "WebSocketMessageTimeout 0")
    )


def deflated(size):
    compressor = zlib.compressobj(9, wbits=-15)
    return (compressor.compress(bytes(size)) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


BOMB = deflated(MESSAGE - 1)


def compressed(httpd):
    client = httpd.client()
    assert client.upgrade("/compressed", DEFLATE).status == 101
    client.send(frame(BINARY, BOMB, rsv=4, fin=False))
    return client


def uncompressed(httpd):
    client = httpd.open("/echo")
    # Whoever is refused before it has sent all sees the end of the connection.
    with contextlib.suppress(OSError):
        client.send(frame(BINARY, bytes(MESSAGE - 1), fin=False))
    return client


def is_refused(client):
    """Whether the client gets a Close with 1013 for what it has sent; it does not, if a ping is answered."""
    with contextlib.suppress(OSError):
        client.send_frame(PING, b"still there?")
    received = client.receive_frame()
    if received.opcode == CLOSE:
        assert received.close_code == TRY_AGAIN_LATER
        return True
    return False


def peaks(httpd):
    return sum(peak_bytes(pid) for pid in httpd.children())


def echo_in_fragments(httpd, size):
    with httpd.open("/echo") as client:
        client.send(frame(BINARY, bytes(size // 2), fin=False))
        client.send(frame(CONTINUATION, bytes(size - size // 2)))
        assert len(client.receive_message().payload) == size
        client.close_properly()


@pytest.mark.parametrize("act", [compressed, uncompressed], ids=lambda act: act.__name__)
def test_ws_465_01_unfinished_messages_share_their_memory(httpd, error_log, act):
    """Without the directive these would take 120 MiB. Under prefork each has a child, and its memory, to itself."""
    echo_in_fragments(httpd, MESSAGE)
    for pid in httpd.children():
        forget_peak_bytes(pid)
    before = peaks(httpd)
    clients = []
    try:
        clients += (act(httpd) for _ in range(GREEDY))
        refused = sum(is_refused(client) for client in clients)
        if httpd.mpm == "prefork":
            assert refused == 0
            return
        took = peaks(httpd) - before
        allowed = MEMORY + ONCE + GREEDY * EACH
        assert took <= allowed, f"{took >> 10} KiB, more than {allowed >> 10}"
        # Each would fit alone. The first do, and in the end who has more than what is left.
        assert GREEDY - MEMORY // MESSAGE <= refused < GREEDY, refused
        lines = error_log.wait_for("WS0302: .*: a message found no room in WebSocketMessageMemory")
        assert all(line.level == "info" for line in lines)
        # A small one finds its place beside them.
        echo_in_fragments(httpd, 64 * KILOBYTE)
    finally:
        for client in clients:
            client.vanish()

    def has_recovered():
        try:
            echo_in_fragments(httpd, MESSAGE)
        except (AssertionError, OSError, EOFError):
            return False
        return True

    eventually(has_recovered, "room for a large message")


def test_ws_465_02_a_message_that_is_not_finished_in_time_ends_the_connection(httpd, error_log):
    whole = frame(TEXT, "a" * 10)
    for begin, rest in (
        (frame(TEXT, "a", fin=False), b""),
        # The frame is incomplete, not only the message.
        (whole[:-1], whole[-1:]),
        (frame(BINARY, deflated(1000), rsv=4, fin=False), b""),
        # The first is complete, the second is not.
        (frame(TEXT, "a") + frame(TEXT, "b", fin=False), b""),
    ):
        with httpd.client() as client:
            assert client.upgrade("/timed", DEFLATE).status == 101
            client.send(begin)
            while (received := client.receive_frame()).opcode != CLOSE:
                assert received.text == "a"
            assert received.close_code == POLICY_VIOLATION
            client.send(rest)
            client.send_close(POLICY_VIOLATION)
            assert client.receive_to_eof() == b""
    lines = error_log.wait_for("WS0302: .*: closed because of WebSocketMessageTimeout with 1008", count=4)
    assert len(lines) == 4


def test_ws_465_03_a_peer_that_trickles_has_no_more_time(httpd):
    with httpd.open("/timed") as client:
        client.send(frame(TEXT, "x", fin=False))
        pieces = 0
        while not client.has_input():
            client.send(frame(CONTINUATION, "x", fin=False))
            pieces += 1
            assert pieces < 10_000_000
        received = client.receive_frame()
        assert received.opcode == CLOSE and received.close_code == POLICY_VIOLATION
        assert pieces > 1


def test_ws_465_04_messages_that_are_finished_have_all_the_time(httpd):
    """One after the other, each in fragments, until somebody else's has taken too long."""
    with httpd.open("/timed/steadily") as slow, httpd.open("/timed/steadily") as client, \
            httpd.open("/timed/for-ever") as patient:
        patient.send(frame(TEXT, "begin", fin=False))
        slow.send(frame(TEXT, "x", fin=False))
        client.send(frame(TEXT, "x", fin=False))
        for _ in range(1_000_000):
            # At every moment a message is unfinished, but never the same one.
            client.send(frame(CONTINUATION, "y") + frame(TEXT, "x", fin=False))
            assert client.receive_message().text == "xy"
            if slow.has_input():
                break
        assert slow.receive_frame().close_code == POLICY_VIOLATION
        client.send(frame(CONTINUATION, "end"))
        assert client.receive_message().text == "xend"
        patient.send(frame(CONTINUATION, "end"))
        assert patient.receive_message().text == "beginend"


def test_ws_465_05_too_little_memory_for_one_message_is_warned_of(make_httpd, mpm):
    server = make_httpd(mpm, "WebSocketMessageMemory 1M\n" + location("/echo", example(ECHO)))
    server.error_log.expect("WS0105: WebSocketMessageMemory 1048576 has no room for a message of 33554432 bytes, "
                            ".*: 67108864 would be enough")
    server.start()
