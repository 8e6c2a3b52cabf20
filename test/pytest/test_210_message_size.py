"""WebSocketMaxMessageSize: 1009 as soon as a frame header announces too much."""

import pytest

from harness.conf import ECHO, example, location
from harness.rawclient import BINARY, CONTINUATION, PING, PONG, TEXT, frame

LIMITS = {"/four": 4, "/kilo": 1024, "/mega": 1 << 20}


def configuration(_server):
    echo = example(ECHO)
    return (
        location("/four", echo, "WebSocketMaxMessageSize 4")
        + location("/kilo", echo, "WebSocketMaxMessageSize 1K")
        + location("/mega", echo, "WebSocketMaxMessageSize 1M")
        + location("/default", echo)
        + location("/huge", echo, "WebSocketMaxMessageSize 9223372036854775807")
    )


@pytest.mark.parametrize("path", LIMITS)
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_ws_210_01_the_limit_itself_is_allowed_and_one_byte_more_is_not(httpd, path, opcode):
    with httpd.open(path) as client:
        client.echo(b"x" * LIMITS[path], opcode)
        client.echo(b"x" * LIMITS[path], opcode)
        client.send_frame(opcode, b"x" * (LIMITS[path] + 1))
        client.expect_close(1009)


def test_ws_210_02_the_header_alone_is_enough_for_the_refusal(httpd):
    with httpd.open("/four") as client:
        client.send(frame(TEXT, length=5))
        client.expect_close(1009)


def test_ws_210_03_the_default_is_32_mebibytes(httpd):
    limit = 32 << 20
    with httpd.open("/default") as client:
        client.send(frame(BINARY, length=limit + 1))
        client.expect_close(1009)
    with httpd.open("/default") as client:
        client.send(frame(BINARY, b"x" * limit))
        assert len(client.receive_message().payload) == limit


def test_ws_210_04_fragments_count_together(httpd):
    with httpd.open("/four") as client:
        for _ in range(3):
            client.send(frame(TEXT, "12", fin=False) + frame(CONTINUATION, "34"))
            assert client.receive_message().text == "1234"
        client.send(frame(TEXT, "12", fin=False) + frame(CONTINUATION, "345"))
        client.expect_close(1009)
    with httpd.open("/four") as client:
        client.send(frame(TEXT, "1", fin=False) + frame(CONTINUATION, "2", fin=False) * 3)
        client.send(frame(CONTINUATION, "5", fin=False))
        client.expect_close(1009)


def test_ws_210_05_control_frames_between_fragments_do_not_reset_the_count(httpd):
    with httpd.open("/four") as client:
        client.send(frame(TEXT, "12", fin=False))
        client.send_frame(PING, "1234")
        assert client.receive_frame().opcode == PONG
        client.send(frame(CONTINUATION, "3", fin=False))
        client.send_frame(PING)
        assert client.receive_frame().opcode == PONG
        client.send(frame(CONTINUATION, "45"))
        client.expect_close(1009)


def test_ws_210_06_control_frames_between_fragments_do_not_count(httpd):
    with httpd.open("/four") as client:
        client.send(frame(TEXT, "12", fin=False))
        for _ in range(3):
            client.send_frame(PING, "1234")
            assert client.receive_frame().payload == b"1234"
        client.send(frame(CONTINUATION, "34"))
        assert client.receive_message().text == "1234"


@pytest.mark.parametrize("first", [1, 4, 0])
@pytest.mark.parametrize("length", [
    0x7FFF_FFFF_FFFF_FFFF, 0x7FFF_FFFF_FFFF_FFFE, 0x4000_0000_0000_0000, 0xFFFF_FFFF, 0x8000_0000,
    0x1_0000_0000, 0x1_0000_0004,
])
def test_ws_210_07_sums_that_would_overflow_are_too_large(httpd, first, length):
    with httpd.open("/four") as client:
        client.send(frame(TEXT, "x" * first, fin=False))
        client.send(frame(CONTINUATION, length=length))
        client.expect_close(1009)


def test_ws_210_08_sums_beyond_63_bits_are_too_large_under_the_largest_limit(httpd):
    with httpd.open("/huge") as client:
        client.send(frame(TEXT, "x", fin=False))
        client.send(frame(CONTINUATION, length=0x7FFF_FFFF_FFFF_FFFF))
        client.expect_close(1009)


def test_ws_210_09_control_frames_are_limited_too(httpd):
    with httpd.open("/four") as client:
        client.send_frame(PING, "1234")
        assert client.receive_frame().payload == b"1234"
        client.send_frame(PING, "12345")
        client.expect_close(1009)
    with httpd.open("/four") as client:
        client.send_frame(PONG, "12345")
        client.expect_close(1009)
    with httpd.open("/four") as client:
        client.close_properly(1000, "12")
    with httpd.open("/four") as client:
        client.send_close(1000, "123")
        client.expect_close(1009)


def test_ws_210_10_each_message_has_the_whole_limit(httpd):
    with httpd.open("/four") as client:
        for _ in range(100):
            client.echo("1234")
        client.close_properly()


def test_ws_210_11_memory_is_not_reserved_for_what_is_only_announced(httpd):
    clients = []
    try:
        with httpd.open("/huge") as client:
            client.echo("warm")
        before = httpd.resident_bytes()
        for length in (1 << 62, 1 << 40, 1 << 31):
            client = httpd.open("/huge")
            clients.append(client)
            client.send(frame(BINARY, b"the beginning", length=length))
            # A ping cannot be answered inside a frame; another connection shows that all is well.
            with httpd.open("/huge") as other:
                other.echo("alive")
        assert httpd.resident_bytes() - before < 64 << 20
    finally:
        for client in clients:
            client.vanish()
