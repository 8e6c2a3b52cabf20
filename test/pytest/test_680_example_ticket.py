"""The example ticket: tokens from a CGI script, each good once and for a short time."""

import os
import pwd
import re
import shutil
import threading
import time

import pytest

from harness import settings
from harness.conf import example, location
from harness.rawclient import BINARY, TEXT
from harness.waiting import eventually

# Not mod_cgid: its socket belongs to root for a moment after the start.
MODULES = ("alias", "cgi", "env", "status")
TICKET = ("mod_websocket_rust_ticket", "ticket_init")
SCRIPT = settings.ROOT / "plugins-examples" / "ticket.cgi"
WELL_FORMED = "0123456789abcdef" * 2


def configuration(server):
    tickets = directory(server)
    tickets.mkdir(exist_ok=True)
    if user := settings.unprivileged():
        os.chown(tickets, pwd.getpwnam(user[0]).pw_uid, -1)
    # The server's children may not be able to read the source tree.
    script = server.directory / "ticket.cgi"
    shutil.copy(SCRIPT, script)
    script.chmod(0o755)
    option = f'WebSocketPluginOption tickets "{tickets}"'
    return (
        '<Location "/server-status">\n  SetHandler server-status\n</Location>\n'
        + f'ScriptAlias "/ticket/token" "{script}"\n'
        + '<Files "ticket.cgi">\n  Require all granted\n</Files>\n'
        + f'<Location "/ticket/token">\n  SetEnv TICKETS "{tickets}"\n</Location>\n'
        + '<LocationMatch "^/ticket$">\n'
        + "  SetHandler websocket-handler\n"
        + f"  {example(TICKET)}\n  {option}\n</LocationMatch>\n"
        + location("/long", example(TICKET), option, "WebSocketPluginOption max-age 1min")
        + location("/absent", example(TICKET), f'WebSocketPluginOption tickets "{tickets}/none"')
    )


def directory(server):
    return server.directory / "tickets"


@pytest.fixture(scope="module", autouse=True)
def scripts_have_ended(httpd):
    """httpd's event MPM may crash when it is stopped while a worker thread is ending a connection, as one does for a
    while after a script."""
    yield

    def is_idle():
        # But for the one that answers.
        text = httpd.ask("/server-status?auto").text
        return int(re.search(r"^BusyWorkers: (\d+)$", text, re.MULTILINE)[1]) == 1

    eventually(is_idle, "the worker threads to be idle")


def get_token(httpd):
    response = httpd.ask("/ticket/token")
    assert response.status == 200, response.text
    assert response.get("Content-Type") == "text/plain"
    assert response.get("Cache-Control") == "no-store"
    token = response.text.strip()
    assert re.fullmatch("[0-9a-f]{32}", token)
    return token


def old_token(httpd, seconds):
    """A token that was handed out some time ago."""
    token = get_token(httpd)
    then = time.time() - seconds
    os.utime(directory(httpd) / token, (then, then))
    return token


def open_and_use(httpd, path):
    with httpd.open(path) as client:
        assert client.receive_message().text == "welcome"
        client.echo("Hello!", TEXT)
        client.echo(b"\x00\xff", BINARY)
        client.close_properly()


def assert_refused(httpd, path):
    with httpd.client() as client:
        response = client.upgrade(path)
        assert response.status == 401
        assert response.get("WWW-Authenticate") == "Ticket"


def test_ws_680_01_a_token_opens_a_websocket_once(httpd):
    token = get_token(httpd)
    open_and_use(httpd, f"/ticket?token={token}")
    assert not (directory(httpd) / token).exists()
    assert_refused(httpd, f"/ticket?token={token}")
    # Others are not affected.
    open_and_use(httpd, f"/ticket?token={get_token(httpd)}")


def test_ws_680_02_tokens_differ(httpd):
    tokens = [get_token(httpd) for _ in range(5)]
    assert len(set(tokens)) == 5
    for token in reversed(tokens):
        open_and_use(httpd, f"/ticket?token={token}")


@pytest.mark.parametrize("query", [
    "", "?", "?token", "?token=", "?other=1", f"?token={WELL_FORMED}", f"?token={WELL_FORMED[:-1]}",
    f"?token={WELL_FORMED}0", f"?token={WELL_FORMED.upper()}", "?token=..", "?token=%2Fetc%2Fpasswd",
    f"?token={WELL_FORMED}%00", "?token=../httpd.conf", f"?token={'.' * 32}", f"?token={'/' * 32}",
])
def test_ws_680_03_a_wrong_token_is_refused(httpd, query):
    assert_refused(httpd, f"/ticket{query}")


def test_ws_680_04_no_name_but_a_token_is_looked_for(httpd):
    # Each exists, and none is removed.
    for name in ("a", "x" * 32, WELL_FORMED.upper(), WELL_FORMED + "0"):
        file = directory(httpd) / name
        file.touch()
        assert_refused(httpd, f"/ticket?token={name}")
        assert_refused(httpd, f"/ticket?token={WELL_FORMED[:4]}/../{name}")
        file.unlink()
    assert_refused(httpd, "/ticket?token=../httpd.conf")
    assert httpd.configuration_file.exists()


@pytest.mark.parametrize(("path", "age"), [("/ticket", 11), ("/ticket", 3600), ("/long", 61)])
def test_ws_680_05_an_old_token_is_refused_and_gone(httpd, path, age):
    token = old_token(httpd, age)
    assert_refused(httpd, f"{path}?token={token}")
    assert not (directory(httpd) / token).exists()


def test_ws_680_06_max_age_says_how_old_one_may_be(httpd):
    open_and_use(httpd, f"/long?token={old_token(httpd, 20)}")
    assert_refused(httpd, f"/ticket?token={old_token(httpd, 20)}")


def test_ws_680_07_a_token_of_the_future_is_refused(httpd):
    assert_refused(httpd, f"/ticket?token={old_token(httpd, -3600)}")


def test_ws_680_08_of_many_at_once_one_gets_in(httpd):
    for _ in range(5):
        token = get_token(httpd)
        clients = [httpd.client() for _ in range(8)]
        start = threading.Barrier(len(clients))
        statuses = []

        def use(client):
            start.wait()
            statuses.append(client.upgrade(f"/ticket?token={token}").status)

        threads = [threading.Thread(target=use, args=(client,)) for client in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for client in clients:
            client.vanish()
        assert sorted(statuses) == [101] + [401] * 7


def test_ws_680_09_tokens_that_nobody_used_are_removed(httpd):
    token = old_token(httpd, 3600)
    kept = get_token(httpd)
    assert not (directory(httpd) / token).exists()
    assert (directory(httpd) / kept).exists()


def test_ws_680_10_without_the_directory_nobody_gets_in(httpd):
    assert_refused(httpd, f"/absent?token={WELL_FORMED}")


def test_ws_680_11_a_token_is_nothing_but_a_websocket_s(httpd):
    """What the address says to a request that is no WebSocket's, and to one below it."""
    assert httpd.ask(f"/ticket?token={get_token(httpd)}").status == 426
    assert httpd.ask("/ticket/other").status == 404
