"""What httpd does before the handler applies to a WebSocket as to any request."""

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from harness import users
from harness.conf import ECHO, example, location

MODULES = (*users.MODULES, "authz_host", "alias", "rewrite", "setenvif", "env")
USER = "alice"


def configuration(server):
    authentication = users.authentication(server, USER)
    return (
        location("/echo", example(ECHO))
        + location("/users", example(ECHO), *authentication, "Require valid-user")
        + location("/bob", example(ECHO), *authentication, "Require user bob")
        + location("/denied", example(ECHO), "Require all denied")
        + location("/local", example(ECHO), "Require local")
        + location("/far", example(ECHO), "Require ip 192.0.2.0/24")
        + """
RewriteEngine On
RewriteRule "^/rewritten/(.*)$" "/echo/$1" [PT]
RewriteRule "^/moved$" "/echo" [R=302,L]
RewriteRule "^/forbidden$" "-" [F]
SetEnvIf X-Token "^secret$" has_token
""" + location("/token", example(ECHO), "Require env has_token")
    )


def test_ws_510_01_without_credentials_the_answer_is_401(httpd):
    with httpd.client() as client:
        response = client.upgrade("/users")
        assert response.status == 401
        assert response.get("WWW-Authenticate").startswith("Basic ")
        # The browser asks its user and tries again.
        client.open("/users", users.basic(USER))
        client.echo("hello")


def test_ws_510_02_with_credentials_the_websocket_opens(httpd):
    with httpd.open("/users", users.basic(USER)) as client:
        client.echo("hello")
        client.close_properly()


@pytest.mark.parametrize("credentials", [("alice", "wrong"), ("mallory", users.PASSWORD)])
def test_ws_510_03_with_wrong_credentials_the_answer_is_401(httpd, credentials):
    httpd.error_log.expect(r"\[auth_basic:error\].* AH0161[78]: ")
    with httpd.client() as client:
        assert client.upgrade("/users", users.basic(*credentials)).status == 401


def test_ws_510_04_another_user_is_not_let_in(httpd):
    httpd.error_log.expect(r"\[authz_core:error\].* AH01631: ")
    with httpd.client() as client:
        assert client.upgrade("/bob", users.basic(USER)).status == 401


def test_ws_510_05_require_decides(httpd):
    with httpd.open("/local") as client:
        client.echo("hello")
    httpd.error_log.expect(r"\[authz_core:error\].* AH01630: ")
    for path in ("/denied", "/far"):
        with httpd.client() as client:
            assert client.upgrade(path).status == 403


def test_ws_510_06_require_env_sees_the_headers_of_the_handshake(httpd):
    with httpd.open("/token", [("X-Token", "secret")]) as client:
        client.echo("hello")
    httpd.error_log.expect(r"\[authz_core:error\].* AH01630: ")
    with httpd.client() as client:
        assert client.upgrade("/token", [("X-Token", "guess")]).status == 403


def test_ws_510_07_a_rewritten_path_reaches_the_websocket(httpd):
    with httpd.open("/rewritten/x") as client:
        client.echo("hello")


def test_ws_510_08_rewriting_may_answer_instead(httpd):
    with httpd.client() as client:
        response = client.upgrade("/moved")
        assert response.status == 302
        assert response.get("Location").endswith("/echo")
    with httpd.client() as client:
        assert client.upgrade("/forbidden").status == 403


def test_ws_510_09_an_ordinary_client_logs_in_with_its_uri(httpd):
    uri = f"ws://{USER}:{users.PASSWORD}@127.0.0.1:{httpd.port}/users"
    with connect(uri) as websocket:
        websocket.send("hello")
        assert websocket.recv(timeout=15) == "hello"
    with pytest.raises(InvalidStatus) as failure:
        connect(httpd.uri("/users"))
    assert failure.value.response.status_code == 401
