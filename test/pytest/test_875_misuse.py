"""Plugins that do what they must not: each call is refused, logged once, and harms nobody."""

import pytest

from harness.conf import location, plugin
from harness.hosts import TLS_MODULES, tls_host
from harness.rawclient import BINARY, PING, PONG, TEXT, frame
from harness.scripted import (
    ACCEPTED, CLOSED, INVALID, Records, ask, scripts, tell,
)

MODULES = TLS_MODULES
WORKERS = 20
MISUSE = r"\[websocket:warn\].* WS0401: "
DAY = 86_400_000
LARGEST = (1 << 64) - 1  # of size_t
LARGEST_OBJECT = (1 << 63) - 1

INVALID_UTF8 = [
    "ff", "c328", "80", "c0af", "e08080", "eda080", "f4908080", "f8a1a1a1a1", "e282", "6162c3",
]


def configuration(server):
    return (
        location("/scripted", plugin("scripted"))
        + location("/without-timer", plugin("scripted", "scripted_without_timer_init"))
        + location("/reserved", plugin("scripted"), "WebSocketAllowReservedStatusCodes On")
        + location("/rpc", plugin("rpc"))
        + tls_host(server)
    )


@pytest.fixture(autouse=True)
def the_child_lives(httpd):
    """No test costs a child its life, nor another connection in it."""
    with httpd.open("/scripted") as bystander:
        yield
        assert ask(bystander, "echo unharmed") == "unharmed"
        bystander.close_properly()
    with httpd.open("/scripted") as client:
        assert ask(client, "echo next") == "next"
        client.close_properly()


def is_refused(httpd, script, *results, path="/scripted", logged=True, **options):
    """`script` has these results and puts nothing on the wire; the connection goes on.

    It runs twice, and the fault is logged once.
    """
    if logged:
        httpd.error_log.expect(MISUSE)
    with httpd.open(path, **options) as client:
        for _ in range(2):
            assert ask(client, script) == "; ".join(results)
        client.send_frame(PING, "alive")
        received = client.receive_frame()
        assert (received.opcode, received.payload) == (PONG, b"alive")
        client.close_properly()
    if logged:
        httpd.error_log.wait_for(MISUSE)
    assert len(httpd.error_log.find(MISUSE)) == int(logged)


@pytest.mark.parametrize("hexed", INVALID_UTF8)
@pytest.mark.parametrize(("function", "result"), [
    ("send text", "0"), ("try_send text", INVALID), ("send_fragment text 1", INVALID),
])
def test_ws_875_01_text_that_is_not_utf8(httpd, function, result, hexed):
    is_refused(httpd, f"{function} hex:{hexed}", result)


def test_ws_875_02_the_same_bytes_are_good_as_binary(httpd):
    with httpd.open("/scripted") as client:
        for hexed in INVALID_UTF8:
            client.send_frame(TEXT, f"try_send binary hex:{hexed}")
            received = client.receive_message()
            assert (received.opcode, received.payload.hex()) == (BINARY, hexed)
            assert client.receive_message().text == ACCEPTED
        client.close_properly()


@pytest.mark.parametrize("kind", ["ping", "pong"])
@pytest.mark.parametrize("size", [126, 65536])
def test_ws_875_03_a_control_frame_that_is_too_long(httpd, kind, size):
    is_refused(httpd, f"send {kind} x:{size}; try_send {kind} x:{size}", "0", INVALID)


@pytest.mark.parametrize("code", [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535])
def test_ws_875_04_a_close_code_that_must_not_be_sent(httpd, code):
    payload = f"hex:{code:04x}"
    is_refused(
        httpd, f"close_with {code} x; send close {payload}; try_send close {payload}",
        "0", "0", INVALID,
    )


@pytest.mark.parametrize("code", [1005, 1006, 1015, 999, 5000])
def test_ws_875_05_some_close_codes_must_never_be_sent(httpd, code):
    is_refused(httpd, f"close_with {code} ", "0", path="/reserved")


