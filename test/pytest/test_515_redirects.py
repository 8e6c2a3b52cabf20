"""Requests that httpd sends on to a WebSocket itself, and those that answer a failed one (ErrorDocument)."""

import re
from urllib.parse import urlencode

import pytest

from harness import users
from harness.conf import ECHO, example, location, plugin
from harness.rawclient import TEXT, frame
from harness.recorder import Recorder
from harness.waiting import eventually

MODULES = (
    "actions", "alias", "asis", "auth_basic", "auth_form", "authn_core", "authn_file", "authz_host", "authz_user",
    "cgi", "dir", "env", "include", "mime", "negotiation", "request", "rewrite", "session", "session_cookie",
)
WORKERS = 24
USER = "alice"
DOCUMENT = "the error document\n"

# What leads to the plugin "recorder", each by a way of its own.
REDIRECTED = {
    "rewritten in a directory": "/rewrite/sock",
    "by Action": "/action/page.act",
    "by a CGI program": "/cgi/redirect",
    "by mod_asis": "/asis/redirect.asis",
    "by a type map": "/map/socket.var",
    "by a type map of MultiViews": "/views/mapped",
    "by DirectoryIndex": "/index/",
    "by FallbackResource": "/fallback/nothing/here",
    "by a rewritten error-free chain": "/rewrite/chain",
}


def files(server):
    """The document root: what each way needs."""
    root = server.document_root
    for name in ("rewrite", "action", "cgi", "asis", "map", "views", "index", "fallback", "page"):
        (root / name).mkdir(exist_ok=True)
    (root / "action" / "page.act").write_text("x\n")
    program = root / "cgi" / "redirect"
    program.write_text("#!/bin/sh\nprintf 'Location: /recorder\\r\\n\\r\\n'\n")
    program.chmod(0o755)
    (root / "asis" / "redirect.asis").write_text("Location: /recorder\n\n")
    variant = "URI: socket.ws\nContent-Type: text/html\n"
    (root / "map" / "socket.var").write_text(variant)
    (root / "map" / "socket.ws").write_text("variant\n")
    (root / "index" / "socket.ws").write_text("index\n")
    (root / "views" / "mapped.html").write_text("variant\n")
    (root / "page" / "index.shtml").write_text('<!--#include virtual="/echo" -->after\n')
    for name in ("sec", "form", "far", "denied"):
        (root / name).mkdir(exist_ok=True)
        (root / name / "login.html").write_text(DOCUMENT)
    return root


def configuration(server):
    root = files(server)
    basic = [*users.authentication(server, USER), "Require valid-user"]
    form = f"""AuthType Form
  AuthName "test"
  AuthFormProvider file
  AuthUserFile "{users.user_file(server, USER)}"
  Session On
  SessionCookieName session path=/
  Require valid-user"""
    return f"""
TypesConfig /dev/null
AddType text/html .html
AddHandler send-as-is asis
{location("/echo", example(ECHO))}
{location("/recorder", plugin("recorder"))}
<Directory "{root}/rewrite">
  RewriteEngine On
  RewriteRule "^sock$" "/recorder" [L]
  RewriteRule "^chain$" "/rewrite/sock" [L]
</Directory>
<Directory "{root}/action">
  AddHandler to-websocket .act
  Action to-websocket /recorder virtual
</Directory>
<Directory "{root}/cgi">
  Options +ExecCGI
  SetHandler cgi-script
</Directory>
<Directory "{root}/map">
  AddHandler type-map .var
  <Files "*.ws">
    SetHandler websocket-handler
    {plugin("recorder")}
  </Files>
</Directory>
<Directory "{root}/views">
  Options +MultiViews
  <Files "mapped.html">
    SetHandler websocket-handler
    {plugin("recorder")}
  </Files>
</Directory>
<Directory "{root}/index">
  DirectoryIndex socket.ws
  <Files "*.ws">
    SetHandler websocket-handler
    {plugin("recorder")}
  </Files>
</Directory>
<Directory "{root}/fallback">
  FallbackResource /index/socket.ws
</Directory>
<Directory "{root}/page">
  Options +Includes
  AddOutputFilter INCLUDES .shtml
  AddType text/html .shtml
</Directory>
{location("/sec", example(ECHO), *basic, "ErrorDocument 401 /sec/login.html")}
{location("/sec-socket", example(ECHO), *basic, "ErrorDocument 401 /sec-socket/none")}
{location("/form", example(ECHO), form, "ErrorDocument 401 /form/login.html")}
<Location /do-login>
  SetHandler form-login-handler
  {form.replace("Require valid-user", "Require all granted")}
  AuthFormLoginSuccessLocation /index.html
</Location>
{location("/far", example(ECHO), "Require ip 192.0.2.0/24", "ErrorDocument 403 /far/login.html")}
{location("/far-chain", example(ECHO), "Require ip 192.0.2.0/24", "ErrorDocument 403 /rewrite/sock")}
{location("/denied", example(ECHO), "Require all denied", "ErrorDocument 403 /denied/login.html")}
{location("/named", example(ECHO), "Require ip 192.0.2.0/24", "ErrorDocument 403 /echo")}
<Location /status>
  SetHandler websocket-status
  Require ip 192.0.2.0/24
  ErrorDocument 403 /status
</Location>
ErrorDocument 404 /echo
"""


