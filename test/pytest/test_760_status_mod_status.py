"""The figures in mod_status' page: HTML, without tables, and one a line.

That the module goes without mod_status, all other suites prove.
"""

import re

import pytest

from harness.conf import ECHO, example, location
from harness.status import wait_until_quiet


def configuration(extended):
    return (
        f"ExtendedStatus {extended}\n"
        + "<Location /server-status>\n  SetHandler server-status\n</Location>\n"
        + location("/echo", example(ECHO))
        + location(r'''"/<script>"''', example(ECHO))
    )


@pytest.fixture(params=["On", "Off"], ids=["extended", "not extended"])
def server(request, make_httpd, mpm):
    server = make_httpd(mpm, configuration(request.param), modules=("status",)).start()
    yield server
    wait_until_quiet(server)


def lines(server):
    """The report for programs, as names and values."""
    response = server.ask("/server-status?auto")
    assert response.status == 200
    pairs = [line.split(": ", 1) for line in response.text.splitlines() if ": " in line]
    return dict(pairs)


def test_ws_760_01_one_a_line(server):
    with server.open("/echo") as client, server.open("/echo"):
        client.echo("hello")
        report = lines(server)
        assert report["WebSocketOpen"] == report["WebSocketAccepted"] == "2"
        assert report["WebSocketMessagesIn"] == report["WebSocketMessagesOut"] == "1"
        assert report["WebSocketRefused[origin]"] == "0"
        assert report["WebSocketLocation[0]Name"] == f"ws://localhost:{server.port}/echo"
        assert report["WebSocketLocation[0]Plugin"] == "mod_websocket_echo"
        assert report["WebSocketLocation[0]Open"] == "2"
        client.close_properly()


def test_ws_760_02_a_table(server):
    with server.open("/echo") as client, server.open("/%3Cscript%3E"):
        client.echo("hello")
        response = server.ask("/server-status")
        assert response.get("Content-Type").startswith("text/html")
        page = response.text
        section = page[page.index("<h2>WebSockets</h2>"):]
        rows = [
            re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>(<td.*?)</tr>", section)
        ]
        titles = re.findall(r"<th>(.*?)</th>", section)
        assert [row[0] for row in rows] == [*(f"ws://localhost:{server.port}{path}" for path in ("/&lt;script&gt;", "/echo")), "All"]
        assert all(len(row) == len(titles) for row in rows)
        assert [row[titles.index("Open")] for row in rows] == ["1", "1", "2"]
        assert "<script>" not in section
        client.close_properly()


def test_ws_760_03_without_tables(server):
    with server.open("/%3Cscript%3E") as client:
        page = server.ask("/server-status?notable").text
        section = page[page.index("<h2>WebSockets</h2>"):]
        assert "\nWebSocketOpen: 1\n" in section
        assert "<table" not in section and "<script>" not in section
        client.close_properly()


def test_ws_760_04_before_the_first_websocket(server):
    assert lines(server)["WebSocketOpen"] == "0"
    assert "<h2>WebSockets</h2>" in server.ask("/server-status").text