@pytest.mark.parametrize("code", [1004, 1016, 2000, 2999])
def test_ws_875_06_reserved_close_codes_may_be_allowed(httpd, code):
    with httpd.open("/reserved") as client:
        tell(client, f"close_with {code} ")
        assert client.receive_frame().close_code == code
        client.send_close(1000)
        assert client.receive_to_eof() == b""


# The second one would be 1000 in sixteen bits.
@pytest.mark.parametrize("code", [65536, 66536, 4294967295])
def test_ws_875_07_a_close_code_that_is_none(httpd, code):
    is_refused(httpd, f"close_with {code} ", "0")


@pytest.mark.parametrize("reason", ["x:124", "x:65536", "hex:c328", "hex:e282"])
def test_ws_875_08_a_close_reason_that_must_not_be_sent(httpd, reason):
    is_refused(httpd, f"close_with 1000 {reason}", "0")


def test_ws_875_09_a_close_reason_of_123_bytes_is_not_too_long(httpd):
    with httpd.open("/scripted") as client:
        tell(client, "close_with 1000 x:124; close_with 1000 x:123")
        httpd.error_log.expect(MISUSE)
        received = client.receive_frame()
        assert (received.close_code, received.payload[2:]) == (1000, b"x" * 123)
        client.send_close(1000)
        assert client.receive_to_eof() == b""


@pytest.mark.parametrize("payload", ["hex:03", "hex:03e8ff", "hex:03e8" + "78" * 124])
def test_ws_875_10_a_close_payload_that_is_none(httpd, payload):
    is_refused(httpd, f"send close {payload}; try_send close {payload}", "0", INVALID)


NO_BUFFER = [
    "null:1", "null:126", f"null:{LARGEST_OBJECT}", f"null:{LARGEST_OBJECT + 1}", f"null:{LARGEST}",
    # There is one, but it cannot be that long.
    f"claim:{LARGEST_OBJECT + 1}", f"claim:{LARGEST}",
]


@pytest.mark.parametrize("payload", NO_BUFFER)
@pytest.mark.parametrize(("function", "result"), [
    ("send text", "0"), ("send binary", "0"), ("send ping", "0"), ("send close", "0"),
    ("try_send text", INVALID), ("try_send binary", INVALID), ("try_send pong", INVALID),
    ("try_send close", INVALID), ("send_fragment text 0", INVALID),
    ("send_fragment binary 1", INVALID), ("close_with 1000", "0"),
])
def test_ws_875_11_a_size_without_a_buffer(httpd, function, result, payload):
    is_refused(httpd, f"{function} {payload}", result)


def test_ws_875_12_no_buffer_and_no_size_are_nothing_to_send(httpd):
    with httpd.open("/scripted") as client:
        client.send_frame(TEXT, "try_send text null:0; send_fragment binary 1 null:0; "
                                "send ping null:0")
        received = [client.receive_frame() for _ in range(3)]
        assert [(each.opcode, each.payload) for each in received] == [
            (TEXT, b""), (BINARY, b""), (PING, b"")
        ]
        assert client.receive_message().text == "1; 1; 0"
        tell(client, "close_with 1000 null:0")
        assert client.receive_frame().close_code == 1000
        client.send_close(1000)
        assert client.receive_to_eof() == b""


@pytest.mark.parametrize("kind", [
    "ping", "pong", "close", "-1", "1", "127", "254", "258", "2147483647", "-2147483648",
])
def test_ws_875_13_a_part_of_a_message_that_is_no_data(httpd, kind):
    is_refused(httpd, f"send_fragment {kind} 0 x; send_fragment {kind} 1 x", INVALID, INVALID)


