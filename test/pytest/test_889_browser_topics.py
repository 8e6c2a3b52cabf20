"""The demo's page about topics: subscribe, publish, come back."""

import shlex
import subprocess

from selenium.webdriver.common.keys import Keys

from harness.waiting import eventually

pytest_plugins = "harness.demo"


def lines(page, kind="received"):
    """What the page's log shows of a kind."""
    return [text.strip() for text in page.texts(f"#log .{kind} span")]


def wait_for_lines(page, expected, kind="received"):
    eventually(lambda: lines(page, kind)[-len(expected):] == expected, f"{kind} {expected}")


def publish(page, text):
    page.enter("message", text)
    page.click("publish")


def open_topic(window, site, topic):
    page = window(site + "topics.html")
    page.wait_for_state("open")
    page.enter("topic", topic + Keys.TAB)
    page.wait_until("url", lambda url: url.endswith(f"/topics/{topic}"), "the topic's address")
    page.wait_for_state("open")
    page.wait_until("since", lambda text: "-" in text, "an id")
    return page


def test_ws_889_01_what_one_window_publishes_comes_to_all(window, site):
    pages = [open_topic(window, site, "two") for _ in range(2)]
    publish(pages[0], "Grüße!")
    for page in pages:
        wait_for_lines(page, ["Grüße!"])
    pages[0].wait_until("published", lambda text: text.endswith("to 2"), "how many have got it")
    pages[0].look("topics")


def test_ws_889_02_who_comes_back_gets_what_was_missed(window, site):
    here, away = (open_topic(window, site, "back") for _ in range(2))
    publish(here, "one")
    wait_for_lines(away, ["one"])
    away.click("disconnect")
    away.wait_for_state("closed 1000")
    for text in "two", "three":
        publish(here, text)
        wait_for_lines(here, [text])
    away.click("connect")
    away.wait_for_state("open")
    wait_for_lines(away, ["one", "two", "three"])
    assert "back again: what was missed follows" in lines(away, "event")


def test_ws_889_03_the_line_for_a_shell_publishes(window, demo):
    page = open_topic(window, demo.plain, "shell")
    command = shlex.split(page.text("curl"))
    assert command[0] == "curl" and command[-1] == f"{demo.plain}publish/shell"
    answer = subprocess.run(
        [*command, "--silent", "--fail"], capture_output=True, text=True, timeout=30, check=True
    )
    assert '"subscribers":1' in answer.stdout
    wait_for_lines(page, ["Hello"])
