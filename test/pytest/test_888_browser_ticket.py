"""The demo's ticket in a browser: a token is good once."""

import pytest

pytest_plugins = "harness.demo"


@pytest.fixture
def ticket(window, site):
    window.complaints.append("WebSocket connection to .*/ticket.* failed")
    return window(site + "ticket.html")


def get_token(page):
    page.click("get-token")
    page.wait_until("log", lambda text: "got the token" in text, "a token")
    token = page.value("token")
    assert token
    return token


def last_line(page):
    return page.texts("#log li span")[-1]


def test_ws_888_01_a_token_lets_in_once(ticket):
    get_token(ticket)
    ticket.click("use")
    ticket.wait_for_state("open")
    ticket.wait_until("log", lambda text: "welcome" in text, "the welcome")
    ticket.click("send")
    ticket.wait_until("log", lambda text: text.count("Hello!") == 2, "the message and its echo")
    ticket.click("use-again")
    ticket.wait_for_state("closed 1006")
    assert last_line(ticket) == "refused: closed 1006"


def test_ws_888_02_without_a_token_or_with_a_wrong_one_it_is_refused(ticket):
    for token in ("", "wrong"):
        ticket.enter("token", token)
        ticket.click("use")
        ticket.wait_until("log", lambda text: "refused" in text, "the refusal")
        ticket.wait_for_state("closed 1006")
        ticket.run("document.getElementById('log').replaceChildren()")


def test_ws_888_03_after_a_refusal_a_new_token_lets_in(ticket):
    ticket.enter("token", "wrong")
    ticket.click("use")
    ticket.wait_for_state("closed 1006")
    get_token(ticket)
    ticket.click("use")
    ticket.wait_for_state("open")


def test_ws_888_04_two_windows_need_two_tokens(ticket, window, site):
    token = get_token(ticket)
    other = window(site + "ticket.html")
    assert get_token(other) != token
    ticket.click("use")
    ticket.wait_for_state("open")
    other.click("use")
    other.wait_for_state("open")
    # The first window's token was used by the first window.
    other.enter("token", token)
    other.click("use")
    other.wait_for_state("closed 1006")


def test_ws_888_05_it_is_good_to_look_at(ticket):
    get_token(ticket)
    ticket.click("use")
    ticket.wait_until("log", lambda text: "welcome" in text, "the welcome")
    ticket.click("send")
    ticket.wait_until("log", lambda text: text.count("Hello!") == 2, "the message and its echo")
    ticket.look("ticket")
