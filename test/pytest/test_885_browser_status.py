"""The demo's status page in a browser: the server's updates, drawn live."""

import pytest

from harness import settings
from harness.waiting import eventually

pytest_plugins = "harness.demo"

RECORD = """
window.updates = [];
const sent = document.getElementById("sent");
new MutationObserver(() => window.updates.push(Number(sent.textContent))).observe(sent, {
  childList: true,
});
"""

ONE_PROCESS = settings.mpms()[0] != "prefork"


@pytest.fixture
def status(window, site):
    page = window(site + "status.html")
    page.wait_for_state("open")
    return page


def updates(page):
    text = page.text("sent")
    return int(text) if text.isdigit() else 0


def wait_for_updates(page, count):
    eventually(lambda: updates(page) >= count, f"{count} updates")


def test_ws_885_01_the_numbers_come_and_are_drawn(status, demo):
    status.choose("update-ms", "100")
    status.wait_until("url", lambda text: text.endswith("/status?update-ms=100"), "the new address")
    wait_for_updates(status, 5)
    assert status.text("memory").endswith("MiB")
    assert int(status.text("connections")) >= 1
    assert int(status.text("threads")) >= 1
    assert int(status.text("descriptors")) >= 1
    assert len(status.text("load").split(" · ")) == 3
    lines = status.run(
        "return Array.from(document.querySelectorAll('.chart path'), (p) => p.getAttribute('d'))"
    )
    assert len(lines) == 3 + 2 * 4
    assert all(line and line.startswith("M") and "NaN" not in line for line in lines)


@pytest.mark.skipif(not ONE_PROCESS, reason="under prefork each WebSocket has a process of its own")
def test_ws_885_02_a_second_window_is_counted_while_it_is_open(status, window, site):
    status.choose("update-ms", "100")
    status.wait_for("connections", "1")
    second = window(site + "status.html")
    wait_for_updates(second, 1)

    def in_the_same_process():
        if second.text("pid") == status.text("pid"):
            return True
        # The kernel decides which process gets a connection.
        second.click("disconnect")
        second.wait_for_state("closed 1000")
        second.click("connect")
        second.wait_for_state("open")
        wait_for_updates(second, 1)
        return second.text("pid") == status.text("pid")

    eventually(in_the_same_process, "the second window in the same process", patience=60)
    status.wait_for("connections", "2")
    second.click("disconnect")
    status.wait_for("connections", "1")


def test_ws_885_03_closed_it_stands_still_and_goes_on_when_asked(status):
    status.choose("update-ms", "100")
    wait_for_updates(status, 3)
    status.click("disconnect")
    status.wait_for_state("closed 1000")
    # From here on nothing comes but what a new connection brings.
    status.run(RECORD)
    status.click("connect")
    status.wait_for_state("open")
    eventually(lambda: 1 in status.run("return window.updates"), "the count of a new connection")


@pytest.mark.parametrize("interval", ["99", "60001", "soon"])
def test_ws_885_04_an_interval_that_is_no_such_is_refused(status, window, interval):
    window.complaints.append("WebSocket connection to .*/status.* failed")
    code = status.run_async(
        """
        const url = document.getElementById("url").textContent;
        const socket = new WebSocket(url.replace(/=.*/, "=" + arguments[0]));
        return await new Promise((resolve) => { socket.onclose = ({ code }) => resolve(code); });
        """,
        interval,
    )
    assert code == 1006


def test_ws_885_05_it_is_good_to_look_at(status):
    status.choose("update-ms", "100")
    wait_for_updates(status, 30)
    status.look("status")
