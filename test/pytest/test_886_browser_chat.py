"""The demo's chat between windows."""

import pytest
from selenium.webdriver.common.keys import Keys

from harness.waiting import eventually

pytest_plugins = "harness.demo"

@pytest.fixture
def chat(window, site):
    """Opens the page and joins under a nickname."""

    def join(nick):
        page = window(site + "chat.html")
        page.wait_for_state("open")
        page.enter("nick", nick + Keys.ENTER)
        wait_until_in(page)
        return page

    return join


def wait_until_in(page):
    eventually(lambda: page.enabled("text"), "being let in")


def say(page, text):
    page.enter("text", text + Keys.ENTER)


def said(page):
    """Who said what, as the page shows it."""
    return page.run(
        "return Array.from(document.querySelectorAll('.message'), (message) =>"
        " [message.querySelector('.who').firstChild.data, message.querySelector('p').textContent])"
    )


def wait_for_message(page, nick, text):
    eventually(lambda: said(page)[-1:] == [[nick, text]], f"{nick}: {text}")


def wait_for_note(page, text):
    eventually(lambda: text in page.texts(".note"), f"the note {text!r}")


def test_ws_886_01_two_windows_talk(chat):
    ada = chat("Ada")
    grace = chat("Grace")
    wait_for_note(ada, "Grace came in")
    ada.wait_for("members", "2 are here.")
    say(ada, "Grüße! 🌍 <b>not bold</b>")
    for page in (ada, grace):
        wait_for_message(page, "Ada", "Grüße! 🌍 <b>not bold</b>")
    say(grace, "Hello")
    for page in (ada, grace):
        wait_for_message(page, "Grace", "Hello")
    assert ada.texts(".message.mine p")[-1:] == ["Grüße! 🌍 <b>not bold</b>"]
    assert grace.texts(".message.mine p")[-1:] == ["Hello"]
    grace.click("disconnect")
    wait_for_note(ada, "Grace left")
    ada.wait_for("members", "You are alone here.")


def test_ws_886_02_a_nickname_that_is_taken_can_be_changed(chat, window, site):
    chat("Linus")
    other = window(site + "chat.html")
    other.wait_for_state("open")
    other.enter("nick", "Linus" + Keys.ENTER)
    other.wait_until("problem", bool, "the server's refusal")
    assert not other.enabled("text")
    other.enter("nick", "Linus 2" + Keys.ENTER)
    wait_until_in(other)
    assert not other.run("return document.getElementById('problem').checkVisibility()")


def test_ws_886_03_a_nickname_of_blanks_is_refused(window, site):
    page = window(site + "chat.html")
    page.wait_for_state("open")
    page.enter("nick", "   " + Keys.ENTER)
    page.wait_until("problem", bool, "the server's refusal")
    assert not page.enabled("text")


def test_ws_886_04_who_comes_later_gets_the_last_fifty(chat):
    first = chat("Early")
    for number in range(60):
        say(first, f"number {number}")
    wait_for_message(first, "Early", "number 59")
    late = chat("Late")
    assert said(late) == [["Early", f"number {number}"] for number in range(10, 60)]


def test_ws_886_05_after_the_end_it_joins_again_under_its_name(chat):
    page = chat("Phoenix")
    page.click("disconnect")
    page.wait_for_state("closed 1000")
    assert not page.enabled("text")
    page.click("connect")
    page.wait_for_state("open")
    wait_until_in(page)
    say(page, "I am back")
    wait_for_message(page, "Phoenix", "I am back")


def test_ws_886_06_it_is_good_to_look_at(chat):
    ada, grace = chat("Ada"), chat("Grace")
    talk = [
        (ada, "Ada", "Is anybody here?"),
        (grace, "Grace", "I am. This came through Apache httpd."),
        (grace, "Grace", "With the plugin of the examples."),
        (ada, "Ada", "A long one, to see how it is broken into lines: " + "la " * 60 + "end"),
        (grace, "Grace", "🌍"),
    ]
    for page, nick, text in talk:
        say(page, text)
        wait_for_message(ada, nick, text)
    ada.look("chat")
