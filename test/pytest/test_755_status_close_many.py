"""Closing and draining all WebSockets that a filter means: exactly those, and only when they are as many as expected."""

import json
from contextlib import ExitStack
from urllib.parse import urlencode

import pytest

from harness import users
from harness.conf import ECHO, example, location
from harness.status import LOCATION, PATH, Status, wait_until_quiet

MODULES = users.MODULES
WORKERS = 24
# Two that are the same as far as the board has room for them.
LONG = "u" * 80
USERS = ("ann", "anna", "b&b=c%\u00fc", LONG + "1", LONG + "2")
PATIENT = "WebSocketDrainTimeout 0\n"


def configuration(server):
    login = [*users.authentication(server, *USERS), "Require valid-user"]
    own = "\n".join(["<Location /own-status>", "SetHandler websocket-status", *login, "</Location>", ""])
    return (
        LOCATION + own
        + location("/echo", example(ECHO))
        + location("/users", example(ECHO), *login)
    )


@pytest.fixture
def status(httpd):
    return Status(httpd)


def listed(status, **filter):
    """What the list of those that a filter means says, and how many they are."""
    response = status.get("?" + urlencode({"format": "json", **filter}))
    assert response.status == 200, response.text
    document = json.loads(response.body)
    return [each["id"] for each in document["connections"]], document["matching"]


def post(status, headers=(), **fields):
    return status.post(urlencode(fields), headers)


def expect_close(client, code, reason=""):
    received = client.receive_frame()
    assert (received.close_code, received.payload[2:].decode()) == (code, reason)
    client.send_close(code)
    assert client.receive_to_eof() == b""


class Crowd:
    """One WebSocket of each user, and two without."""

    def __init__(self, httpd, status, stack):
        self.clients = {}
        self.numbers = {}
        self.status = status
        for user in USERS:
            self.clients[user] = stack.enter_context(httpd.open("/users", users.basic(user)))
        for name in ("one", "two"):
            self.clients[name] = stack.enter_context(httpd.open("/echo"))
        document = status.wait_for_open(len(self.clients))
        numbers = sorted(each["id"] for each in document["connections"])
        self.numbers = dict(zip(self.clients, numbers))

    def expect_alive(self, but=()):
        for name, client in self.clients.items():
            if name not in but:
                client.echo("still open")

    def end(self, but=()):
        for name, client in self.clients.items():
            if name not in but:
                client.close_properly()
        self.status.wait_for_open(0)


@pytest.fixture
def crowd(httpd, status):
    with ExitStack() as stack:
        yield Crowd(httpd, status, stack)


def test_ws_755_01_a_filter_means_exactly_those(status, crowd):
    everybody = list(crowd.numbers.values())
    for user in USERS:
        assert listed(status, user=user) == ([crowd.numbers[user]], 1), user
    for nobody in (LONG, LONG + "3", LONG + "\u2026", "an", "ANN"):
        assert listed(status, user=nobody) == ([], 0), nobody
    own = [crowd.numbers["one"], crowd.numbers["two"]]
    assert listed(status, location="localhost/echo") == (own, 2)
    assert listed(status, location="localhost/ech") == ([], 0)
    assert listed(status, client="127.0.0.1") == (everybody, len(everybody))
    assert listed(status, client="127.0.0.2") == ([], 0)
    pids = {each["id"]: each["pid"] for each in status.read()["connections"]}
    for pid in set(pids.values()):
        its = [number for number in everybody if pids[number] == pid]
        assert listed(status, child=pid) == (its, len(its))
    assert listed(status, user="ann", location="localhost/echo") == ([], 0)
    assert listed(status, user="ann", location="localhost/users", client="127.0.0.1")[1] == 1
    # A page of the list has as many as it is asked for; how many match is said all the same.
    assert listed(status, client="127.0.0.1", connections="0,2") == (everybody[:2], len(everybody))
    crowd.end()


@pytest.mark.parametrize("user", USERS)
def test_ws_755_02_all_of_a_user_are_closed_and_nobody_else(status, crowd, user):
    response = post(status, user=user, count=1, code=4001, reason="go")
    assert (response.status, response.text) == (200, "1 connections are being closed.\n")
    expect_close(crowd.clients[user], 4001, "go")
    crowd.expect_alive(but=[user])
    crowd.end(but=[user])


def test_ws_755_03_all_of_a_location_are_closed_whichever_children_have_them(status, crowd):
    assert post(status, location="localhost/echo", count=2, code=1008).status == 200
    for name in ("one", "two"):
        expect_close(crowd.clients[name], 1008)
    crowd.expect_alive(but=["one", "two"])
    crowd.end(but=["one", "two"])


def test_ws_755_04_another_number_than_expected_and_nothing_is_done(status, crowd):
    everybody = len(crowd.clients)
    for count in (0, 1, everybody - 1, everybody + 1):
        response = post(status, client="127.0.0.1", count=count, code=1001)
        assert (response.status, response.text) == (
            409, f"The filter means {everybody} connections, and not {count}: nothing was done.\n"
        )
    response = post(status, user="nobody", count=1, drain="0")
    assert (response.status, response.text) == (
        404, "There is no open connection that the filter means.\n"
    )
    crowd.expect_alive()
    crowd.end()