@pytest.mark.parametrize("function", ["send", "try_send"])
@pytest.mark.parametrize("kind", ["-1", "1", "127", "254", "258", "1073741824", "-2147483648"])
def test_ws_875_14_an_unknown_type_is_a_close(httpd, function, kind):
    with httpd.open("/scripted") as client:
        tell(client, f"{function} {kind} ")
        assert client.receive_frame().close_code is None
        client.send_close(1000)
        assert client.receive_to_eof() == b""


@pytest.mark.parametrize("milliseconds", [DAY + 1, 1 << 31, (1 << 32) - 1])
def test_ws_875_15_a_timer_of_more_than_a_day(httpd, milliseconds):
    is_refused(httpd, f"set_timer {milliseconds}", "0")


def test_ws_875_16_a_timer_that_is_refused_leaves_the_one_before(httpd):
    httpd.error_log.expect(MISUSE)
    with httpd.open("/scripted", scripts(on_timer="send text tick")) as client:
        tell(client, f"set_timer 100; set_timer {DAY + 1}")
        assert client.receive_message().text == "tick"
        client.close_properly()


@pytest.mark.parametrize("milliseconds", [0, 1, DAY])
def test_ws_875_17_a_timer_without_on_timer(httpd, milliseconds):
    is_refused(httpd, f"set_timer {milliseconds}", "0", path="/without-timer")


def test_ws_875_18_reject_after_on_connect(httpd):
    is_refused(httpd, "reject 401", "0")


@pytest.mark.parametrize("field", ["X-Late value", "Upgrade evil"])
def test_ws_875_19_header_set_after_on_connect(httpd, field):
    is_refused(httpd, f"header_set {field}", "done")


@pytest.mark.parametrize(("call", "result"), [
    ("option_get null:0", "NULL"), ("variable_get null:0", "NULL"), ("header_get null:0", "NULL"),
])
def test_ws_875_20_a_name_that_is_null(httpd, call, result):
    is_refused(httpd, call, result)


@pytest.mark.parametrize("arguments", ["null:0 value", "X-Name null:0", "null:0 null:0"])
def test_ws_875_30_header_set_with_null(httpd, arguments):
    httpd.error_log.expect(MISUSE)
    with httpd.open("/scripted", scripts(on_connect=f"header_set {arguments}")) as client:
        assert client.response.get("X-Name") is None
        assert ask(client, "echo alive") == "alive"
        client.close_properly()
    assert len(httpd.error_log.wait_for(MISUSE, count=1)) == 1


def test_ws_875_21_a_server_that_is_null(httpd):
    is_refused(
        httpd, "null-server",
        f"close_with=0 try_send={CLOSED} send_fragment={CLOSED} buffered_amount=0 option_get=NULL "
        "variable_get=NULL reject=0 set_timer=0 subscribe=-1 unsubscribe=-1 publish=-1 topic_count=-1 "
        "topic_members=-1 send_many=0",
        logged=False,
    )


def test_ws_875_30_a_function_of_the_processs_table_with_a_connections_does_nothing(httpd):
    is_refused(
        httpd, "process-functions", "option_get=NULL publish=-1 topic_count=-1 topic_members=-1",
    )


EVERY_FAULT = [
    ("send text hex:ff", "0"), ("try_send text hex:ff", INVALID), ("send ping x:126", "0"),
    ("send_fragment text 1 hex:ff", INVALID), ("send_fragment ping 1 x", INVALID),
    ("send binary null:5", "0"), ("close_with 1005 ", "0"), ("close_with 99999 ", "0"),
    ("close_with 1000 x:124", "0"), (f"set_timer {DAY + 1}", "0"), ("reject 401", "0"),
    ("try_send close hex:03", INVALID),
]


# Behind the lines about all faults of a connection: the log may have the last of them in the next test's time.
END = "log 5 that is all"


def assert_each_kind_was_logged_once(httpd):
    httpd.error_log.wait_for("that is all$")
    kinds = [entry.text.partition("WS0401: ")[2] for entry in httpd.error_log.wait_for(MISUSE, count=2)]
    assert len(kinds) == len(set(kinds)) > 1, kinds


