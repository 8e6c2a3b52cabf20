"""Frames that break the protocol: a Close that arrives, then the end (RFC 6455 §7.1.7)."""

import pytest

from harness.conf import ECHO, example, location, plugin
from harness.rawclient import (
    BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close_frame, frame,
)
from harness.waiting import eventually

FAULTS = {
    "RSV1 set": (frame(TEXT, "x", rsv=4), 1002),
    "RSV2 set": (frame(TEXT, "x", rsv=2), 1002),
    "RSV3 set": (frame(TEXT, "x", rsv=1), 1002),
    "RSV1 set on a ping": (frame(PING, rsv=4), 1002),
    "RSV1 set on a continuation": (
        frame(TEXT, "x", fin=False) + frame(CONTINUATION, "y", rsv=4), 1002,
    ),
    **{f"opcode {opcode:#x}": (frame(opcode, "x"), 1002)
       for opcode in (3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF)},
    "no mask": (frame(TEXT, "plain", mask=None), 1002),
    "no mask on an empty frame": (frame(TEXT, "", mask=None), 1002),
    "no mask on a ping": (frame(PING, mask=None), 1002),
    "a fragmented ping": (frame(PING, "x", fin=False), 1002),
    "a fragmented pong": (frame(PONG, "x", fin=False), 1002),
    "a fragmented close": (close_frame(1000, fin=False), 1002),
    "a ping of 126 bytes": (frame(PING, "x" * 126), 1002),
    "a pong of 126 bytes": (frame(PONG, "x" * 126), 1002),
    "a close of 126 bytes": (close_frame(1000, "x" * 124), 1002),
    "a ping with a long form of its length": (frame(PING, "x", length_bits=16), 1002),
    "a ping of 64 KiB": (frame(PING, "x" * 65536), 1002),
    "a continuation of nothing": (frame(CONTINUATION, "x"), 1002),
    "a continuation after a whole message": (
        frame(CONTINUATION, "x", fin=False) + frame(CONTINUATION, "y"), 1002,
    ),
    "text inside a fragmented message": (
        frame(TEXT, "x", fin=False) + frame(TEXT, "y"), 1002,
    ),
    "binary inside a fragmented message": (
        frame(TEXT, "x", fin=False) + frame(BINARY, "y"), 1002,
    ),
    "16 bits for a length of 125": (frame(TEXT, "x" * 125, length_bits=16), 1002),
    "16 bits for a length of 0": (frame(TEXT, "", length_bits=16), 1002),
    "64 bits for a length of 5": (frame(TEXT, "hello", length_bits=64), 1002),
    "64 bits for a length of 65535": (frame(TEXT, "x" * 65535, length_bits=64), 1002),
    "a length of 2^63": (frame(TEXT, length=1 << 63), 1002),
    "a length of 2^64 - 1": (frame(TEXT, length=(1 << 64) - 1), 1002),
    "a length above the limit": (frame(TEXT, length=(32 << 20) + 1), 1009),
    "text with a lone continuation byte": (frame(TEXT, b"\x80"), 1007),
    "text with an overlong encoding": (frame(TEXT, b"\xc0\xaf"), 1007),
    "text with an overlong encoding in three bytes": (frame(TEXT, b"\xe0\x80\xaf"), 1007),
    "text with a surrogate": (frame(TEXT, b"\xed\xa0\x80"), 1007),
    "text beyond U+10FFFF": (frame(TEXT, b"\xf4\x90\x80\x80"), 1007),
    "text with 0xff": (frame(TEXT, b"all well until \xff"), 1007),
    "text that ends inside a character": (frame(TEXT, "ends inside é".encode()[:-1]), 1007),
    "text that is wrong after a character cut by a fragment": (
        frame(TEXT, b"\xce", fin=False) + frame(CONTINUATION, b"\x28"), 1007,
    ),
    "text that ends inside a character in its last fragment": (
        frame(TEXT, "é".encode()[:1], fin=False) + frame(CONTINUATION), 1007,
    ),
    "long text with its last byte wrong": (frame(TEXT, b"x" * 100000 + b"\xff"), 1007),
    "a close of one byte": (frame(CLOSE, b"\x03"), 1002),
    "a close reason that is not UTF-8": (close_frame(1000, b"\xff\xfe"), 1007),
    "a close reason that ends inside a character": (close_frame(1000, "é".encode()[:1]), 1007),
    "a bad close code": (close_frame(1005), 1002),
    "a bad close code and reason": (close_frame(999, b"\xff"), 1002),
}


def configuration(_server):
    return location("/echo", example(ECHO)) + location("/recorder", plugin("recorder"))