@pytest.mark.parametrize(("body", "says"), [
    ("user=ann&code=1001", "count is"), ("user=ann&count=x&code=1001", "count is"),
    ("user=ann&count=-1&code=1001", "count is"), ("usr=ann&client=127.0.0.1&count=7&code=1001", '"usr" is no'),
    ("user=ann&user=anna&count=1&code=1001", "user is there twice"),
    ("user=&count=7&code=1001", "user and location are"),
    ("client=localhost&count=7&code=1001", "client is"), ("child=x&count=7&code=1001", "child is"),
    ("user=ann&count=1&code=1006", "code is"), ("user=ann&count=1", "code is"),
    ("user=ann&count=1&drain=30s&code=1001", "drain is"), ("user=ann&count=1&drain=soon", "drain: "),
    ("id=1&user=ann&count=1&code=1001", "id stands alone"),
    ("count=7&code=1001", "id is"), ("drain=30s&count=7", "id is"),
])
def test_ws_755_05_a_form_that_is_not_meant_so_does_nothing(status, crowd, body, says):
    response = status.post(body)
    assert response.status == 400 and response.text.startswith(says), response.text
    crowd.expect_alive()
    crowd.end()


def test_ws_755_06_a_page_of_another_site_does_nothing(status, crowd):
    for headers in (
        [("Sec-Fetch-Site", "cross-site")], [("Origin", "http://evil.example")], [("Origin", "null")],
    ):
        response = post(status, headers, client="127.0.0.1", count=len(crowd.clients), drain="0")
        assert response.status == 403
    crowd.expect_alive()
    crowd.end()


def test_ws_755_07_a_drain_is_spread_and_named(httpd, status, crowd, error_log):
    both = {"location": "localhost/echo", "count": 2}
    # The first goes at once, and the other in half an hour.
    assert post(status, **both, drain="1h").text == "2 connections are being drained.\n"
    expect_close(crowd.clients["one"], 1001)
    crowd.expect_alive(but=["one"])
    status.wait_for_open(len(crowd.clients) - 1)
    # Unless somebody wants it sooner.
    assert post(status, location="localhost/echo", count=1, drain="0").status == 200
    expect_close(crowd.clients["two"], 1001)
    crowd.expect_alive(but=["one", "two"])
    crowd.end(but=["one", "two"])
    ends = error_log.wait_for("WS0302: .*closed by the operator with 1001, answered", count=2)
    assert {line.level for line in ends} == {"info"}


def test_ws_755_08_who_asks_is_in_the_log_at_notice(httpd, status, crowd, error_log):
    own = Status(httpd, "/own-status")
    response = own.post(
        urlencode({"user": USERS[2], "client": "127.0.0.1", "count": 1, "code": 4001}), users.basic("ann")
    )
    assert response.status == 200, response.text
    expect_close(crowd.clients[USERS[2]], 4001)
    (line,) = error_log.wait_for("WS0303: ")
    assert line.level == "notice"
    assert line.text.endswith(
        'client 127.0.0.1, are to be closed with 4001, as user "ann" at 127.0.0.1 wants (POST "/own-status")'
    ), line.text
    assert "WS0303: 1 WebSockets, all of user " in line.text
    post(status, location="localhost/echo", count=2, drain="0")
    for name in ("one", "two"):
        expect_close(crowd.clients[name], 1001)
    (_, line) = error_log.wait_for("WS0303: ", count=2)
    assert line.text.endswith(
        'WS0303: 2 WebSockets, all of Location "localhost/echo", are to be drained over 0 s, '
        f'as somebody at 127.0.0.1 wants (POST "{PATH}")'
    ), line.text
    crowd.end(but=[USERS[2], "one", "two"])


def test_ws_755_09_a_child_is_drained_and_no_other(make_httpd, mpm):
    """One of the generation before: it is another child for sure."""
    server = make_httpd(mpm, PATIENT + LOCATION + location("/echo", example(ECHO))).start()
    status = Status(server)
    with server.open("/echo") as old:
        old.echo("before")
        (connection,) = status.read()["connections"]
        server.graceful()
        with status.open_in_new_generation("/echo") as new:
            status.wait_for_open(2)
            pid = connection["pid"]
            assert listed(status, child=pid) == ([connection["id"]], 1)
            assert post(status, child=pid, count=1, drain="0").status == 200
            expect_close(old, 1001)
            new.echo("still open")
            new.close_properly()
    wait_until_quiet(server)


@pytest.mark.parametrize("query", ["user=", "location=", "client=x", "child=-1", "client="])
def test_ws_755_10_a_filter_that_is_none_is_said(status, query):
    response = status.get(f"?format=json&{query}")
    assert response.status == 400
    assert response.text.split()[0] in ("user", "client", "child")
