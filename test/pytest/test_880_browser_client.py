"""The demo's client page in a browser: connect, send, receive, and how a WebSocket ended."""

import pytest

pytest_plugins = "harness.demo"

ENDPOINTS = ["/echo", "/rust/echo"]
LIMIT = 32 << 20


@pytest.fixture
def client(window, site):
    return window(site + "client.html")


def connect(page, endpoint="/echo"):
    page.choose("endpoint", endpoint)
    page.click("connect")
    page.wait_for_state("open")


def close_with(page, code, reason="the tests'"):
    page.open_details("closing")
    page.enter("closing-code", code)
    page.enter("closing-reason", reason)
    page.click("disconnect")


def log_of(page):
    return page.texts("#log li span")


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_ws_880_01_text_comes_back(client, site, endpoint):
    connect(client, endpoint)
    assert client.text("url") == site.replace("http", "ws", 1).rstrip("/") + endpoint
    client.enter("message", "Grüße, 世界 🌍")
    client.click("send-text")
    client.wait_until("log", lambda text: text.count("Grüße") == 2, "the text and its echo")
    assert log_of(client)[-2:] == ["Grüße, 世界 🌍", "Grüße, 世界 🌍"]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_ws_880_02_bytes_come_back(client, endpoint):
    connect(client, endpoint)
    client.enter("message", "é")
    client.click("send-binary")
    client.wait_until("log", lambda text: text.count("c3 a9") == 2, "the bytes and their echo")
    assert log_of(client)[-2:] == ["[2 bytes] c3 a9", "[2 bytes] c3 a9"]


@pytest.mark.parametrize("code", ["1000", "3000", "4999"])
def test_ws_880_03_a_close_is_answered_with_its_code(client, code):
    connect(client)
    close_with(client, code, "r" * 123)
    client.wait_for_state(f"closed {code}")
    assert client.text("close-code") == code
    assert client.text("close-reason") == "–"  # the server's, who has none for that
    assert log_of(client)[-1] == f"closed {code}"
    assert not client.enabled("send-text")


def test_ws_880_04_a_close_that_no_page_may_send_is_said_to_be_wrong(client):
    connect(client)
    close_with(client, "1001")
    assert "1001" in log_of(client)[-1]
    client.wait_for_state("open")


def test_ws_880_05_a_message_that_is_too_long_is_closed_with_1009(client):
    connect(client)
    # As if it were in the field, which would take long to show it.
    client.run(
        "const text = 'x'.repeat(arguments[0]);"
        "Object.defineProperty(document.getElementById('message'), 'value', { get: () => text })",
        LIMIT + 1,
    )
    client.click("send-text")
    client.wait_for_state("closed 1009")
    assert client.text("close-meaning") == "message too big – a message is larger than the limit"


def test_ws_880_06_an_address_without_a_websocket_is_closed_with_1006(client, window):
    window.complaints.append("WebSocket connection to .*/nowhere' failed")
    client.choose("endpoint", "")
    client.enter("address", "/nowhere")
    client.click("connect")
    client.wait_for_state("closed 1006")
    assert client.text("connect") == "Reconnect"


def test_ws_880_07_a_missing_subprotocol_is_refused_and_an_offered_one_chosen(client, window):
    window.complaints.append("WebSocket connection to .*/dumb-increment' failed")
    client.choose("endpoint", "/dumb-increment")
    client.enter("subprotocols", "")
    client.click("connect")
    client.wait_for_state("closed 1006")
    client.enter("subprotocols", "another, dumb-increment-protocol")
    client.click("connect")
    client.wait_for_state("open")
    assert client.text("subprotocol") == "dumb-increment-protocol"


def test_ws_880_08_after_the_end_it_connects_again(client):
    connect(client)
    client.click("disconnect")
    client.wait_for_state("closed 1000")
    client.click("connect")
    client.wait_for_state("open")
    assert client.text("close-code") == "–"
    client.enter("message", "again")
    client.click("send-text")
    client.wait_until("log", lambda text: text.count("again") == 2, "the text and its echo")


def test_ws_880_09_it_is_good_to_look_at(client):
    connect(client, "/rust/echo")
    for message in ("Hello, WebSocket!", "Grüße aus dem Browser", "🌍 " * 60):
        client.enter("message", message)
        client.click("send-text")
    client.click("send-binary")
    client.wait_until("log", lambda text: text.count("[300 bytes]") == 2, "all echoes")
    client.look("client")
