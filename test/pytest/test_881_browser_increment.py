"""The demo's counter page in a browser."""

import pytest

from harness.waiting import eventually

pytest_plugins = "harness.demo"

ENDPOINTS = ["/dumb-increment", "/rust/dumb-increment"]

# Each number with the connection that it came on, counted from the time the page was opened: a page that changes
# its connection shows nothing in between that a test could wait for.
RECORD = """
window.connections = 0;
window.WebSocket = class extends WebSocket {
  constructor(...parameters) {
    super(...parameters);
    window.connections += 1;
  }
};
window.numbers = [];
const counter = document.getElementById("counter");
new MutationObserver(() => {
  if (/[0-9]/.test(counter.textContent)) {
    window.numbers.push([window.connections, Number(counter.textContent)]);
  }
}).observe(counter, { childList: true });
"""


@pytest.fixture
def counter(window, site):
    page = window(site + "increment.html")
    page.run(RECORD)
    return page


def connections(page):
    """How many connections the page has begun since it was opened."""
    return page.run("return window.connections")


def numbers(page):
    """All that the page has shown of its present connection."""
    return page.run(
        "return window.numbers.filter(([of]) => of === window.connections).map(([, number]) => number)"
    )


def wait_for_numbers(page, after=0, count=5):
    """Waits for so many numbers of this connection after the first `after` ones, and returns these."""
    eventually(lambda: len(numbers(page)) >= after + count, f"{count} numbers after {after}")
    return numbers(page)[after:]


def wait_for_count_from_0(page, after=0):
    """Waits until this connection counts from 0, after so many numbers, and checks that it misses none."""
    eventually(lambda: 0 in numbers(page)[after:], "a count from 0")
    begin = after + numbers(page)[after:].index(0)
    shown = wait_for_numbers(page, begin)
    assert shown == list(range(len(shown)))


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_ws_881_01_it_counts_and_starts_again(counter, endpoint):
    counter.choose("endpoint", endpoint)
    counter.wait_for_state("open")
    assert counter.text("url").endswith(endpoint)
    assert counter.text("subprotocol") == "dumb-increment-protocol"
    seen = len(wait_for_numbers(counter))
    counter.click("reset")
    wait_for_count_from_0(counter, seen)


def test_ws_881_02_the_other_plugin_begins_at_its_own_0(counter):
    wait_for_numbers(counter)
    counter.choose("endpoint", "/rust/dumb-increment")
    assert connections(counter) == 1
    wait_for_count_from_0(counter)
    assert counter.text("url").endswith("/rust/dumb-increment")


def test_ws_881_03_after_the_end_it_counts_from_the_beginning(counter):
    wait_for_numbers(counter)
    counter.click("disconnect")
    counter.wait_for_state("closed 1000")
    assert not counter.enabled("reset")
    counter.click("connect")
    assert connections(counter) == 1
    wait_for_count_from_0(counter)


def test_ws_881_04_it_is_good_to_look_at(counter):
    wait_for_numbers(counter)
    counter.look("increment")
