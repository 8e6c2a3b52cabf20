"""A Rust plugin that panics: 500 before the 101, 1011 after it, and nobody else is disturbed."""

import re

import pytest

from harness.conf import ECHO, example, location, plugin
from harness.rawclient import TEXT

PANIC = r"panicked at|on purpose|RUST_BACKTRACE|panic in"


def configuration(_server):
    return (
        location("/connect", plugin("panic", "panic_connect_init"))
        + location("/message", plugin("panic", "panic_message_init"))
        + location("/disconnect", plugin("panic", "panic_disconnect_init"))
        + location("/open", plugin("panic", "panic_open_init"))
        + location("/timer", plugin("panic", "panic_timer_init"))
        + location("/close", plugin("panic", "panic_close_init"))
        + location("/echo", example(ECHO))
    )


@pytest.fixture
def bystanders(httpd):
    """Connections in the same children that must not notice anything."""
    clients = [httpd.open(path) for path in ("/echo", "/message") for _ in range(3)]
    children = httpd.children()
    yield clients
    for client in clients:
        client.echo("echo: undisturbed")
        client.close_properly()
        client.vanish()
    # Prefork may have added children meanwhile; none may be gone.
    assert set(children) <= set(httpd.children())


def test_ws_330_01_a_panic_in_on_connect_is_an_internal_error(httpd, bystanders):
    httpd.error_log.expect(PANIC)
    httpd.error_log.expect(r"\[websocket:error\].* WS\d{4}: ")
    with httpd.client() as client:
        response = client.upgrade("/connect")
        assert response.status == 500
        assert client.receive_to_eof() == b""


@pytest.mark.parametrize("payload", ["x", "x" * 100000])
def test_ws_330_02_a_panic_in_on_message_closes_with_1011(httpd, bystanders, payload):
    httpd.error_log.expect(PANIC)
    with httpd.open("/message") as client:
        client.echo("echo: so far all is well")
        client.send_frame(TEXT, payload)
        received = client.receive_frame()
        assert received.close_code == 1011
        client.send_close(1011)
        assert client.receive_to_eof() == b""


def test_ws_330_03_a_panic_in_on_disconnect_comes_after_the_close(httpd, bystanders):
    httpd.error_log.expect(PANIC)
    with httpd.open("/disconnect") as client:
        client.echo("hello")
        client.close_properly()


def test_ws_330_04_a_panic_in_on_disconnect_of_a_client_that_vanished_is_contained(
    httpd, bystanders
):
    httpd.error_log.expect(PANIC)
    with httpd.open("/disconnect") as client:
        client.echo("hello")
    httpd.error_log.wait_for("panic in|panicked at")


def test_ws_330_05_after_panics_the_plugin_still_serves(httpd, bystanders):
    httpd.error_log.expect(PANIC)
    for _ in range(5):
        with httpd.open("/message") as client:
            client.send_frame(TEXT, "panic")
            assert client.receive_frame().close_code == 1011
        with httpd.open("/message") as client:
            client.echo("echo: still serving")


@pytest.mark.parametrize("place", ["destroy", "child_stop"])
def test_ws_330_06_a_panic_at_the_end_of_a_child_ends_no_process(make_httpd, mpm, place):
    server = make_httpd(mpm, location("/end", plugin("panic", f"panic_{place}_init")))
    server.error_log.expect(PANIC)
    server.start()
    with server.open("/end") as client:
        client.echo("hello")
        client.close_properly()
    server.graceful()
    with server.open("/end") as client:
        client.echo("hello again")
        client.close_properly()


@pytest.mark.parametrize("path", ["/open", "/timer"])
def test_ws_330_07_a_panic_right_after_the_101_closes_with_1011(httpd, bystanders, path):
    httpd.error_log.expect(PANIC)
    with httpd.open(path) as client:
        received = client.receive_frame()
        assert received.close_code == 1011
        client.send_close(1011)
        assert client.receive_to_eof() == b""


@pytest.mark.parametrize("way", ["close_properly", "vanish"])
def test_ws_330_08_a_panic_in_on_close_is_contained(httpd, bystanders, way):
    httpd.error_log.expect(PANIC)
    with httpd.open("/close") as client:
        client.echo("hello")
        getattr(client, way)()
    httpd.error_log.wait_for("panic in|panicked at")


def test_ws_330_09_a_panic_in_configure_is_a_configuration_error(make_httpd, mpm):
    server = make_httpd(mpm, "")
    result, _ = server.configtest(
        location("/configure", plugin("panic", "panic_configure_init"), "WebSocketPluginOption a b")
    )
    assert result.returncode != 0, "accepted"
    assert "panic" in result.stderr, result.stderr


def test_ws_330_10_a_child_whose_child_start_panics_refuses_only_that_plugins_clients(
    make_httpd, mpm
):
    server = make_httpd(mpm, location("/start", plugin("panic", "panic_child_start_init"))
                        + location("/echo", example(ECHO)))
    server.error_log.expect(PANIC)
    server.error_log.expect(r"\[websocket:error\].* WS\d{4}: ")
    server.start()
    for _ in range(2):
        with server.client() as client:
            assert client.upgrade("/start").status == 500
        with server.open("/echo") as client:
            client.echo("undisturbed")
            client.close_properly()


def test_ws_330_11_after_a_panic_the_plugin_still_gets_its_disconnect(httpd, bystanders):
    """Else what others know of the connection, as a member of a room, stays for ever."""
    httpd.error_log.expect(PANIC)
    with httpd.open("/message") as client:
        client.send_frame(TEXT, "panic")
        assert client.receive_frame().close_code == 1011
        client.send_close(1011)
        assert client.receive_to_eof() == b""
    # Its own: those of bystanders of the test before may come now.
    httpd.error_log.wait_for(rf"\[client {re.escape(client.address)}\] WS0402: .*disconnected")
