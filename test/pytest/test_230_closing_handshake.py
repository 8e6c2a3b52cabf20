"""The closing handshake (RFC 6455 §7) and WebSocketAllowReservedStatusCodes."""

import pytest

from harness.conf import ECHO, PLUGIN_CLOSE_CODE, example, location, plugin
from harness.rawclient import CLOSE, PING, TEXT, close_frame, frame

ALWAYS = [1000, 1001, 1002, 1003, *range(1007, 1015), 3000, 3999, 4000, 4999]
RESERVED = [1004, 1016, 1017, 1100, 1999, 2000, 2999]
NEVER = [0, 1, 999, 1005, 1006, 1015, 5000, 65535]

PATHS = {"/echo": False, "/strict": False, "/reserved": True}


def configuration(_server):
    return (
        location("/echo", example(ECHO))
        + location("/strict", example(ECHO), "WebSocketAllowReservedStatusCodes Off")
        + location("/reserved", example(ECHO), "WebSocketAllowReservedStatusCodes On")
        + location("/recorder", plugin("recorder"))
    )


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("code", ALWAYS)
def test_ws_230_01_a_close_is_answered_with_the_code_of_the_peer(httpd, path, code):
    with httpd.open(path) as client:
        client.close_properly(code)


@pytest.mark.parametrize("path", PATHS)
def test_ws_230_02_an_empty_close_is_answered_with_an_empty_close(httpd, path):
    with httpd.open(path) as client:
        client.close_properly(None)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("code", NEVER)
def test_ws_230_03_codes_that_may_never_be_sent_are_a_protocol_error(httpd, path, code):
    with httpd.open(path) as client:
        client.send_close(code)
        client.expect_close(1002)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("code", RESERVED)
def test_ws_230_04_unregistered_codes_are_accepted_only_when_allowed(httpd, path, code):
    with httpd.open(path) as client:
        client.send_close(code)
        client.expect_close(code if PATHS[path] else 1002)


@pytest.mark.parametrize("reason", ["", "bye", "κόσμε", "x" * 123])
def test_ws_230_05_a_reason_is_accepted(httpd, reason):
    with httpd.open("/echo") as client:
        client.close_properly(1000, reason)


def test_ws_230_06_messages_before_a_close_in_one_write_are_answered_first(httpd):
    with httpd.open("/echo") as client:
        client.send(frame(TEXT, "one") + frame(TEXT, "two") + close_frame(1001))
        assert client.receive_message().text == "one"
        assert client.receive_message().text == "two"
        client.expect_close(1001)


def test_ws_230_07_what_follows_a_close_is_ignored(httpd):
    recorder = httpd.recorder()
    with httpd.open("/recorder") as client:
        client.send(close_frame(1000) + frame(TEXT, "too late") + frame(PING)
                    + frame(TEXT, "x" * 100000) + b"\xff" * 1000)
        client.expect_close(1000)
    (callbacks,) = recorder.wait_for_ends().values()
    assert callbacks == ["connect", "disconnect"]


def test_ws_230_08_a_close_inside_a_fragmented_message_ends_it(httpd):
    with httpd.open("/echo") as client:
        client.send(frame(TEXT, "unfinished", fin=False) + close_frame(1000))
        client.expect_close(1000)


def test_ws_230_09_the_server_ends_the_stream_first(httpd):
    with httpd.open("/echo") as client:
        client.send_close(1000)
        # expect_close reads to the end of the stream without closing the client's side.
        client.expect_close(1000)


@pytest.mark.parametrize("command", ["close", "close-later"])
def test_ws_230_10_the_plugin_may_close_and_the_peer_may_answer(httpd, command):
    with httpd.open("/recorder") as client:
        client.send_frame(TEXT, command)
        received = client.receive_frame()
        assert (received.opcode, received.close_code) == (CLOSE, PLUGIN_CLOSE_CODE)
        client.send_close(1000)
        assert client.receive_to_eof() == b""


@pytest.mark.parametrize("command", ["close", "close-later"])
def test_ws_230_11_closes_that_cross_are_not_answered_again(httpd, command):
    with httpd.open("/recorder") as client:
        client.send(frame(TEXT, command) + close_frame(1000))
        received = client.receive_frame()
        assert received.opcode == CLOSE
        assert client.receive_to_eof() == b""


def test_ws_230_12_after_its_own_close_the_server_sends_nothing_more(httpd):
    with httpd.open("/recorder") as client:
        client.send(frame(TEXT, "close") + frame(TEXT, "echo me") + frame(PING, "answer me"))
        assert client.receive_frame().opcode == CLOSE
        client.send_close(1000)
        assert client.receive_to_eof() == b""
