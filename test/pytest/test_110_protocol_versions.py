"""Protocol versions 13, 8 and 7: the same frames, other names and codes."""

import pytest

from harness.conf import ECHO, example, location
from harness.rawclient import BINARY, PING, PONG, TEXT, frame

VERSIONS = ["13", "8", "7"]


def configuration(_server):
    return (
        location("/echo", example(ECHO))
        + location("/small", example(ECHO), "WebSocketMaxMessageSize 8")
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_ws_110_01_messages_are_echoed(httpd, version):
    with httpd.open("/echo", version=version) as client:
        client.echo("text")
        client.echo(b"\x00\xff", BINARY)
        client.send_frame(PING, b"pi")
        pong = client.receive_frame()
        assert (pong.opcode, pong.payload) == (PONG, b"pi")
        client.close_properly()


@pytest.mark.parametrize(("version", "code"), [("13", 1009), ("8", 1004), ("7", 1004)])
def test_ws_110_02_a_message_too_large_is_closed_with_the_code_of_the_version(
    httpd, version, code
):
    with httpd.open("/small", version=version) as client:
        client.echo("12345678")
        client.send_frame(TEXT, "123456789")
        client.expect_close(code)
    with httpd.open("/small", version=version) as client:
        client.send(frame(TEXT, "12345678", fin=False))
        client.send(frame(0, "9"))
        client.expect_close(code)


@pytest.mark.parametrize("version", VERSIONS)
def test_ws_110_03_a_protocol_error_is_1002_in_every_version(httpd, version):
    with httpd.open("/echo", version=version) as client:
        client.send_frame(TEXT, "x", rsv=4)
        client.expect_close(1002)
