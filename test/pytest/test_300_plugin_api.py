"""The server functions that plugins call, by way of the rpc plugin."""

import pytest

from harness.conf import PLUGIN_CLOSE_CODE, location, plugin
from harness.rawclient import BINARY, CLOSE, PING, PONG, TEXT

MISUSE = r"\[websocket:warn\].* WS\d{4}: "


def configuration(_server):
    return (
        location("/rpc", plugin("rpc"))
        + location("/reserved", plugin("rpc"), "WebSocketAllowReservedStatusCodes On")
    )


class Rpc:
    """A connection to the rpc plugin."""

    def __init__(self, client):
        self.client = client

    def ask(self, command):
        self.client.send_frame(TEXT, command)
        return self.client.receive_message().text

    def number(self, command):
        kind, _space, value = self.ask(command).partition(" ")
        assert kind == "result", kind
        return int(value)


@pytest.fixture
def rpc(httpd):
    with httpd.open("/rpc") as client:
        yield Rpc(client)


def refused(httpd, *headers, status):
    with httpd.client() as client:
        response = client.upgrade("/rpc", list(headers))
        assert response.status == status
        assert client.receive_to_eof() == b""
        return response


def test_ws_300_01_the_table_has_version_1_and_a_size_that_holds_the_old_members(rpc):
    assert rpc.number("version") == 1
    # Two unsigned ints and nine pointers: the table that old plugins know.
    assert rpc.number("size") >= 2 * 4 + 9 * 8


def test_ws_300_02_request_gives_the_request(rpc):
    assert rpc.ask("request") == "set"


def test_ws_300_03_header_get_reads_the_handshake(httpd):
    httpd.error_log.expect(MISUSE)  # of the NULL
    fields = [("X-One", "some value"), ("X-Two", "a"), ("X-Two", "b"), ("X-Empty", "")]
    with httpd.open("/rpc", fields) as client:
        rpc = Rpc(client)
        assert rpc.ask("header_get X-One") == "value some value"
        assert rpc.ask("header_get x-oNE") == "value some value"
        assert rpc.ask("header_get X-Two") == "value a, b"
        assert rpc.ask("header_get X-Empty") == "value "
        assert rpc.ask("header_get Host") == f"value 127.0.0.1:{httpd.port}"
        assert rpc.ask("header_get X-Absent") == "NULL"
        assert rpc.ask("header_get_null") == "NULL"


def test_ws_300_04_header_set_puts_a_field_on_the_101(httpd):
    with httpd.open("/rpc", [("X-Set-Header", "X-From-Plugin=a value")]) as client:
        assert client.response.get("X-From-Plugin") == "a value"


def test_ws_300_05_header_set_after_the_101_has_no_effect(httpd, rpc):
    httpd.error_log.expect(MISUSE)
    assert rpc.ask("header_set X-Late value") == "done"
    assert rpc.ask("protocol_set late") == "done"
    rpc.client.close_properly()


@pytest.mark.parametrize("field", ["Upgrade=evil", "Connection=close", "Sec-WebSocket-Accept=evil"])
def test_ws_300_06_header_set_does_not_spoil_the_handshake(httpd, field):
    httpd.error_log.expect(MISUSE)
    with httpd.open("/rpc", [("X-Set-Header", field)]) as client:
        assert client.response.get("Upgrade") == "websocket"
        assert client.response.tokens("Connection") == ["Upgrade"]
        assert Rpc(client).ask("echo fine") == "fine"


@pytest.mark.parametrize(("header", "offered"), [
    (None, []),
    ("a", ["a"]),
    ("a, b, c", ["a", "b", "c"]),
    ("a,b , \tc,,", ["a", "b", "c"]),
    (",a", ["a"]),
])
def test_ws_300_07_offered_subprotocols_are_counted_and_indexed(httpd, header, offered):
    with httpd.open("/rpc", protocol=header) as client:
        rpc = Rpc(client)
        assert rpc.number("protocol_count") == len(offered)
        for index, name in enumerate(offered):
            assert rpc.ask(f"protocol_index {index}") == f"value {name}"
        for index in (len(offered), len(offered) + 1, 1 << 40, (1 << 64) - 1):
            assert rpc.ask(f"protocol_index {index}") == "NULL"


