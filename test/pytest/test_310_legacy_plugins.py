"""Plugins as they were compiled for the C module, and the examples in C and in Rust."""

import re

import pytest

from harness.conf import ECHO, INCREMENT, RUST_ECHO, RUST_INCREMENT, example, location, plugin
from harness.rawclient import BINARY, TEXT
from harness.waiting import eventually

PROTOCOL = "dumb-increment-protocol"


def configuration(_server):
    return (
        location("/legacy", plugin("legacy_echo"))
        + location("/c/echo", example(ECHO))
        + location("/rust/echo", example(RUST_ECHO))
        + location("/c/increment", example(INCREMENT))
        + location("/rust/increment", example(RUST_INCREMENT))
    )


def test_ws_310_01_a_plugin_binary_of_the_c_module_runs(httpd):
    with httpd.open("/legacy") as client:
        assert client.response.get("X-Legacy") == "request"
        client.echo("text")
        client.echo(b"\x00\xff" * 70000, BINARY)
        client.close_properly()


@pytest.mark.parametrize("path", ["/c/echo", "/rust/echo"])
def test_ws_310_02_the_echo_examples_echo_text_and_binary(httpd, path):
    with httpd.open(path) as client:
        for payload in ("", "text", "x" * 100000):
            client.echo(payload)
            client.echo(payload, BINARY)
        client.close_properly()


@pytest.mark.parametrize("path", ["/c/increment", "/rust/increment"])
def test_ws_310_03_the_increment_examples_count(httpd, path):
    with httpd.open(path, protocol=f"other, {PROTOCOL}") as client:
        assert client.response.get("Sec-WebSocket-Protocol") == PROTOCOL
        assert [client.receive_message().text for _ in range(4)] == ["0", "1", "2", "3"]
        client.send_close(1000)
        client.receive_to_eof()


@pytest.mark.parametrize("path", ["/c/increment", "/rust/increment"])
def test_ws_310_04_the_increment_examples_reset_on_command(httpd, path):
    with httpd.open(path, protocol=PROTOCOL) as client:
        assert [client.receive_message().text for _ in range(3)] == ["0", "1", "2"]
        client.send_frame(TEXT, "nonsense")
        client.send_frame(TEXT, "reset\n")

        def fell():
            return int(client.receive_message().text) < 3

        eventually(fell, "the count to begin anew")
        client.send_close(1000)
        client.receive_to_eof()


@pytest.mark.parametrize("path", ["/c/increment", "/rust/increment"])
@pytest.mark.parametrize("protocol", [None, "other", f"{PROTOCOL}s"])
def test_ws_310_05_the_increment_examples_want_their_subprotocol(httpd, path, protocol):
    with httpd.client() as client:
        assert client.upgrade(path, protocol=protocol).status == 403


@pytest.mark.parametrize("path", ["/c/increment", "/rust/increment"])
def test_ws_310_06_the_increment_examples_bear_that_the_client_vanishes(httpd, path):
    ended = r"\[websocket:info\].* WS0302: "
    before = len(httpd.error_log.find(ended))
    for _ in range(5):
        with httpd.open(path, protocol=PROTOCOL) as client:
            assert client.receive_message().text == "0"
    assert len(httpd.error_log.wait_for(ended, count=before + 5)) >= before + 5
    with httpd.open(path, protocol=PROTOCOL) as client:
        assert re.fullmatch(r"\d+", client.receive_message().text)
    httpd.error_log.wait_for(ended, count=before + 6)
