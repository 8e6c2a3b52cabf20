"""The demo's entry page in a browser, and pages whose server goes away and comes back."""

from urllib.parse import urljoin

pytest_plugins = "harness.demo"


def test_ws_883_01_the_entry_page_hears_its_echo(window, site):
    window(site).wait_until("round-trip", lambda text: text.startswith("yes"), "the echo")


def test_ws_883_02_every_demo_has_a_page_and_a_way_back(window, demo):
    page = window(demo.plain)
    links = page.run(
        "return Array.from(document.querySelectorAll('.demos a'), (a) => a.getAttribute('href'))"
    )
    assert len(links) == len(set(links)) == 9
    for link in links:
        answer = page.run_async("return (await fetch(arguments[0])).status", link)
        assert answer == 200, link
    page.go(urljoin(demo.plain, links[0]))
    page.run("document.querySelector('header a').click()")
    page.wait_until("round-trip", lambda text: text.startswith("yes"), "the entry page's echo")


def test_ws_883_03_it_is_good_to_look_at(window, site):
    page = window(site)
    page.wait_until("round-trip", lambda text: text.startswith("yes"), "the echo")
    page.look("index")


def test_ws_883_04_a_page_shows_that_the_server_went_away_and_connects_again(window, brief_demo):
    window.complaints.append("WebSocket connection to .* failed")
    page = window(brief_demo.plain + "increment.html")
    page.wait_until("counter", str.isdigit, "a number")
    brief_demo.stop()
    brief_demo.error_log.verify()
    page.wait_until("ready-state", lambda text: text.startswith("closed"), "the end")
    assert page.text("ready-state") in ("closed 1001", "closed 1006")
    # There is nobody now.
    page.click("connect")
    page.wait_for_state("closed 1006")
    assert page.text("close-meaning") == "no closing handshake: refused, or nobody is there"
    page.look("increment-away")
    brief_demo.start()
    page.click("connect")
    page.wait_for_state("open")
    page.wait_until("counter", str.isdigit, "a number again")
