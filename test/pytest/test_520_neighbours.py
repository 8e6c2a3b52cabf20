"""Beside other modules that look at connections, requests and responses."""

import re
import time

import pytest

from harness.conf import ECHO, example, location, plugin
from harness.lines import whole_lines
from harness.rawclient import BINARY, TEXT, accept_for, frame, handshake_headers, new_key
from harness.waiting import eventually

MODULES = (
    "reqtimeout", "logio", "remoteip", "headers", "usertrack", "unique_id", "rewrite", "filter",
    "deflate", "substitute", "ratelimit", "status", "authz_host", "setenvif", "env",
)
WORKERS = 20
IDLE_SECONDS = 4


def configuration(server):
    echo = example(ECHO)
    return f"""
# Debian's defaults, but shorter. Timeout bounds what httpd itself waits for.
RequestReadTimeout header=2-3,minrate=500
RequestReadTimeout body=2,minrate=500
Timeout 2
KeepAliveTimeout 1

LogFormat "%a %>s %I %O \\"%r\\" %D" counted
CustomLog "counted.log" counted

RemoteIPHeader X-Forwarded-For
RemoteIPInternalProxy 127.0.0.1 ::1

LimitRequestBody 100
RequestHeader set X-By-Mod-Headers "seen"
RequestHeader set X-By-Mod-Headers-Early "seen" early
Header set X-Early "yes" early
Header always set X-Early-Always "yes" early
ExtendedStatus On

{location("/echo", echo)}
{location("/rpc", plugin("rpc"))}
{location("/recorder", plugin("recorder"))}
{location("/tracked", echo, "CookieTracking On", "CookieName tracker")}
{location("/cookie", echo, "RewriteEngine On",
          'RewriteRule "." "-" [CO=flavour:chocolate:localhost]')}
{location("/far", echo, "Require ip 192.0.2.7")}
{location("/deflate", echo, "SetOutputFilter DEFLATE")}
{location("/inflate", echo, "SetInputFilter DEFLATE")}
{location("/substitute", echo, "SetOutputFilter SUBSTITUTE", 'Substitute "s/secret/public/"')}
{location("/slow", echo, "SetOutputFilter RATE_LIMIT", "SetEnv rate-limit 1")}
{location("/headers", echo, 'Header always set X-Always "yes"', 'Header set X-Sometimes "yes"')}
<Location /status>
  SetHandler server-status
</Location>

{server.listen(server.spare_port)}
<VirtualHost *:{server.spare_port}>
  RemoteIPProxyProtocol On
</VirtualHost>
"""


def counted(httpd, containing):
    return [line for line in whole_lines(httpd.directory / "counted.log") if containing in line]


def test_ws_520_01_no_timeout_of_requests_cuts_a_websocket(httpd):
    with (
        httpd.open("/echo") as idle,
        httpd.open("/echo") as unfinished,
        httpd.open("/echo") as trickling,
        httpd.open("/recorder") as busy,
    ):
        idle.echo("before")
        message = frame(TEXT, "trickling in")
        unfinished.send_frame(TEXT, "unfin", fin=False)
        unfinished.send(b"\x80")
        # Longer than every timeout of the configuration, which is what this test is about.
        end = time.monotonic() + IDLE_SECONDS
        sent = 0
        while time.monotonic() < end:
            if sent < len(message) - 1:
                trickling.send(message[sent : sent + 1])
                sent += 1
            busy.echo("busy")
            time.sleep(0.25)
        trickling.send(message[sent:])
        assert trickling.receive_message().text == "trickling in"
        unfinished.send(frame(0, "ished")[1:])
        assert unfinished.receive_message().text == "unfinished"
        for client in (idle, unfinished, trickling, busy):
            client.echo("after")
            client.close_properly()


def test_ws_520_02_the_access_log_has_one_line_with_101_and_the_bytes(httpd):
    size = 50_000
    with httpd.open("/echo?logged-once") as client:
        client.echo(b"z" * size, BINARY)
        assert counted(httpd, "logged-once") == []
        client.close_properly()
    (line,) = eventually(lambda: counted(httpd, "logged-once"), "the access log's line")
    match = re.match(r"127\.0\.0\.1 101 (\d+) (\d+) \"GET /echo\?logged-once HTTP/1\.1\"", line)
    assert match, line
    received, sent = int(match[1]), int(match[2])
    assert size < received < size + 2000
    assert size < sent < size + 2000


