"""One WebSocket, one story: its number is in every line of its life, in the access log, in the list, and the plugin has it."""

import re

import pytest

from harness import users
from harness.conf import location, plugin
from harness.hosts import TLS_MODULES, tls_host
from harness.scripted import ask, scripts
from harness.status import LOCATION, Status
from harness.waiting import eventually

MODULES = (*TLS_MODULES, *users.MODULES, "env")
SECRET = "s3cret"
# A name that would look like another field of the line, and one that would end it.
USERS = ("alice", 'a", user "root', "n\u00e9e")


def configuration(server):
    return (
        'LogFormat "%q %{websocket-id}n" numbers\nCustomLog numbers.log numbers\n'
        + LOCATION
        + location("/users", plugin("rpc"), *users.authentication(server, *USERS), "Require valid-user")
        + location("/scripted", plugin("scripted"))
        + tls_host(server)
    )


@pytest.fixture
def status(httpd):
    return Status(httpd)


def note(server, query):
    """The number that the access log has for the request with this query."""
    path = server.directory / "numbers.log"

    def line():
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in lines if line.startswith(f"?{query} ")]

    (found,) = eventually(line, "the line of the access log")
    return found.split(" ")[1]


@pytest.mark.parametrize("tls", [False, True])
def test_ws_482_01_all_that_is_said_of_a_websocket_has_its_number(httpd, status, error_log, tls):
    error_log.expect("WS0401")
    name = f"story-{tls}"
    context = httpd.certificates.client_context() if tls else None
    fields = scripts(on_connect="log 5 hears of it")
    with httpd.open(f"/scripted?{name}", fields, tls=context) as client:
        number = ask(client, "variable_get WEBSOCKET_ID")
        assert [str(each["id"]) for each in status.read()["connections"]] == [number]
        assert ask(client, "log 5 says something; send text hex:ff") == "done; 0"
        assert status.close(number, 4001, "go").status == 200
        assert client.receive_frame().close_code == 4001
        client.send_close(4001)
        client.receive_to_eof()
    error_log.wait_for("WS0302: ")
    lines = error_log.find(r"WS0[34]\d\d: ")
    tags = [re.search(r"WS\d{4}", line.text)[0] for line in lines]
    assert sorted(tags) == ["WS0301", "WS0302", "WS0303", "WS0401", "WS0402", "WS0402"]
    for line in lines:
        assert re.search(rf"WS\d{{4}}: WebSocket {number}\b", line.text), line.text
    assert note(httpd, name) == number


@pytest.mark.parametrize("user", USERS)
def test_ws_482_02_an_opening_says_who_and_where_and_no_query(httpd, status, error_log, user):
    fields = users.basic(user) + [("X-Choose-Protocol", "chat.v2")]
    query = f"{SECRET}-{USERS.index(user)}"
    with httpd.open(f"/users/%22room%22?{query}", fields, protocol="chat.v2") as client:
        (connection,) = status.read()["connections"]
        client.close_properly()
    number = note(httpd, query)
    assert (connection["id"], connection["user"]) == (int(number), user)
    (line,) = error_log.wait_for("WS0301: ")
    assert line.level == "info"
    # httpd writes each backslash twice, and what is not ASCII as it likes.
    told = line.text.partition("WS0301: ")[2].replace(2 * "\\", "\\")
    quoted = user.replace('"', '\\"')
    pattern = (
        rf'WebSocket {number}: opened at "/users/\"room\"" (Location "localhost/users"), '
        rf'user "{quoted}", subprotocol "chat.v2", version 13'
    )
    if user.isascii():
        assert told == pattern
    assert not error_log.find(SECRET)


def test_ws_482_03_the_list_says_what_a_websocket_is(httpd, status):
    context = httpd.certificates.client_context()
    origin = f"https://127.0.0.1:{httpd.tls_port}"
    with httpd.open(f"/scripted/a%20b?{SECRET}", tls=context, origin=origin) as client:
        client.close_code = None
        (connection,) = status.read()["connections"]
        assert {name: connection[name] for name in (
            "user", "path", "subprotocol", "origin", "tls", "compressed"
        )} == {
            "user": None, "path": "/scripted/a b", "subprotocol": None, "origin": origin,
            "tls": True, "compressed": False,
        }
        client.close_properly()
    status.wait_for_open(0)


def test_ws_482_04_what_is_no_websocket_has_no_number(httpd):
    with httpd.client() as client:
        assert client.upgrade("/scripted?refused", key="short").status == 400
    assert note(httpd, "refused") == "-"