@pytest.mark.parametrize("name", FAULTS)
def test_ws_220_01_a_fault_is_answered_with_a_close_and_then_the_end(httpd, name):
    data, code = FAULTS[name]
    before = len(httpd.recorded())
    with httpd.open("/recorder") as client:
        client.echo("so far all is well")
        client.send(data)
        client.expect_close(code)
    eventually(
        lambda: [line.split()[2] for line in httpd.recorded()[before:]][-1:] == ["disconnect"],
        "on_disconnect",
    )
    callbacks = [line.split()[2] for line in httpd.recorded()[before:]]
    assert callbacks == ["connect", "message", "disconnect"]
    # One line says what was wrong.
    lines = httpd.error_log.wait_for(r"\[websocket:info\].* WS\d{4}: .*broke the protocol")
    assert len(lines) == 1, lines


REASONS = {
    "RSV1 set": "a frame has a reserved bit set",
    "opcode 0x3": "a frame has an unknown opcode",
    "a fragmented ping": "a control frame is fragmented",
    "a ping of 126 bytes": "a control frame is longer than 125 bytes",
    "no mask": "a frame from the client is not masked",
    "16 bits for a length of 125": "a length is not minimally encoded",
    "a continuation of nothing": "a continuation frame continues nothing",
    "a close of one byte": "a Close frame has one byte only",
    "a close reason that is not UTF-8": "text is not UTF-8",
    "a bad close code": "a close code may not be sent",
}


@pytest.mark.parametrize("name", REASONS)
def test_ws_220_09_the_close_says_which_rule_was_broken(httpd, name):
    data, code = FAULTS[name]
    with httpd.open("/echo") as client:
        client.send(data)
        assert client.expect_close(code).payload[2:].decode() == REASONS[name]


@pytest.mark.parametrize("name", FAULTS)
def test_ws_220_10_every_fault_has_a_short_reason(httpd, name):
    data, code = FAULTS[name]
    with httpd.open("/echo") as client:
        client.send(data)
        reason = client.expect_close(code).payload[2:]
        assert 0 < len(reason) <= 40 and reason.isascii()


@pytest.mark.parametrize("name", FAULTS)
def test_ws_220_02_the_close_arrives_although_more_was_sent_that_nobody_reads(httpd, name):
    data, code = FAULTS[name]
    with httpd.open("/echo") as client:
        client.send(data + frame(BINARY, b"x" * 60000) * 3)
        client.expect_close(code)


@pytest.mark.parametrize(("name", "data"), [
    ("RSV1 set", frame(TEXT, "x", rsv=4)[:1]),
    ("unknown opcode", frame(3)[:1]),
    ("no mask", frame(TEXT, "hello", mask=None)[:2]),
    ("fragmented ping", frame(PING, fin=False)[:1]),
    ("long ping", frame(PING, "x" * 126)[:2]),
    ("continuation of nothing", frame(CONTINUATION, "x")[:1]),
    ("2^63", frame(TEXT, length=1 << 63)[:10]),
    ("non-minimal", frame(TEXT, "x", length_bits=16)[:4]),
])
def test_ws_220_03_a_wrong_header_is_refused_without_waiting_for_the_rest(httpd, name, data):
    with httpd.open("/echo") as client:
        client.send_in_pieces(data)
        # Whoever looks at whole headers only needs them whole, but never the payload.
        client.send((frame(TEXT, "x", rsv=4) + bytes(14))[len(data):14])
        client.expect_close(1002)


@pytest.mark.parametrize("good", [b"", b"good so far \xce\xba"])
def test_ws_220_04_text_fails_at_its_first_wrong_byte(httpd, good):
    with httpd.open("/echo") as client:
        client.send(frame(TEXT, good + b"\xc3\x28", length=1000))
        client.expect_close(1007)
    with httpd.open("/echo") as client:
        client.send(frame(TEXT, good + b"\xf0\x82", fin=False))
        client.expect_close(1007)


@pytest.mark.parametrize("name", ["RSV1 set", "text with 0xff", "a length above the limit"])
def test_ws_220_05_nothing_after_a_fault_reaches_the_plugin(httpd, name):
    data, code = FAULTS[name]
    before = len(httpd.recorded())
    with httpd.open("/recorder") as client:
        client.send(data + frame(TEXT, "too late") + close_frame(1000))
        client.expect_close(code)
    eventually(
        lambda: [line.split()[2] for line in httpd.recorded()[before:]]
        == ["connect", "disconnect"],
        "connect and disconnect alone",
    )


def test_ws_220_06_messages_before_a_fault_in_one_write_are_answered(httpd):
    with httpd.open("/echo") as client:
        client.send(frame(TEXT, "one") + frame(TEXT, "two") + frame(TEXT, "x", rsv=1))
        assert client.receive_message().text == "one"
        assert client.receive_message().text == "two"
        client.expect_close(1002)


def test_ws_220_07_a_fault_leaves_other_connections_alone(httpd):
    with httpd.open("/echo") as other:
        other.echo("before")
        for data, code in list(FAULTS.values())[:10]:
            with httpd.open("/echo") as client:
                client.send(data)
                client.expect_close(code)
            other.echo("after")


def test_ws_220_08_http_after_the_upgrade_is_a_fault(httpd):
    with httpd.open("/echo") as client:
        client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        client.expect_close(1002)
