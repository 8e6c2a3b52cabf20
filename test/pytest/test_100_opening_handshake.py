"""The opening handshake: what is upgraded, what is refused and how (RFC 6455 §4.2)."""

import re

import pytest

from harness.conf import ECHO, example, location
from harness.rawclient import TEXT, accept_for, frame, handshake_headers, new_key

SUPPORTED = "13, 8, 7"


def configuration(server):
    (server.document_root / "page").mkdir()
    (server.document_root / "page" / "here.html").write_text("a file\n")
    return (
        location("/echo", example(ECHO))
        + location("/page", example(ECHO))
        + location("/no-plugin")
    )


def assert_refused(httpd, reason, path="/echo", status=400, **changes):
    """The handshake gets `status`, the reason in body and log, and its connection is closed."""
    with httpd.client() as client:
        response = client.upgrade(path, **changes)
        assert response.status == status
        assert reason.lower() in response.text.lower()
        assert "close" in response.tokens("Connection")
        assert client.receive_to_eof() == b""
    httpd.error_log.wait_for(rf"(?i)WS\d{{4}}: no WebSocket .*{re.escape(reason)}", level="info")
    return response


def test_ws_100_01_a_good_handshake_gets_a_101_with_the_right_headers_and_no_body(httpd):
    with httpd.client() as client:
        response = client.upgrade("/echo", key="dGhlIHNhbXBsZSBub25jZQ==")
        assert (response.status, response.reason) == (101, "Switching Protocols")
        assert response.get("Upgrade") == "websocket"
        assert response.tokens("Connection") == ["Upgrade"]
        # The example of RFC 6455 §1.3.
        assert response.get("Sec-WebSocket-Accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        for absent in ("Content-Length", "Transfer-Encoding", "Content-Type",
                       "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions",
                       "Sec-WebSocket-Version"):
            assert response.all(absent) == [], absent
        client.echo("first")
        client.close_properly()


@pytest.mark.parametrize("upgrade", [
    "websocket", "WebSocket", "WEBSOCKET", "h2c, websocket", "websocket, h2c",
    "foo/1 , wEbSoCkEt,bar", ",,websocket", "websocket,",
])
def test_ws_100_02_the_token_websocket_counts_anywhere_in_upgrade(httpd, upgrade):
    with httpd.open("/echo", upgrade=upgrade) as client:
        client.echo("upgraded")


@pytest.mark.parametrize("connection", [
    "Upgrade", "upgrade", "UPGRADE", "keep-alive, Upgrade", "Upgrade, keep-alive",
    "close ,\tuPgRaDe,", ",, ,Upgrade", "Upgrade,close",
])
def test_ws_100_03_the_token_upgrade_counts_anywhere_in_connection(httpd, connection):
    with httpd.open("/echo", connection=connection) as client:
        client.echo("upgraded")


def test_ws_100_04_token_lists_may_be_spread_over_several_header_lines(httpd):
    with httpd.client() as client:
        client.open("/echo", [("Upgrade", "websocket"), ("Connection", "Upgrade")],
                    upgrade="h2c", connection="keep-alive")
        client.echo("upgraded")


@pytest.mark.parametrize("changes", [
    {"upgrade": False},
    {"connection": False},
    {"upgrade": "websockets"},
    {"upgrade": "web socket"},
    {"upgrade": "h2c"},
    {"upgrade": ""},
    {"connection": "keep-alive"},
    {"connection": "Upgraded"},
    {"connection": "close"},
    {"connection": ""},
], ids=str)
def test_ws_100_05_a_request_without_both_tokens_is_told_to_upgrade(httpd, changes):
    with httpd.client() as client:
        response = client.upgrade("/echo", **changes)
        assert response.status == 426
        assert response.get("Upgrade") == "websocket"
        assert "Upgrade" in response.tokens("Connection")


def test_ws_100_06_a_plain_get_is_told_to_upgrade_where_no_file_is(httpd):
    response = httpd.ask("/echo")
    assert response.status == 426
    assert response.get("Upgrade") == "websocket"
    assert "Upgrade" in response.tokens("Connection")
    assert httpd.ask("/page/absent.html").status == 426


def test_ws_100_07_a_plain_get_gets_the_file_that_is_there(httpd):
    response = httpd.ask("/page/here.html")
    assert (response.status, response.text) == (200, "a file\n")
    with httpd.open("/page/here.html") as client:
        client.echo("the same path, upgraded")


