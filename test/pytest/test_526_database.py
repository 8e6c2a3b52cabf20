"""mod_dbd: whoever was let in by a database does not keep a connection to it for as long as the WebSocket is open."""

import base64
import hashlib
import sqlite3

import pytest

from harness import settings
from harness.conf import ECHO, example, location

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