def test_ws_875_31_each_kind_of_fault_of_a_connection_is_logged_once(httpd):
    httpd.error_log.expect(MISUSE)
    script = "; ".join(command for command, _result in EVERY_FAULT)
    with httpd.open("/scripted") as client:
        for _ in range(2):
            assert ask(client, script) == "; ".join(result for _command, result in EVERY_FAULT)
        ask(client, END)
        client.close_properly()
    assert_each_kind_was_logged_once(httpd)


def test_ws_875_23_each_connection_has_its_own_line(httpd):
    httpd.error_log.expect(MISUSE)
    for _ in range(3):
        with httpd.open("/scripted") as client:
            assert ask(client, "send text hex:ff; send text hex:ff") == "0; 0"
            client.close_properly()
    assert len(httpd.error_log.wait_for(MISUSE, count=3)) == 3


def test_ws_875_24_faults_of_threads_are_refused_too(httpd):
    httpd.error_log.expect(MISUSE)
    records = Records(httpd)
    faults = [fault for fault in EVERY_FAULT if fault[0] != "reject 401"]
    with httpd.open("/scripted", tls=httpd.certificates.client_context()) as client:
        for _ in range(3):
            tell(client, "thread " + "; ".join(command for command, _result in faults))
        for command, result in faults:
            assert records.result(command, 2) == result, command
        assert ask(client, f"echo alive; {END}") == "alive; done"
        client.close_properly()
    records.wait_for_ends()
    assert_each_kind_was_logged_once(httpd)


def test_ws_875_25_faults_in_on_connect_are_refused_too(httpd):
    httpd.error_log.expect(MISUSE)
    records = Records(httpd)
    faults = [fault for fault in EVERY_FAULT if fault[0] != "reject 401"]
    fields = scripts(on_connect="; ".join(command for command, _result in faults))
    with httpd.open("/scripted", fields) as client:
        assert ask(client, f"echo alive; {END}") == "alive; done"
        client.close_properly()
    for command, result in faults:
        assert records.result(command) == result, command
    records.wait_for_ends()
    assert_each_kind_was_logged_once(httpd)


# After the end. A plugin cannot know of it in time: nothing of this is a fault.

LATE = [
    ("send text late", "0"), ("send ping late", "0"), ("try_send text late", CLOSED),
    ("try_send pong late", CLOSED), ("try_send close hex:03e8", CLOSED),
    ("send_fragment text 0 late", CLOSED), ("send_fragment binary 1 late", CLOSED),
    ("set_timer 1", "0"), ("set_timer 0", "0"), ("close_with 1000 late", "0"),
    ("send close hex:03e8", "0"), ("buffered_amount", "0"), ("close", "done"),
    ("option_get absent", "NULL"), ("header_get X-Marker", "still here"),
    ("variable_get REMOTE_ADDR", "127.0.0.1"),
]


@pytest.mark.parametrize("way", ["close_properly", "vanish", "reset", "fault", "plugin"])
@pytest.mark.parametrize("callback", ["on_close", "on_disconnect"])
def test_ws_875_26_calls_after_the_end(httpd, way, callback):
    records = Records(httpd)
    late = [*LATE, ("request", httpd.request_result)]
    script = "; ".join(command for command, _result in late)
    fields = [("X-Marker", "still here"), *scripts(**{callback: script})]
    with httpd.open("/scripted", fields) as client:
        if way == "fault":
            client.send(frame(TEXT, "x", rsv=2))
            client.expect_close(1002)
        elif way == "plugin":
            tell(client, "close_with 4000 bye")
            assert client.receive_frame().close_code == 4000
            client.send_close(4000)
            assert client.receive_to_eof() == b""
        else:
            getattr(client, way)()
    records.wait_for_ends()
    for command, result in late:
        assert records.result(command) == result, command