@pytest.fixture
def beside(httpd):
    """A second WebSocket, which must live."""
    with httpd.open("/echo") as client:
        children = httpd.children()
        yield client
        client.echo("still there")
        assert set(children) <= set(httpd.children()), "a child has died"
        client.close_properly()


@pytest.mark.parametrize("path", REDIRECTED.values(), ids=REDIRECTED.keys())
def test_ws_515_01_a_redirected_handshake_is_a_websocket_like_any_other(httpd, beside, path):
    """Nothing follows the Close frame but the end of the stream, and the plugin sees one connection."""
    recorder = Recorder(httpd)
    with httpd.open(path) as client:
        client.echo("hello")
        beside.echo("meanwhile")
        client.echo("x" * 100_000)
        client.close_properly()
    recorder.wait_for_ends()


def test_ws_515_02_many_redirected_websockets_come_and_vanish(httpd, beside):
    recorder = Recorder(httpd)
    for _ in range(3):
        for path in REDIRECTED.values():
            with httpd.open(path) as client:
                client.echo("hello")
                beside.echo("meanwhile")
    recorder.wait_for_ends(3 * len(REDIRECTED))


def test_ws_515_03_a_first_frame_in_the_same_segment_is_read(httpd, beside):
    recorder = Recorder(httpd)
    with httpd.client() as client:
        response = client.upgrade("/rewrite/sock", then=frame(TEXT, "early"))
        assert response.status == 101
        assert client.receive_message().text == "early"
        client.close_properly()
    recorder.wait_for_ends()


@pytest.mark.parametrize(
    ("path", "status", "complaint"),
    [
        ("/sec/socket", 401, None),
        ("/form/socket", 401, None),
        ("/far/socket", 403, r"\[authz_core:error\].* AH01630: "),
        ("/denied/socket", 403, r"\[authz_core:error\].* AH01630: "),
    ],
)
def test_ws_515_10_an_error_document_is_a_page_although_it_lies_where_websockets_are(
    httpd, beside, path, status, complaint
):
    if complaint:
        httpd.error_log.expect(complaint)
    with httpd.client() as client:
        response = client.upgrade(path)
        assert (response.status, response.text) == (status, DOCUMENT)


@pytest.mark.parametrize(
    ("path", "status"), [("/sec-socket", 401), ("/far-chain", 403), ("/named", 403), ("/nowhere", 404)]
)
def test_ws_515_11_an_error_document_that_is_a_websocket_opens_none(httpd, beside, path, status):
    """By its own name, by way of a rule, or because there is no file: httpd makes its own page."""
    if status == 403:
        httpd.error_log.expect(r"\[authz_core:error\].* AH01630: ")
    recorder = Recorder(httpd)
    with httpd.client() as client:
        response = client.upgrade(path)
        assert response.status == status
        assert response.get("Sec-WebSocket-Accept") is None
    assert not recorder.lines()


def test_ws_515_12_with_credentials_the_websocket_opens(httpd, beside):
    with httpd.open("/sec/socket", users.basic(USER)) as client:
        client.echo("hello")
    fields = urlencode({"httpd_username": USER, "httpd_password": users.PASSWORD}).encode()
    headers = [
        ("Content-Type", "application/x-www-form-urlencoded"), ("Content-Length", str(len(fields))),
    ]
    response = httpd.ask("/do-login", headers, method="POST", body=fields)
    cookie = re.match(r"session=[^;]+", response.get("Set-Cookie")).group()
    with httpd.open("/form/socket", [("Cookie", cookie)]) as client:
        client.echo("hello")
        client.close_properly()


def test_ws_515_13_the_status_is_no_error_document(httpd, beside):
    """Who may not see the figures does not see them as the page that says so."""
    httpd.error_log.expect(r"\[authz_core:error\].* AH01630: ")
    response = httpd.ask("/status?format=json")
    assert response.status == 403
    assert "connections" not in response.text


def test_ws_515_14_what_the_server_asks_itself_for_opens_nothing(httpd, beside):
    httpd.error_log.expect(r"\[include:error\].* unable to include")
    with httpd.client() as client:
        response = client.upgrade("/page/index.shtml")
        assert response.status == 200
        assert response.text.endswith("after\n")


def test_ws_515_15_the_access_log_has_one_line_for_each(httpd, beside):
    name = "?once"
    with httpd.open(f"/rewrite/sock{name}") as client:
        client.close_properly()
    (line,) = eventually(lambda: httpd.access_lines(name), "the line in the access log")
    assert line.endswith(f'"GET /rewrite/sock{name} HTTP/1.1" 101')
    # A second line about it would come before this one.
    with httpd.open("/echo?after") as client:
        client.close_properly()
    eventually(lambda: httpd.access_lines("/echo?after"), "the next line in the access log")
    assert httpd.access_lines(name) == [line]