@pytest.mark.parametrize("method", [
    "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND",
])
def test_ws_100_08_no_method_but_get_is_upgraded(httpd, method):
    with httpd.client() as client:
        response = client.upgrade("/echo", method=method)
        assert response.status == 400
        assert "close" in response.tokens("Connection")
        assert client.receive_to_eof() == b""
        if method != "HEAD":
            assert "GET" in response.text


@pytest.mark.parametrize(("method", "answers"), [
    ("TRACE", [200, 400, 405]),  # httpd answers it before any handler, unless TraceEnable is off
    ("get", [400, 501]),
    ("BREW", [400, 501]),
])
def test_ws_100_09_unusual_methods_are_not_upgraded_whoever_refuses_them(httpd, method, answers):
    with httpd.client() as client:
        assert client.upgrade("/echo", method=method).status in answers


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/0.9"])
def test_ws_100_10_older_http_is_not_upgraded(httpd, version):
    with httpd.client() as client:
        response = client.upgrade("/echo", http=version)
        assert response.status in (400, 426)


def test_ws_100_11_a_request_without_host_is_refused(httpd):
    with httpd.client() as client:
        client.send_request("/echo", handshake_headers(), host=False)
        assert client.receive_response().status == 400


@pytest.mark.parametrize("key", [
    False,
    "",
    "c2hvcnQ=",
    "AAAAAAAAAAAAAAAAAAAA",          # 15 bytes
    "AAAAAAAAAAAAAAAAAAAAAAA=",      # 17 bytes
    "AAAAAAAAAAAAAAAAAAAAAAAA",      # 18 bytes
    "AAAAAAAAAAAAAAAAAAAAAAAAAA==",  # 19 bytes
    "AAAAAAAAAAAAAAAAAAAAAA",        # 16 bytes, no padding
    "AAAAAAAAAAAAAAAAAAAAAA=",
    "AAAAAAAAAAAAAAAAAAAAAA=A",
    "AAAAAAAAAA=AAAAAAAAAAA==",
    "AAAAAAAAAA-AAAAAAAAAAA==",      # the alphabet for URLs
    "AAAAAAAAAA_AAAAAAAAAAA==",
    "AAAAAAAAAA AAAAAAAAAAA==",
    "AAAAAAAAAA\x01AAAAAAAAAAA==",
], ids=repr)
def test_ws_100_12_a_key_that_is_not_sixteen_bytes_in_base64_is_refused(httpd, key):
    if key and "\x01" in key:
        with httpd.client() as client:  # httpd itself refuses control characters
            assert client.upgrade("/echo", key=key).status == 400
        return
    assert_refused(httpd, "Sec-WebSocket-Key", key=key)


@pytest.mark.parametrize("key", [
    "AQIDBAUGBwgJCgsMDQ4PEC==",      # the example of RFC 6455, section 4.1
    "AAAAAAAAAAAAAAAAAAAAAB==",
    "/////////////////////+==",
    "//////////////////////==",
])
def test_ws_100_40_bits_beyond_the_sixteenth_byte_of_a_key_do_not_matter(httpd, key):
    with httpd.open("/echo", key=key) as client:
        client.echo("open")
        client.close_properly()


def test_ws_100_13_two_keys_are_refused(httpd):
    with httpd.client() as client:
        assert client.upgrade("/echo", [("Sec-WebSocket-Key", new_key())]).status == 400


@pytest.mark.parametrize("version", [
    False, "", "abc", "+13", "-13", "013", "13.0", "13x", "1300", "256", "0x0d", "13, 8", "13;8",
    "0", "1", "6", "9", "10", "11", "12", "14", "255",
], ids=repr)
def test_ws_100_14_other_versions_are_refused_with_the_list_of_the_good_ones(httpd, version):
    response = assert_refused(httpd, "Sec-WebSocket-Version", version=version)
    assert response.get("Sec-WebSocket-Version") == SUPPORTED


@pytest.mark.parametrize("protocol", [
    "", " ", ",", ", ,", "two words", '"quoted"', "sla/sh", "back\\slash", "good, ba{d}",
    "semi; colon", "a@b", "a:b", "a=b", "(a)", "a<b>", "a[b]", "a?b", "tab\tbed",
], ids=repr)
def test_ws_100_15_a_malformed_subprotocol_list_is_refused(httpd, protocol):
    assert_refused(httpd, "Sec-WebSocket-Protocol", protocol=protocol)


