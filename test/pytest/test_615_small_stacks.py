"""How much stack a WebSocket takes of httpd's threads (ThreadStackSize)."""

import zlib

import pytest

from harness.conf import ECHO, example, location
from harness.rawclient import TEXT, frame

MPMS = ("worker", "event")
# glibc takes a guard page and the thread's own data out of it: with httpd's frames, less than 16 KiB are the module's.
SMALL = 24 << 10
LEAST = 64 << 10
ROUNDS = 100
DEFLATE = [("Sec-WebSocket-Extensions", "permessage-deflate")]


def text(size, level):
    return f"ThreadStackSize {size}\nLogLevel {level}\n" + location(
        "/echo", example(ECHO), "WebSocketCompression On", "WebSocketCompressionMinSize 0"
    )


def compressed(payload):
    compressor = zlib.compressobj(wbits=-15)
    data = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return frame(TEXT, data[:-4], rsv=4)


def use(server):
    children = server.children()
    for number in range(ROUNDS):
        with server.client() as client:
            assert client.upgrade("/echo", DEFLATE).status == 101
            client.send(compressed(b"%d " % number * 1000))
            received = client.receive_frame()
            inflated = zlib.decompressobj(wbits=-15).decompress(received.payload + b"\0\0\xff\xff")
            assert inflated == b"%d " % number * 1000
            client.close_properly()
    assert server.children() == children


def test_ws_615_01_the_module_itself_needs_less_than_16_kib(make_httpd, mpm):
    """httpd writes no line here, which would take 25 KiB."""
    server = make_httpd(mpm, text(SMALL, "warn"))
    server.error_log.expect(f"WS0110: ThreadStackSize {SMALL} is too little: .*the least is {LEAST}")
    server.start()
    use(server)


@pytest.mark.parametrize("level", ["info", "trace4"])
def test_ws_615_02_64_kib_are_enough_with_a_log(make_httpd, mpm, level):
    server = make_httpd(mpm, text(LEAST, f"info websocket:{level}")).start()
    use(server)
    assert len(server.error_log.wait_for("WS0302", count=ROUNDS)) == ROUNDS
    assert server.error_log.find("WS0110") == []
