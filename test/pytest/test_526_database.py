"""mod_dbd: whoever was let in by a database does not keep a connection to it for as long as the WebSocket is open."""

import base64
import hashlib
import re
import shutil
import sqlite3

import pytest

from harness import settings
from harness.conf import ECHO, example, location
from harness.httpd import Httpd

# Under prefork each child has one WebSocket, and connections of its own.
MPMS = ("event", "worker")
MODULES = ("dbd", "auth_basic", "authn_core", "authn_dbd", "authz_user", "authz_dbd")
MOST = 2
CROWD = 10
SIGN_ON = [("Authorization", "Basic " + base64.b64encode(b"ada:secret").decode())]
WRONG = [("Authorization", "Basic " + base64.b64encode(b"ada:wrong").decode())]


@pytest.fixture
def start(make_httpd, mpm):
    if missing := [name for name in MODULES if not settings.has_module(name)]:
        pytest.skip(f"this httpd has no {', '.join(missing)}")

    def serve(*lines):
        def configuration(server):
            path = server.directory / "users.sqlite"
            with sqlite3.connect(path) as database:
                database.execute("CREATE TABLE IF NOT EXISTS users (name TEXT, password TEXT, team TEXT)")
                secret = "{SHA}" + base64.b64encode(hashlib.sha1(b"secret").digest()).decode()
                database.execute("INSERT INTO users VALUES ('ada', ?, 'chat')", (secret,))
            database.close()
            path.chmod(0o644)
            access = (
                "AuthType Basic", "AuthName members", "AuthBasicProvider dbd",
                'AuthDBDUserPWQuery "SELECT password FROM users WHERE name = %s"',
                'AuthzDBDQuery "SELECT team FROM users WHERE name = %s"', "Require dbd-group chat",
            )
            return (
                f'WebSocketDrainTimeout 500ms\nDBDriver sqlite3\nDBDParams "{path}"\nDBDMin 1\nDBDKeep 1\nDBDMax {MOST}\n'
                + "".join(f"{line}\n" for line in lines)
                + location("/members", example(ECHO), *access)
                + "<Location /index.html>\n" + "\n".join(access) + "\n</Location>\n"
            )

        return make_httpd(mpm, configuration, modules=MODULES, workers=2 * CROWD).start()

    return serve


@pytest.mark.parametrize("persist", ["On", "Off"])
def test_ws_526_01_more_websockets_than_connections(start, persist):
    server = start(f"DBDPersist {persist}")
    clients = [server.open("/members", SIGN_ON) for _ in range(CROWD)]
    for client in clients:
        client.echo("hello")
    # Pages have the same connections.
    for _ in range(MOST + 1):
        assert server.ask("/index.html", SIGN_ON).status == 200
    for client in clients:
        client.close_properly()
        client.vanish()
    # What was given back early is not given back again.
    with server.open("/members", SIGN_ON) as client:
        client.echo("once more")
        client.close_properly()


def test_ws_526_02_who_is_not_let_in_keeps_none(start):
    server = start()
    server.error_log.expect(r"AH01617: user ada: authentication failure")
    for _ in range(MOST + 2):
        with server.client() as client:
            assert client.upgrade("/members", WRONG).status == 401
        with server.client() as client:
            assert client.upgrade("/members", SIGN_ON, version="12").status in (400, 426)
    with server.open("/members", SIGN_ON) as client:
        client.echo("hello")
        client.close_properly()


def test_ws_526_03_a_restart_begins_anew(start):
    server = start()
    for _ in range(2):
        clients = [server.open("/members", SIGN_ON) for _ in range(MOST + 2)]
        server.graceful()
        for client in clients:
            assert client.receive_frame().close_code == 1001
            client.send_close(1001)
            assert client.receive_to_eof() == b""
            client.vanish()
    assert server.ask("/index.html", SIGN_ON).status == 200


ASKS = ("AuthType Basic", "AuthName members", "AuthBasicProvider dbd", "Require valid-user")


def section(start, *lines):
    return f"<{start}>\n" + "".join(f"{line}\n" for line in lines) + f"</{start.split()[0]}>\n"


@pytest.fixture(scope="module")
def tester(tmp_path_factory):
    """A server that never runs, with a driver of APR's that has another one's name (test/modules/dbd_odbc.c)."""
    mpms = [mpm for mpm in settings.mpms() if mpm in MPMS]
    if not mpms or any(not settings.has_module(name) for name in MODULES):
        pytest.skip("this httpd lacks what it takes")
    drivers = tmp_path_factory.mktemp("drivers")
    shutil.copy(settings.TEST_PLUGINS / "modules/dbd_odbc.so", drivers / "apr_dbd_odbc-1.so")
    modules = (*MODULES, "authn_socache", "socache_shmcb", "session", "session_dbd", "auth_form", "request")
    server = Httpd(mpms[0], modules=modules, environment={"LD_LIBRARY_PATH": str(drivers)})
    yield server
    server.remove()


def warned(tester, text):
    result, _ = tester.configtest(text)
    assert result.returncode == 0, result.stderr
    return re.findall(r"WS0119: .*configtest\.conf:\d+: (.*?): with APR's driver odbc", result.stderr)


@pytest.mark.parametrize(("text", "directive"), [
    (location("/members", example(ECHO), *ASKS), "AuthBasicProvider dbd"),
    (location("/members", example(ECHO), *ASKS[:2], "AuthBasicProvider dbd socache"), "AuthBasicProvider dbd socache"),
    (section("Location /", *ASKS) + location("/members", example(ECHO)), "AuthBasicProvider dbd"),
    (section("Directory /tmp", *ASKS) + location("/members", example(ECHO)), "AuthBasicProvider dbd"),
    (location("/members", example(ECHO), section("RequireAny", "Require dbd-group chat")), "Require dbd-group chat"),
    (section("AuthnProviderAlias dbd members", 'AuthDBDUserPWQuery "SELECT 1"')
     + location("/members", example(ECHO), *ASKS[:2], "AuthBasicProvider members"), "AuthBasicProvider members"),
    (location("/members", example(ECHO), "Session On", "SessionDBDCookieName who"), "SessionDBDCookieName who"),
    (section("Location /topics", "SetHandler websocket-topics", *ASKS), "AuthBasicProvider dbd"),
    # A host has the driver of the server around it.
    (section("VirtualHost *:1", location("/members", example(ECHO), *ASKS)), "AuthBasicProvider dbd"),
])
def test_ws_526_04_a_driver_whose_connections_stay_is_warned_of(tester, text, directive):
    assert warned(tester, "DBDriver odbc\n" + text) == [directive]


@pytest.mark.parametrize("text", [
    "DBDriver sqlite3\n" + location("/members", example(ECHO), *ASKS),
    "DBDriver odbc\n" + location("/members", example(ECHO), *ASKS[:2], "AuthBasicProvider socache dbd"),
    "DBDriver odbc\n" + location("/members", example(ECHO)) + section("Location /pages", *ASKS),
    "DBDriver odbc\n" + section("Location /pages", *ASKS),
    "DBDriver odbc\n" + section("VirtualHost *:1", "DBDriver sqlite3", location("/members", example(ECHO), *ASKS)),
    "DBDriver odbc\n" + section("VirtualHost *:1", section("Location /", *ASKS))
    + section("VirtualHost *:2", location("/members", example(ECHO))),
])
def test_ws_526_05_what_keeps_none_is_not(tester, text):
    assert warned(tester, text) == []
