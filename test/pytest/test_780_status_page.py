"""The status handler's live page in a browser: it shows what is there, and closes connections."""

import os
import signal
from urllib.parse import quote

import pytest

from harness.conf import ECHO, example, location
from harness.errorlog import died
from harness.rawclient import frame
from harness.status import LOCATION, PATH, Status
from harness.topics import Subscriber, publish, publishing, topics
from harness.waiting import eventually

pytest_plugins = "harness.demo"

MPMS = ("event",)
TROUBLE = "<img src=x onerror=document.title=1>"


def configuration(server):
    return (
        LOCATION
        + location("/echo", example(ECHO), "WebSocketPingInterval 200ms", "WebSocketPongTimeout 0")
        + location("/chat/room", example(ECHO))
        + location(f'"/{TROUBLE}"', example(ECHO))
        + topics("/topics")
        + publishing("/publish")
    )


@pytest.fixture
def page(httpd, window):
    page = window(f"http://127.0.0.1:{httpd.port}{PATH}")
    page.choose("interval", "1000")
    page.wait_for("state", "Live")
    return page


def cells(page, table):
    """The texts of a table's body, row by row."""
    return page.run(
        "return Array.from(document.querySelectorAll(`#${arguments[0]} tbody tr`),"
        " (row) => Array.from(row.cells, (cell) => cell.innerText.trim()))",
        table,
    )


def wait_for_rows(page, table, count):
    eventually(lambda: len(cells(page, table)) == count, f"{count} rows in {table}")
    return cells(page, table)


def test_ws_780_01_what_is_open_is_shown_as_it_comes_and_goes(httpd, page):
    assert cells(page, "connections") == []
    with httpd.open("/chat/room") as client:
        client.echo("hello")
        (row,) = wait_for_rows(page, "connections", 1)
        assert row[0].startswith("127.0.0.1") and row[1:3] == [Status(httpd).name_of("/chat/room"), "open"]
        eventually(lambda: cells(page, "connections")[0][4] == "1 / 1", "the message")
        client.close_properly()
    wait_for_rows(page, "connections", 0)
    names = [row[0] for row in cells(page, "locations")]
    assert Status(httpd).name_of("/chat/room") + "\nmod_websocket_echo" in names
    assert page.texts(".big")[0] == "0"


def test_ws_780_02_rates_are_drawn(httpd, page):
    def lines():
        return page.run(
            "return Array.from(document.querySelectorAll('.chart path'), (path) => path.getAttribute('d') ?? '')"
        )

    with httpd.open("/chat/room") as client:
        client.echo("hello")
        eventually(lambda: all(line.count("L") >= 2 for line in lines()), "three updates")
        assert not any("NaN" in line or "Infinity" in line for line in lines())
        client.close_properly()


def test_ws_780_03_a_button_closes_a_connection(httpd, page):
    with httpd.open("/chat/room") as one, httpd.open("/chat/room") as other:
        wait_for_rows(page, "connections", 2)
        page.run("document.querySelectorAll('#connections button')[1].click()")
        page.choose("code", "1008")
        page.enter("reason", "enough")
        page.run("document.querySelector('#form button[type=submit]').click()")
        closed = other.receive_frame()
        assert (closed.close_code, closed.payload[2:]) == (1008, b"enough")
        other.send_close(1008)
        wait_for_rows(page, "connections", 1)
        assert page.text("toast").endswith("is being closed.")
        one.echo("still open")
        one.close_properly()


def test_ws_780_04_what_cannot_be_closed_any_more_is_said(httpd, page, window):
    window.complaints.append("404")
    with httpd.open("/chat/room") as client:
        wait_for_rows(page, "connections", 1)
        page.click("pause")
        page.wait_for("state", "Paused")
        client.close_properly()
    Status(httpd).wait_for_open(0)
    page.run("document.querySelector('#connections button').click()")
    page.run("document.querySelector('#form button[type=submit]').click()")
    page.wait_until("said", lambda text: text.startswith("There is no open connection"), "the answer")
    page.click("cancel")
    page.click("pause")
    page.wait_for("state", "Live")
    wait_for_rows(page, "connections", 0)


def test_ws_780_05_a_name_is_text(httpd, page):
    with httpd.open("/%3Cimg%20src=x%20onerror=document.title=1%3E") as client:
        (row,) = wait_for_rows(page, "connections", 1)
        assert row[1] == Status(httpd).name_of(f"/{TROUBLE}")
        assert page.run("return document.title") == "WebSocket status"
        client.close_properly()