@pytest.mark.parametrize("callback", ["on_close", "on_disconnect"])
def test_ws_875_27_calls_of_threads_after_the_end(httpd, callback):
    records = Records(httpd)
    late = [fault for fault in LATE if not fault[0].startswith(("header", "variable"))]
    script = "thread " + "; ".join(command for command, _result in late)
    with httpd.open("/scripted", scripts(**{callback: script})) as client:
        client.close_properly()
    records.wait_for_ends()
    for command, result in late:
        assert records.result(command) == result, command


def test_ws_875_28_calls_behind_a_close_of_our_own(httpd):
    records = Records(httpd)
    late = [
        ("send text late", "0"), ("try_send text late", CLOSED), ("send ping late", "0"),
        ("send_fragment text 1 late", CLOSED), ("close_with 4001 late", "0"), ("close", "done"),
        ("try_send close hex:03e8", CLOSED),
    ]
    script = "; ".join(command for command, _result in late)
    with httpd.open("/scripted") as client:
        tell(client, f"close_with 4000 first; {script}; thread {script}")
        received = client.receive_frame()
        assert (received.close_code, received.payload[2:]) == (4000, b"first")
        for command, result in late:
            assert records.result(command, 1) == result, command
        client.send_close(4000)
        assert client.receive_to_eof() == b""
    records.wait_for_ends()


def test_ws_875_29_faults_after_the_end_are_refused_too(httpd):
    """Whether such a call is refused as a fault or because of the end is all the same."""
    httpd.error_log.expect(MISUSE)
    records = Records(httpd)
    script = "; ".join(command for command, _result in EVERY_FAULT)
    with httpd.open("/scripted", scripts(on_disconnect=f"{script}; {END}")) as client:
        client.close_properly()
    records.wait_for_ends()
    httpd.error_log.wait_for("that is all$")
    for command, result in EVERY_FAULT:
        allowed = ("0",) if result == "0" else (CLOSED, INVALID)
        assert records.result(command) in allowed, command


# Header fields. What comes from a client and goes into one must not begin another.

NO_FIELD = [
    f"header_set X-Name hex:{b'a{}b'.hex().replace(b'{}'.hex(), control)}"
    for control in ("0d0a", "0d", "0a", "01", "0b", "1f", "7f")
] + [
    f"header_set hex:{name.hex()} value"
    for name in (b"X-Name: x\r\nX-Evil", b"X-Name\n", b"X Name", b"X-Name:", b"\xe9")
] + [
    f"protocol_set hex:{value.hex()}" for value in (b"chat\r\nX-Evil: 1", b"chat\n", b"\x7f")
]


@pytest.mark.parametrize("command", NO_FIELD)
@pytest.mark.parametrize("refuses", [False, True])
def test_ws_875_50_what_cannot_stand_in_a_header_field_is_not_set(httpd, command, refuses):
    httpd.error_log.expect(MISUSE)
    script = f"header_set X-Good good; {command}" + ("; reject 401; refuse" if refuses else "")
    with httpd.client() as client:
        response = client.upgrade("/scripted", scripts(on_connect=script), protocol="chat")
        assert response.status == (401 if refuses else 101)
        assert response.get("X-Good") == "good"
        names = {name.lower() for name, _value in response.headers}
        assert not names & {"x-name", "x-evil", "x name", "sec-websocket-protocol"}
        if not refuses:
            assert ask(client, "echo alive") == "alive"
            client.close_properly()
    assert len(httpd.error_log.wait_for(MISUSE, count=1)) == 1


@pytest.mark.parametrize("value", ["", "a\tb", "\xe9 caf\xe9", "a, b; c=\"d\""])
def test_ws_875_51_every_other_value_is_set(httpd, value):
    script = f"header_set X-Name hex:{value.encode('latin-1').hex()}"
    with httpd.open("/scripted", scripts(on_connect=script)) as client:
        assert client.response.get("X-Name") == value
        client.close_properly()