@pytest.mark.parametrize("way", ["vanish", "reset", "fault"])
def test_ws_520_03_the_access_log_has_its_line_however_the_websocket_ends(httpd, way):
    client = httpd.open(f"/echo?ends-by-{way}")
    client.echo("x")
    if way == "fault":
        client.send_frame(TEXT, "x", rsv=4)
        client.expect_close(1002)
        client.vanish()
    else:
        getattr(client, way)()
    eventually(lambda: counted(httpd, f"ends-by-{way}"), "the access log's line")
    with httpd.open("/echo?another-one") as client:
        client.close_properly()
    (line,) = counted(httpd, f"ends-by-{way}")
    assert " 101 " in line


def test_ws_520_04_refused_handshakes_are_logged_with_their_status(httpd):
    with httpd.client() as client:
        client.upgrade("/echo?refused", key="bad")
        client.receive_to_eof()
    eventually(lambda: [line for line in counted(httpd, "refused") if " 400 " in line], "400")
    httpd.ask("/echo?no-upgrade")
    eventually(lambda: [line for line in counted(httpd, "no-upgrade") if " 426 " in line], "426")


def test_ws_520_05_mod_remoteip_gives_the_address_of_the_client(httpd):
    forwarded = [("X-Forwarded-For", "192.0.2.7")]
    with httpd.open("/far?remote", forwarded) as client:
        client.echo("hello")
        client.close_properly()
    (line,) = eventually(lambda: counted(httpd, "/far?remote"), "the access log's line")
    assert line.startswith("192.0.2.7 101 ")
    httpd.error_log.expect(r"\[authz_core:error\].* AH01630: ")
    with httpd.client() as client:
        assert client.upgrade("/far").status == 403


def test_ws_520_06_the_proxy_protocol_may_come_before_the_handshake(httpd):
    key = new_key()
    lines = ["GET /far HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in handshake_headers(key=key)]
    with httpd.client(port=httpd.spare_port) as client:
        client.send(b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 80\r\n"
                    + "\r\n".join(lines).encode() + b"\r\n\r\n" + frame(TEXT, "early"))
        response = client.receive_response()
        assert response.status == 101, response
        assert response.get("Sec-WebSocket-Accept") == accept_for(key)
        assert client.receive_message().text == "early"
        client.echo("later")
        client.close_properly()


def test_ws_520_07_a_cookie_of_mod_usertrack_is_on_the_101(httpd):
    with httpd.open("/tracked") as client:
        assert client.response.get("Set-Cookie").startswith("tracker=")
        client.echo("hello")


def test_ws_520_08_a_cookie_of_mod_rewrite_is_on_the_101(httpd):
    with httpd.open("/cookie") as client:
        assert client.response.get("Set-Cookie").startswith("flavour=chocolate")
        client.echo("hello")


def test_ws_520_09_request_headers_of_mod_headers_reach_the_plugin(httpd):
    with httpd.open("/rpc") as client:
        client.send_frame(TEXT, "header_get X-By-Mod-Headers-Early")
        assert client.receive_message().text == "value seen"
        client.send_frame(TEXT, "header_get X-By-Mod-Headers")
        assert client.receive_message().text == "value seen"


def test_ws_520_15_headers_set_before_the_handler_are_on_the_101(httpd):
    with httpd.open("/echo") as client:
        assert client.response.get("X-Early") == "yes"
        assert client.response.get("X-Early-Always") == "yes"
        client.echo("hello")


def test_ws_520_10_response_headers_of_mod_headers_do_not_spoil_the_101(httpd):
    with httpd.open("/headers") as client:
        assert client.response.all("Content-Length") == []
        client.echo("hello")
        client.close_properly()
    assert httpd.ask("/headers").get("X-Always") == "yes"


@pytest.mark.parametrize("path", ["/deflate", "/inflate", "/substitute", "/slow"])
def test_ws_520_11_filters_of_the_response_do_not_touch_frames(httpd, path):
    fields = [("Accept-Encoding", "gzip"), ("Content-Encoding", "gzip")]
    with httpd.open(path, fields if path != "/inflate" else fields[:1]) as client:
        assert client.response.all("Content-Encoding") == []
        client.echo("secret " * 3000)
        client.close_properly()


def test_ws_520_12_limitrequestbody_does_not_limit_messages(httpd):
    with httpd.open("/echo") as client:
        client.echo("x" * 10_000)


def test_ws_520_13_mod_status_shows_the_server_while_websockets_are_open(httpd):
    with httpd.open("/echo") as client:
        client.echo("hello")
        assert "Apache Server Status" in httpd.ask("/status").text
        client.echo("still open")


def test_ws_520_14_a_slow_handshake_is_still_cut_by_mod_reqtimeout(httpd):
    with httpd.client() as client:
        client.send(b"GET /echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n")
        assert b" 101 " not in client.receive_to_eof()