def test_ws_300_08_subprotocols_of_several_header_lines_are_one_list(httpd):
    with httpd.open("/rpc", [("Sec-WebSocket-Protocol", "c")], protocol="a, b") as client:
        rpc = Rpc(client)
        assert [rpc.ask(f"protocol_index {n}") for n in range(4)] == [
            "value a", "value b", "value c", "NULL"
        ]


@pytest.mark.parametrize("chosen", ["a", "b", "c"])
def test_ws_300_09_protocol_set_chooses_the_subprotocol(httpd, chosen):
    with httpd.open("/rpc", [("X-Choose-Protocol", chosen)], protocol="a, b, c") as client:
        assert client.response.get("Sec-WebSocket-Protocol") == chosen


def test_ws_300_10_on_connect_may_refuse(httpd):
    refused(httpd, ("X-Refuse", "1"), status=403)
    assert httpd.error_log.wait_for(r"\[websocket:info\].* WS\d{4}: ")
    refused(httpd, ("X-Refuse", "1"), ("X-Send-On-Connect", "lost"), status=403)


def test_ws_300_11_on_connect_may_fail(httpd):
    httpd.error_log.expect(r"\[websocket:error\].* WS\d{4}: ")
    refused(httpd, ("X-Connect-Error", "1"), status=500)


@pytest.mark.parametrize(("kind", "opcode"), [
    ("text", TEXT), ("binary", BINARY), ("ping", PING), ("pong", PONG),
])
@pytest.mark.parametrize("payload", ["hello", "x" * 125, ""])
def test_ws_300_12_send_sends_every_type(rpc, kind, opcode, payload):
    rpc.client.send_frame(TEXT, f"send {kind} {payload}")
    received = rpc.client.receive_frame()
    assert (received.opcode, received.payload.decode()) == (opcode, payload)
    assert (received.fin, received.rsv, received.masked) == (True, 0, False)
    assert rpc.client.receive_message().text == f"result {len(payload)}"


@pytest.mark.parametrize("size", [126, 65535, 65536, 5_000_000])
def test_ws_300_13_send_takes_large_messages(rpc, size):
    rpc.client.send_frame(TEXT, f"send-big {size}")
    assert rpc.client.receive_message().payload == b"x" * size
    assert rpc.client.receive_message().text == f"result {size}"


@pytest.mark.parametrize("command", ["send-invalid-utf8", "send-big-ping", "send-null 5"])
def test_ws_300_14_send_refuses_what_must_not_go_out(httpd, rpc, command):
    httpd.error_log.expect(MISUSE)
    assert rpc.number(command) == 0
    assert rpc.ask("echo still open") == "still open"


def test_ws_300_15_send_of_nothing_from_null_is_an_empty_message(rpc):
    rpc.client.send_frame(TEXT, "send-null 0")
    assert rpc.client.receive_message().payload == b""
    assert rpc.client.receive_message().text == "result 0"


@pytest.mark.parametrize("kind", [-1, 1, 127, 254, 258, 1 << 30])
def test_ws_300_16_an_unknown_type_is_a_close(rpc, kind):
    rpc.client.send_frame(TEXT, f"send-type {kind} ")
    received = rpc.client.receive_frame()
    assert (received.opcode, received.close_code) == (CLOSE, None)
    rpc.client.send_close()
    assert rpc.client.receive_to_eof() == b""


@pytest.mark.parametrize(("path", "arguments", "code", "reason"), [
    ("/rpc", "", None, ""),
    ("/rpc", " 1000", 1000, ""),
    ("/rpc", " 1001 going", 1001, "going"),
    ("/rpc", " 4711 mine", 4711, "mine"),
    ("/rpc", f" 1000 {'x' * 123}", 1000, "x" * 123),
    ("/reserved", " 2000 allowed", 2000, "allowed"),
])
def test_ws_300_17_a_close_is_sent_with_code_and_reason(httpd, path, arguments, code, reason):
    with httpd.open(path) as client:
        client.send_frame(TEXT, f"send-close{arguments}")
        received = client.receive_frame()
        assert (received.opcode, received.close_code) == (CLOSE, code)
        assert received.payload[2:].decode() == reason
        client.send_close(1000)
        assert client.receive_to_eof() == b""


@pytest.mark.parametrize("command", [
    "send-close 999", "send-close 1005", "send-close 1006", "send-close 1015", "send-close 5000",
    "send-close 2000", f"send-close 1000 {'x' * 124}", "send-close-raw 03", "send-close-raw 03e8ff",
])
def test_ws_300_18_a_close_that_must_not_go_out_is_refused(httpd, rpc, command):
    httpd.error_log.expect(MISUSE)
    assert rpc.number(command) == 0
    assert rpc.ask("echo still open") == "still open"