def test_ws_780_06_a_server_that_is_away_is_said(httpd, page, window):
    window.complaints.append("ERR_CONNECTION_REFUSED|Failed to fetch")
    httpd.stop()
    page.wait_until("state", lambda text: text.startswith("No answer"), "that there is no answer")
    httpd.start()
    page.wait_for("state", "Live")


def test_ws_780_07_it_is_good_to_look_at(httpd, page):
    clients = [httpd.open("/chat/room") for _ in range(5)] + [httpd.open("/echo")]
    try:
        for number, client in enumerate(clients[:5]):
            for _ in range(number * 40):
                client.send(frame(0x1, "x" * 200))
                client.receive_message()
        for version in ("99", "98"):
            with httpd.client() as bad:
                assert bad.upgrade("/echo", version=version).status == 400
        ping = clients[5].receive_frame()
        clients[5].send_frame(0xA, ping.payload)
        wait_for_rows(page, "connections", 6)
        eventually(
            lambda: page.run("return document.querySelector('.chart path').getAttribute('d').split('L').length") >= 6,
            "some updates",
        )
        page.look("websocket-status")
    finally:
        for client in clients:
            client.vanish()


def test_ws_780_08_children_that_have_died_are_counted(httpd, page):
    assert page.run("return document.getElementById('died').hidden")
    httpd.error_log.expect_death()
    with httpd.open("/echo") as client:
        client.echo("hello")
        (connection,) = Status(httpd).wait_for_open(1)["connections"]
        os.kill(connection["pid"], signal.SIGKILL)
        httpd.error_log.wait_for(died(connection["pid"], 1))
        client.vanish()
    shown = "return document.getElementById('died').innerText"
    eventually(lambda: page.run(shown).startswith("1 child has died"), "what the page says of it")


def test_ws_780_09_all_that_a_filter_means_are_closed_and_no_others(httpd, page):
    with httpd.open("/chat/room", origin=f"http://127.0.0.1:{httpd.port}") as one, httpd.open("/echo") as other:
        wait_for_rows(page, "connections", 2)
        assert page.run("return document.getElementById('close-all').hidden")
        room = Status(httpd).name_of("/chat/room")
        page.enter("filter-location", room)
        page.run("document.querySelector('#filter button[type=submit]').click()")
        (row,) = wait_for_rows(page, "connections", 1)
        assert row[8].splitlines()[1] == f"/chat/room, from http://127.0.0.1:{httpd.port}"
        page.wait_for("close-all", "Close all 1")
        page.click("close-all")
        assert page.text("dialog-text") == f"All of location {room}"
        page.choose("code", "drain")
        page.run("document.querySelector('#form button[type=submit]').click()")
        assert one.receive_frame().close_code == 1001
        one.send_close(1001)
        wait_for_rows(page, "connections", 0)
        assert page.text("toast") == "1 connections are being drained."
        page.enter("filter-location", "")
        page.run("document.querySelector('#filter button[type=submit]').click()")
        (row,) = wait_for_rows(page, "connections", 1)
        assert row[1:3] == [Status(httpd).name_of("/echo"), "open"]
        other.vanish()


def test_ws_780_10_a_filter_that_is_none_is_said(page, window):
    window.complaints.append("400")
    page.enter("filter-client", "nowhere")
    page.run("document.querySelector('#filter button[type=submit]').click()")
    page.wait_for("state", "No answer: client is an address.")
    page.enter("filter-client", "")
    page.run("document.querySelector('#filter button[type=submit]').click()")
    page.wait_for("state", "Live")


def test_ws_780_11_a_client_that_does_more_than_others_has_a_row(httpd, page):
    with httpd.open("/chat/room") as client:
        for _ in range(16):
            client.echo("x" * (1 << 20))
        eventually(lambda: [row[:2] for row in cells(page, "busy")] == [["127.0.0.1", "1"]], "the client")
        assert cells(page, "busy")[0][4].endswith("KiB")
        client.close_properly()
    wait_for_rows(page, "connections", 0)


def test_ws_780_12_topics_have_their_figures_and_children_their_lag(httpd, page):
    name = "/" + quote(TROUBLE)
    with Subscriber(httpd, f"/topics{name}") as subscriber:
        publish(httpd, f"/publish{name}", "hello")
        assert subscriber.next()["data"] == "hello"
        shown = ["/" + TROUBLE, "1", "1", "1", "0", "0", "0"]
        eventually(lambda: shown in cells(page, "topics"), "its row")
        pid = str(Status(httpd).read()["topics"]["children"][0]["pid"])
        eventually(lambda: [pid, "0 B"] in cells(page, "topic-children"), "the child's row")
    assert page.text("topics-all").startswith("1 of 10,000, 1 shown; 1 published, 1 delivered")