@pytest.mark.parametrize("protocol", ["chat", "chat, superchat", "v1.a~b|c+d!#$%&'*-^_`", "a,,b,"])
def test_ws_100_16_a_subprotocol_that_the_plugin_does_not_choose_is_not_answered(httpd, protocol):
    with httpd.open("/echo", protocol=protocol) as client:
        assert client.response.all("Sec-WebSocket-Protocol") == []
        client.echo("no subprotocol")


def test_ws_100_17_an_offered_extension_is_not_agreed_by_default(httpd):
    offer = ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits, x-foo")
    with httpd.open("/echo", [offer]) as client:
        assert client.response.all("Sec-WebSocket-Extensions") == []
        client.echo("uncompressed")


def test_ws_100_18_a_location_without_a_plugin_is_an_internal_error(httpd):
    httpd.error_log.expect(r"\[websocket:error\].* WS\d{4}: .*WebSocketHandler")
    with httpd.client() as client:
        assert client.upgrade("/no-plugin").status == 500
        assert client.receive_to_eof() == b""


def test_ws_100_19_nothing_is_served_after_a_refused_upgrade(httpd):
    smuggled = b"GET /page/here.html HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with httpd.client() as client:
        response = client.upgrade("/echo", key="bad", then=smuggled)
        assert response.status == 400
        assert b"a file" not in client.receive_to_eof()
    with httpd.client() as client:
        response = client.upgrade("/echo", origin="http://evil.example", then=smuggled)
        assert response.status == 403
        assert b"a file" not in client.receive_to_eof()


@pytest.mark.parametrize("count", [1, 3])
def test_ws_100_20_frames_in_the_segment_of_the_handshake_are_not_lost(httpd, count):
    early = b"".join(frame(TEXT, f"early {n}") for n in range(count))
    with httpd.client() as client:
        client.open("/echo", then=early)
        assert [client.receive_message().text for _ in range(count)] == [
            f"early {n}" for n in range(count)
        ]
        client.echo("later")
        client.close_properly()


def test_ws_100_21_a_frame_that_begins_in_the_segment_of_the_handshake_is_completed(httpd):
    data = frame(TEXT, "x" * 1000)
    for split in (1, 2, 5, 8, 500):
        with httpd.client() as client:
            client.open("/echo", then=data[:split])
            client.send(data[split:])
            assert client.receive_message().text == "x" * 1000


def test_ws_100_22_a_handshake_that_arrives_byte_by_byte_is_upgraded(httpd):
    key = new_key()
    lines = ["GET /echo HTTP/1.1", f"Host: localhost:{httpd.port}"]
    lines += [f"{name}: {value}" for name, value in handshake_headers(key=key)]
    request = "\r\n".join(lines).encode() + b"\r\n\r\n"
    with httpd.client() as client:
        client.send_in_pieces(request + frame(TEXT, "slowly"))
        response = client.receive_response()
        assert response.status == 101
        assert response.get("Sec-WebSocket-Accept") == accept_for(key)
        assert client.receive_message().text == "slowly"


def test_ws_100_23_a_handshake_may_follow_another_request_on_its_connection(httpd):
    with httpd.client() as client:
        assert client.request("/page/here.html").status == 200
        client.open("/echo")
        client.echo("after a page")


def test_ws_100_24_path_and_query_do_not_matter_below_the_location(httpd):
    for path in ("/echo/below", "/echo?a=b", "/echo/x/../y?z"):
        with httpd.open(path) as client:
            client.echo(path)


def test_ws_100_25_an_absolute_request_target_is_upgraded(httpd):
    with httpd.open(f"http://127.0.0.1:{httpd.port}/echo") as client:
        client.echo("absolute")


@pytest.mark.parametrize(("field", "body"), [
    (("Content-Length", "5"), b"hello"),
    (("Transfer-Encoding", "chunked"), b"5\r\nhello\r\n0\r\n\r\n"),
])
def test_ws_100_26_a_handshake_with_a_body_is_refused(httpd, field, body):
    with httpd.client() as client:
        response = client.upgrade("/echo", [field], then=body)
        assert response.status == 400
        assert "body" in response.text
        assert "close" in response.tokens("Connection")
    with httpd.open("/echo", [("Content-Length", "0")]) as client:
        client.echo("a body of nothing is none")