def test_ws_300_19_close_begins_the_closing_handshake(rpc):
    rpc.client.send_frame(TEXT, "close")
    received = rpc.client.receive_frame()
    assert (received.opcode, received.close_code) == (CLOSE, PLUGIN_CLOSE_CODE)
    rpc.client.send_close(1000)
    assert rpc.client.receive_to_eof() == b""


@pytest.mark.parametrize("command", ["close-twice", "close-and-send too late"])
def test_ws_300_20_only_one_close_goes_out_and_nothing_after_it(rpc, command):
    rpc.client.send_frame(TEXT, command)
    assert rpc.client.receive_frame().opcode == CLOSE
    rpc.client.send_close(1000)
    assert rpc.client.receive_to_eof() == b""


@pytest.mark.parametrize("command", ["close", "close-and-send too late"])
def test_ws_300_21_commands_after_a_close_are_not_delivered(rpc, command):
    rpc.client.send_frame(TEXT, command)
    rpc.client.send_frame(TEXT, "echo nobody hears this")
    assert rpc.client.receive_frame().opcode == CLOSE
    rpc.client.send_close(1000)
    assert rpc.client.receive_to_eof() == b""


@pytest.mark.parametrize(("arguments", "reason"), [("4000", ""), ("1011 sorry", "sorry")])
def test_ws_300_22_close_with_sends_code_and_reason(rpc, arguments, reason):
    assert rpc.number("has close_with") == 1
    rpc.client.send_frame(TEXT, f"close_with {arguments}")
    received = rpc.client.receive_frame()
    assert (received.opcode, received.close_code) == (CLOSE, int(arguments.split()[0]))
    assert received.payload[2:].decode() == reason
    rpc.client.send_close(1000)
    assert rpc.client.receive_to_eof() == b""


@pytest.mark.parametrize("command", [
    "close_with 1005", "close_with 65536", "close_with 66536", f"close_with 1000 {'x' * 124}",
    "close_with-invalid", "close_with-null 5",
])
def test_ws_300_23_close_with_refuses_what_must_not_go_out(httpd, rpc, command):
    httpd.error_log.expect(MISUSE)
    assert rpc.number(command) == 0
    assert rpc.ask("echo still open") == "still open"


def test_ws_300_24_misuse_is_logged_once_for_each_connection(httpd, rpc):
    httpd.error_log.expect(MISUSE)
    for _ in range(5):
        assert rpc.number("send-invalid-utf8") == 0
    assert len(httpd.error_log.wait_for(MISUSE)) == 1


def test_ws_300_25_null_arguments_are_borne(httpd, rpc):
    httpd.error_log.expect(MISUSE)
    assert rpc.ask("null-server") == "done"
    assert rpc.ask("echo still open") == "still open"


def test_ws_300_26_the_plugin_may_write_into_its_message(rpc):
    assert rpc.ask("write 5") == "yyyyy 5"
    message = "write 20000 " + "z" * 20000
    assert rpc.ask(message) == "y" * 20000 + message[20000:]


def test_ws_300_27_send_in_on_connect_goes_out_after_the_101(httpd):
    with httpd.open("/rpc", [("X-Send-On-Connect", "early bird")]) as client:
        assert client.response.get("X-Send-Result") == "10"
        assert client.receive_message().text == "early bird"
        assert Rpc(client).ask("echo later") == "later"


def test_ws_300_28_close_in_on_connect_goes_out_after_the_101(httpd):
    fields = [("X-Send-On-Connect", "farewell"), ("X-Close-On-Connect", "1")]
    with httpd.open("/rpc", fields) as client:
        assert client.receive_message().text == "farewell"
        received = client.receive_frame()
        assert (received.opcode, received.close_code) == (CLOSE, PLUGIN_CLOSE_CODE)
        client.send_close(1000)
        assert client.receive_to_eof() == b""


def test_ws_300_29_binary_messages_reach_the_plugin_as_binary(rpc):
    rpc.client.echo(b"\x00\x01\xfe\xff", BINARY)


def test_ws_300_30_a_message_that_the_plugin_does_not_answer_changes_nothing(rpc):
    rpc.client.send_frame(TEXT, "nothing")
    assert rpc.ask("echo something") == "something"
