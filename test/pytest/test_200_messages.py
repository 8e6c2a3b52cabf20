"""Messages, fragments and control frames that are right (RFC 6455 §5)."""

import pytest

from harness.conf import ECHO, RUST_ECHO, example, location, plugin
from harness.rawclient import BINARY, CONTINUATION, PING, PONG, TEXT, frame

PATHS = ["/echo", "/rust/echo"]


def configuration(_server):
    return (
        location("/echo", example(ECHO))
        + location("/rust/echo", example(RUST_ECHO))
        + location("/recorder", plugin("recorder"))
    )


def pattern(size):
    return bytes(range(256)) * (size // 256) + bytes(range(size % 256))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("size", [
    0, 1, 2, 124, 125, 126, 127, 128, 1000, 4095, 4096, 8000, 16384, 65534, 65535, 65536, 65537,
    1 << 20,
])
def test_ws_200_01_messages_of_every_form_of_length_are_echoed(httpd, path, size):
    with httpd.open(path) as client:
        client.echo(pattern(size), BINARY)
        client.echo("x" * size, TEXT)
        client.close_properly()


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_ws_200_02_the_server_encodes_lengths_minimally_and_does_not_mask(httpd, size):
    with httpd.open("/echo") as client:
        client.send_frame(BINARY, b"z" * size)
        received = client.receive_message()
        assert len(received.payload) == size
        assert len(received.header) == (2 if size < 126 else 4 if size < 65536 else 10)


@pytest.mark.parametrize("key", [
    b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x01\x02\x03\x04", b"\0\0\0\x80",
])
def test_ws_200_03_any_masking_key_is_undone(httpd, key):
    with httpd.open("/echo") as client:
        for size in (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 1021):
            client.send(frame(BINARY, pattern(size), mask=key))
            assert client.receive_message().payload == pattern(size)


@pytest.mark.parametrize("pieces", [
    ["Hello, ", "world"],
    ["", "all in the last"],
    ["all in the first", ""],
    ["", "", ""],
    list("one byte in each fragment"),
    ["x" * 125, "y" * 126, "z" * 65536],
])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_ws_200_04_fragments_are_put_together(httpd, pieces, opcode):
    with httpd.open("/echo") as client:
        for number, piece in enumerate(pieces):
            client.send_frame(
                CONTINUATION if number else opcode, piece, fin=number == len(pieces) - 1
            )
        received = client.receive_message()
        assert (received.opcode, received.payload) == (opcode, "".join(pieces).encode())
        client.echo("and the next message")


def test_ws_200_05_control_frames_between_fragments_are_answered_at_once(httpd):
    with httpd.open("/echo") as client:
        client.send_frame(TEXT, "Hel", fin=False)
        client.send_frame(PING, "between")
        pong = client.receive_frame()
        assert (pong.opcode, pong.payload) == (PONG, b"between")
        client.send_frame(PONG, "unasked")
        client.send_frame(CONTINUATION, "lo", fin=False)
        client.send_frame(PING)
        assert client.receive_frame().opcode == PONG
        client.send_frame(CONTINUATION)
        assert client.receive_message().text == "Hello"


@pytest.mark.parametrize("size", [0, 1, 124, 125])
def test_ws_200_06_a_ping_is_answered_with_its_payload(httpd, size):
    with httpd.open("/echo") as client:
        client.send_frame(PING, pattern(size))
        pong = client.receive_frame()
        assert (pong.opcode, pong.payload, pong.fin, pong.rsv, pong.masked) == (
            PONG, pattern(size), True, 0, False
        )


def test_ws_200_07_many_pings_at_once_are_answered_in_order(httpd):
    with httpd.open("/echo") as client:
        client.send(b"".join(frame(PING, str(n)) for n in range(300)))
        for n in range(300):
            pong = client.receive_frame()
            assert (pong.opcode, pong.payload) == (PONG, str(n).encode())


def test_ws_200_08_a_pong_that_nobody_asked_for_is_ignored(httpd):
    with httpd.open("/echo") as client:
        client.send_frame(PONG, "no question")
        client.send_frame(PONG)
        client.echo("still open")


@pytest.mark.parametrize("path", PATHS)
def test_ws_200_09_many_messages_in_one_write_are_answered_in_order(httpd, path):
    with httpd.open(path) as client:
        client.send(b"".join(frame(TEXT, f"message {n}") for n in range(1000)))
        for n in range(1000):
            assert client.receive_message().text == f"message {n}"


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_ws_200_10_frames_in_tiny_pieces_are_put_together(httpd, size):
    data = (
        frame(TEXT, "first") + frame(PING, "p") + frame(BINARY, b"z" * 126)
        + frame(TEXT, "Fra", fin=False) + frame(CONTINUATION, "gment") + frame(TEXT, "κόσμε")
    )
    with httpd.open("/echo") as client:
        client.send_in_pieces(data, size)
        assert client.receive_frame().payload == b"first"
        assert client.receive_frame().opcode == PONG
        assert client.receive_frame().payload == b"z" * 126
        assert client.receive_frame().payload == b"Fragment"
        assert client.receive_frame().payload == "κόσμε".encode()


@pytest.mark.parametrize("text", [
    "κόσμε", "\u0000", "\ud7ff\ue000\ufffd", "\U00010000\U0010ffff", "\ufeffbom", "日本語" * 1000,
])
def test_ws_200_11_text_of_every_plane_is_echoed_however_it_is_cut(httpd, text):
    data = text.encode()
    with httpd.open("/echo") as client:
        client.echo(text)
        for cut in range(min(len(data), 12) + 1):
            client.send_frame(TEXT, data[:cut], fin=False)
            client.send_frame(CONTINUATION, data[cut:])
            assert client.receive_message().payload == data


def test_ws_200_12_binary_need_not_be_utf8(httpd):
    with httpd.open("/echo") as client:
        client.echo(b"\xff\xfe\xc0\x80\xed\xa0\x80", BINARY)


@pytest.mark.parametrize("path", PATHS)
def test_ws_200_13_ten_megabytes_are_echoed_whole(httpd, path):
    payload = pattern(10 << 20)
    with httpd.open(path) as client:
        client.echo(payload, BINARY)
        client.close_properly()


def test_ws_200_14_connections_do_not_disturb_one_another(httpd):
    clients = [httpd.open("/echo") for _ in range(8)]
    try:
        for turn in range(20):
            for number, client in enumerate(clients):
                client.send_frame(TEXT, f"{number}: {turn}")
            for number, client in enumerate(clients):
                assert client.receive_message().text == f"{number}: {turn}"
    finally:
        for client in clients:
            client.vanish()


def test_ws_200_15_an_incomplete_message_does_not_reach_the_plugin(httpd):
    before = len(httpd.recorded())
    with httpd.open("/recorder") as client:
        client.send_frame(TEXT, "unfinished", fin=False)
        client.send_frame(PING)
        assert client.receive_frame().opcode == PONG
        assert [line.split()[2] for line in httpd.recorded()[before:]] == ["connect"]
