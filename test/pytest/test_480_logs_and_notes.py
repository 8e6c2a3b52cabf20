"""What the error log says of refusals, ends and frames, and what the access log can say of a WebSocket."""

import re
import zlib

import pytest

from harness.conf import ECHO, example, location, plugin, bare
from harness.hosts import TLS_MODULES, tls_host
from harness.lines import whole_lines
from harness.rawclient import (
    BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close_frame, frame,
)
from harness.waiting import eventually

MODULES = (*TLS_MODULES, "env")
WORKERS = 24
PANIC = r"panicked at|on purpose|panic in"
NOTES = ("close-code", "close-by", "messages-in", "messages-out", "bytes-in", "bytes-out",
         "subprotocol")
SECRET = "s3cret"
BACKSLASH = "\\"


def configuration(server):
    return (
        'LogFormat "%q %>s ' + " ".join(f"%{{websocket-{name}}}n" for name in NOTES) + '" notes\n'
        + "CustomLog notes.log notes\n"
        + location("/echo", example(ECHO), "WebSocketMaxMessageSize 1000")
        + location("/recorder", plugin("recorder"))
        + location("/recorder/brief", "WebSocketCloseTimeout 300ms")
        + location("/rpc", plugin("rpc"))
        + location("/compressed", example(ECHO), "WebSocketCompression On",
                   "WebSocketCompressionMinSize 0")
        + bare("/bare")
        + location("/panic/connect", plugin("panic", "panic_connect_init"))
        + location("/panic/message", plugin("panic", "panic_message_init"))
        + location("/quiet", plugin("recorder"),
                   "WebSocketPingInterval 100ms", "WebSocketPongTimeout 100ms")
        + location("/idle", plugin("recorder"), "WebSocketIdleTimeout 100ms")
        + location("/old", plugin("recorder"), "WebSocketMaxLifetime 100ms")
        + location("/stuck", plugin("rpc"), "WebSocketSendTimeout 300ms")
        + "".join(
            location(f"/log/{level}", example(ECHO), f"LogLevel websocket:{level}",
                     "WebSocketMaxMessageSize 1000")
            for level in ("notice", "info", "trace4", "trace7", "trace8")
        )
        + tls_host(server)
    )


@pytest.fixture(params=["plain", "tls"])
def tls(request, httpd):
    return httpd.certificates.client_context() if request.param == "tls" else None


def tagged(error_log):
    """The module's own lines since the test began, without what a plugin says."""
    return error_log.find(r"\bWS0[0-3]\d\d: ")


def notes(server, name):
    """The notes of the one request with the query `name`, after the status."""
    path = server.directory / "notes.log"

    def line():
        found = [line for line in whole_lines(path) if line.startswith(f"?{name} ")]
        assert len(found) < 2, found
        return found

    (found,) = eventually(line, "the line of the access log")
    _, status, *values = found.split(" ")
    return int(status), dict(zip(NOTES, values, strict=True))


# Refusals

@pytest.mark.parametrize(("path", "changes", "status", "tag", "level", "says"), [
    ("/echo", {"upgrade": None}, 426, "WS0201", "info", "no upgrade, it lacks Upgrade: websocket"),
    ("/echo", {"connection": "close"}, 426, "WS0201", "info", "no upgrade, it lacks Connection: Upgrade"),
    ("/echo", {"version": "12"}, 400, "WS0202", "info", "Sec-WebSocket-Version"),
    ("/echo", {"key": "short"}, 400, "WS0202", "info", "Sec-WebSocket-Key"),
    ("/echo", {"method": "POST"}, 400, "WS0202", "info", "GET"),
    ("/echo", {"origin": "http://elsewhere.example"}, 403, "WS0203", "info",
     "Origin 'http://elsewhere.example' is not the server's own"),
    ("/echo", {"origin": "http://elsewhere.example"}, 403, "WS0203", "info", "(WebSocketOriginCheck Same)"),
    ("/bare", {}, 500, "WS0204", "error", "WebSocketHandler"),
    ("/recorder", {"headers": [("X-Refuse", "1")]}, 403, "WS0205", "info",
     "the plugin recorder (recorder_init) refused WebSocket "),
    ("/rpc", {"headers": [("X-Connect-Error", "1")]}, 500, "WS0206", "error",
     "the plugin rpc (rpc_init) failed in on_connect of WebSocket "),
])
def test_ws_480_01_every_refusal_has_one_line_with_its_reason(
    httpd, error_log, path, changes, status, tag, level, says, tls
):
    name = f"refused-{tag}-{'tls' if tls else 'plain'}-{'-'.join(changes)}-{len(says)}"
    if level == "error":
        error_log.expect(tag)
    with httpd.client(tls=tls) as client:
        assert client.upgrade(f"{path}?{name}", **changes).status == status
    (line,) = tagged(error_log)
    assert line.level == level
    assert f"{tag}: no WebSocket for {path}: " in line.text and says in line.text
    assert name not in line.text, "the query"
    logged, values = notes(httpd, name)
    assert logged == status
    assert set(values.values()) == {"-"}, values


# Ends: what the client does, what the log says, and the notes `close-code` and `close-by`

def close(code=None, reason=b""):
    def do(client):
        client.send_close(code, reason)
        client.receive_to_eof()

    return do


def send(data):
    def do(client):
        client.send(data)
        while (received := client.receive_frame()).opcode != CLOSE:
            pass
        client.send_close(received.close_code)
        client.receive_to_eof()

    return do


def be_silent(client):
    try:
        client.receive_to_eof()
    except ConnectionResetError:
        pass


def answer_the_close(client):
    client.send_close(client.receive_frame().close_code)
    client.receive_to_eof()


def leave_the_close_unanswered(client):
    client.send_frame(TEXT, "close")
    be_silent(client)


def read_nothing(client):
    client.send_frame(TEXT, "send-big 20000000")
    client.receive_exactly(10)


ENDS = {
    "close 1000": (
        "/echo", close(1000), r"closed by the peer, 1000 NormalClosure$", 1000, "peer"),
    # httpd writes each backslash twice.
    "close with a reason": (
        "/echo", close(4321, 'so "long"\n'), r'closed by the peer, 4321 "so \\\\"long\\\\"\\\\n"$',
        4321, "peer"),
    "close without a code": (
        "/echo", close(), r"closed by the peer, no close code$", 1005, "peer"),
    "close of the plugin": (
        "/rpc", send(frame(TEXT, "close_with 4001 enough")),
        r'closed by the plugin with 4001 "enough", answered with 4001$', 4001, "plugin"),
    "close of the plugin without a code": (
        "/recorder", send(frame(TEXT, "close")),
        r"closed by the plugin with 1005, answered with no close code$", 1005, "plugin"),
    "close that is not answered": (
        "/recorder/brief", leave_the_close_unanswered,
        r"closed by the plugin with 1005, and .*in WebSocketCloseTimeout$", 1005, "plugin"),
    "protocol error": (
        "/echo", send(frame(TEXT, "x", rsv=2)),
        r"the peer broke the protocol: .*reserved bit", 1002, "protocol"),
    "invalid UTF-8": (
        "/echo", send(frame(TEXT, b"\xff")), r"the peer broke the protocol: .*UTF-8", 1007,
        "protocol"),
    "too large": (
        "/echo", send(frame(TEXT, length=1001)),
        r"the peer broke the protocol: .*larger than the limit: 1001 bytes are announced "
        r"\(WebSocketMaxMessageSize 1000\)$", 1009, "protocol"),
    "too large in two": (
        "/echo", send(frame(TEXT, "x" * 999, fin=False) + frame(CONTINUATION, length=70000)),
        r"larger than the limit: 70999 bytes are announced \(WebSocketMaxMessageSize 1000\)$", 1009, "protocol"),
    "end of the stream": (
        "/echo", lambda client: client.vanish(), r"the peer vanished without a Close frame$",
        1006, "lost"),
    "reset": (
        "/echo", lambda client: client.reset(), r"the connection broke: ", 1006, "lost"),
    "no sign of life": (
        "/quiet", be_silent, r"no sign of life in WebSocketPongTimeout", 1006, "pong-timeout"),
    "idle": (
        "/idle", answer_the_close,
        r"closed because of WebSocketIdleTimeout with 1001, answered with 1001 GoingAway$", 1001,
        "idle"),
    "old": (
        "/old", answer_the_close,
        r"closed because of WebSocketMaxLifetime with 1001, answered with 1001 GoingAway$", 1001,
        "lifetime"),
    "output not taken": (
        "/stuck", read_nothing, r"the peer took no output in WebSocketSendTimeout$", 1006,
        "send-timeout"),
    "panic": (
        "/panic/message", send(frame(TEXT, "boom")), r"with 1011", 1011, "plugin"),
}


@pytest.mark.parametrize("end", ENDS)
def test_ws_480_02_every_end_has_one_line_and_its_notes(httpd, error_log, end, tls):
    path, do, says, code, by = ENDS[end]
    name = f"{'tls' if tls else 'plain'}-{'-'.join(end.split())}"
    if path.startswith("/panic"):
        error_log.expect(PANIC)
    client = httpd.open(f"{path}?{name}", tls=tls, receive_buffer=4096)
    try:
        do(client)
        line = error_log.wait_for_end(client)
    finally:
        client.vanish()
    assert line.level == "info"
    account = re.search(
        r"WS0302: WebSocket \d+: ended after \d+\.\d{3} s, \d+ messages in and \d+ out, "
        r"\d+ bytes in and \d+ out: (.*)", line.text
    )
    assert account, line.text
    if end == "reset" and tls:  # OpenSSL makes no difference
        says = r"the connection broke: |the peer vanished without a Close frame$"
    assert re.search(says, account[1]), account[1]
    status, values = notes(httpd, name)
    assert status == 101
    assert (values["close-code"], values["close-by"]) == (str(code), by)
    assert [each.text.split("WS")[1][:4] for each in tagged(error_log)] == ["0301", "0302"]


def test_ws_480_03_messages_and_bytes_are_counted_both_ways(httpd, error_log, tls):
    name = f"counts-{'tls' if tls else 'plain'}"
    output = [
        frame(TEXT, "hello"), frame(BINARY, bytes(300)), frame(PING, "ping"), frame(PONG, "pong"),
        frame(TEXT, "in ", fin=False), frame(CONTINUATION, "pieces"), close_frame(1000),
    ]
    answers = [
        frame(TEXT, "hello", mask=None), frame(BINARY, bytes(300), mask=None),
        frame(PONG, "ping", mask=None), frame(TEXT, "in pieces", mask=None),
        close_frame(1000, mask=None),
    ]
    with httpd.open(f"/echo?{name}", tls=tls) as client:
        client.send(b"".join(output))
        assert client.receive_to_eof() == b"".join(answers)
    bytes_in, bytes_out = (sum(map(len, frames)) for frames in (output, answers))
    error_log.wait_for(
        f"WS0302: .* 3 messages in and 3 out, {bytes_in} bytes in and {bytes_out} out: "
    )
    _, values = notes(httpd, name)
    assert (values["messages-in"], values["messages-out"]) == ("3", "3")
    assert (values["bytes-in"], values["bytes-out"]) == (str(bytes_in), str(bytes_out))


def test_ws_480_04_bytes_are_counted_as_they_travel(httpd):
    with httpd.client() as client:
        offer = [("Sec-WebSocket-Extensions", "permessage-deflate")]
        assert client.upgrade("/compressed?compressed", offer).status == 101
        compressor = zlib.compressobj(wbits=-15)
        payload = compressor.compress(bytes(100_000)) + compressor.flush(zlib.Z_SYNC_FLUSH)
        output = frame(BINARY, payload[:-4], rsv=4) + close_frame(1000)
        client.send(output)
        answer = client.receive_to_eof()
    _, values = notes(httpd, "compressed")
    assert values["messages-in"] == values["messages-out"] == "1"
    assert (values["bytes-in"], values["bytes-out"]) == (str(len(output)), str(len(answer)))


def test_ws_480_05_the_subprotocol_is_a_note(httpd, tls):
    name = f"subprotocol-{'tls' if tls else 'plain'}"
    fields = [("X-Choose-Protocol", "chat.v2")]
    with httpd.open(f"/rpc?{name}", fields, tls=tls, protocol="chat.v1, chat.v2") as client:
        client.close_properly()
    assert notes(httpd, name)[1]["subprotocol"] == "chat.v2"
    with httpd.open(f"/rpc?{name}-none", tls=tls, protocol="chat.v1") as client:
        client.close_properly()
    assert notes(httpd, f"{name}-none")[1]["subprotocol"] == "-"


def test_ws_480_06_a_stopping_child_is_named(make_httpd, mpm):
    server = make_httpd(mpm, lambda server: "WebSocketDrainTimeout 100ms\n" + configuration(server),
                        modules=MODULES, workers=4).start()
    with server.open("/recorder?gone") as client:
        server.graceful()
        answer_the_close(client)
    line = server.error_log.wait_for_end(client)
    assert "closed because the child stops with 1001" in line.text
    status, values = notes(server, "gone")
    assert status == 101
    assert (values["close-code"], values["close-by"]) == ("1001", "stopping")


# The opening, frames and payloads

def test_ws_480_07_an_opening_is_a_line_at_info(httpd, error_log):
    for level, count in (("notice", 0), ("info", 1), ("trace8", 1)):
        before = len(error_log.find("WS0301"))
        with httpd.open(f"/log/{level}?{SECRET}") as client:
            client.close_properly()
        if count:
            # Behind it, whoever writes them.
            error_log.wait_for_end(client)
        lines = error_log.find("WS0301")[before:]
        assert len(lines) == count, level
        for line in lines:
            assert line.level == "info"
            assert re.search(
                rf'WS0301: WebSocket \d+: opened at "/log/{level}" '
                rf'\(Location "ws://localhost:\d+/log/{level}"\), version 13$', line.text
            ), line.text


FRAMES = [
    (frame(TEXT, "hello"), "text FIN, 5 bytes"),
    (frame(BINARY, b"\x00\x7f\xff\n\"\\"), "binary FIN, 6 bytes"),
    (frame(PING, "p"), "ping FIN, 1 bytes"),
    (frame(PONG), "pong FIN, 0 bytes"),
    (frame(TEXT, "x" * 30, fin=False), "text, 30 bytes"),
    (frame(CONTINUATION, "x" * 70, fin=False), "continuation, 70 bytes"),
    (frame(CONTINUATION, "x" * 64), "continuation FIN, 64 bytes"),
    (close_frame(1000, "bye"), "close FIN, 5 bytes"),
]
ANSWERS = ["text FIN, 5 bytes", "binary FIN, 6 bytes", "pong FIN, 1 bytes", "text FIN, 164 bytes",
           "close FIN, 2 bytes"]


@pytest.mark.parametrize("cut", [None, 1, 7], ids=["at once", "byte by byte", "in sevens"])
def test_ws_480_08_trace4_has_every_frames_header_and_no_payload(httpd, error_log, cut, tls):
    with httpd.open("/log/trace4", tls=tls) as client:
        output = b"".join(data for data, _ in FRAMES)
        client.send_in_pieces(output, cut or len(output))
        client.receive_to_eof()
    error_log.wait_for_end(client)
    lines = error_log.find("WS0501: ")
    assert {line.level for line in lines} == {"trace4"}

    def told(direction):
        found = (re.search(f"frame {direction}: (.*)", line.text) for line in lines)
        return [match[1] for match in found if match]

    assert told("in") == [header for _, header in FRAMES]
    assert told("out") == ANSWERS
    assert not error_log.find("WS0502: ")


def test_ws_480_09_trace8_has_the_beginning_of_each_payload_escaped(httpd, error_log, tls):
    with httpd.open("/log/trace8", tls=tls) as client:
        client.send(b"".join(data for data, _ in FRAMES))
        client.receive_to_eof()
    error_log.wait_for_end(client)
    lines = error_log.find("WS0502: ")
    assert {line.level for line in lines} == {"trace8"}
    told = [
        # httpd writes each backslash twice.
        line.text.partition("payload in: ")[2].replace(2 * BACKSLASH, BACKSLASH)
        for line in lines if "payload in: " in line.text
    ]
    assert told == [
        '"hello"', r'"\x00\x7f\xff\n\"\\"', '"p"', '""', f'"{"x" * 30}"',
        f'"{"x" * 64}" and so on', f'"{"x" * 64}"', r'"\x03\xe8bye"',
    ]
    assert sum("payload out: " in line.text for line in lines) == len(ANSWERS)


def test_ws_480_10_trace7_has_no_payload(httpd, error_log):
    with httpd.open("/log/trace7") as client:
        client.echo(SECRET)
        client.close_properly()
    error_log.wait_for_end(client)
    assert error_log.find("WS0501: ")
    assert not error_log.find("WS0502: ") and not error_log.find(SECRET)


@pytest.mark.parametrize("broken", [
    frame(TEXT, "x", rsv=1), b"\x83\x80" + bytes(4), frame(PING, "x" * 126),
    frame(TEXT, "x", mask=None), frame(TEXT, length=1 << 63, length_bits=64),
], ids=["reserved bit", "opcode", "long ping", "unmasked", "length"])
def test_ws_480_11_what_is_no_frame_ends_the_trace_and_nothing_else(httpd, error_log, broken):
    with httpd.open("/log/trace8") as client:
        client.send(frame(TEXT, "good") + broken + frame(TEXT, "behind"))
        assert client.receive_message().text == "good"
        assert client.receive_frame().opcode == CLOSE
    error_log.wait_for("WS0302: .*broke the protocol|WS0302: .*1009")
    assert error_log.wait_for("payload in: .*good")


# Secrets

def test_ws_480_12_payloads_and_queries_are_not_in_the_log_at_debug(make_httpd, mpm):
    """Whatever happens, with LogLevel debug for everything."""
    server = make_httpd(mpm, lambda server: "LogLevel debug\n" + configuration(server),
                        modules=MODULES, workers=8).start()
    server.error_log.expect("WS0204")
    server.error_log.expect("WS0206")
    server.error_log.expect(PANIC)
    context = server.certificates.client_context()
    secret = SECRET.encode()
    faults = [
        frame(TEXT, secret, rsv=1), frame(TEXT, secret + b"\xff"), frame(0x3, secret),
        frame(TEXT, secret * 500), frame(CONTINUATION, secret), frame(TEXT, secret, mask=None),
        close_frame(1, secret),
    ]
    ends = 0
    for tls in (None, context):
        for payload in (secret, secret * 50):
            for opcode in (TEXT, BINARY):
                with server.open(f"/echo?{SECRET}", tls=tls) as client:
                    client.echo(payload, opcode)
                    client.send_frame(PING, secret)
                    assert client.receive_frame().payload == secret
                    client.send_frame(PONG, secret)
                    client.close_properly()
                ends += 1
        for fault in faults:
            with server.open(f"/echo?{SECRET}", tls=tls) as client:
                client.send(fault)
                client.receive_to_eof()
            ends += 1
        for leave in ("vanish", "reset"):
            client = server.open(f"/echo?{SECRET}", tls=tls)
            client.send(frame(TEXT, secret * 10)[:40])
            getattr(client, leave)()
            ends += 1
        with server.open(f"/panic/message?{SECRET}", tls=tls) as client:
            client.send_frame(TEXT, secret * 10000)
            client.receive_frame()
        ends += 1
        with server.open(f"/rpc?{SECRET}", tls=tls) as client:
            # A misuse, with the plugin's own payload.
            client.send_frame(TEXT, f"send-close 1005 {SECRET}")
            client.receive_frame()
            client.close_properly()
        ends += 1
        for path, changes in (
            ("/echo", {"version": "12"}), ("/echo", {"origin": "http://a.example"}),
            ("/recorder", {"headers": [("X-Refuse", "1")]}), ("/bare", {}),
            ("/rpc", {"headers": [("X-Connect-Error", "1")]}), ("/panic/connect", {}),
            ("/echo", {"upgrade": None}), ("/echo", {"key": SECRET}),
        ):
            with server.client(tls=tls) as client:
                assert client.upgrade(f"{path}?{SECRET}", **changes).status != 101
    server.error_log.expect("WS0401")
    server.error_log.wait_for("WS0302: ", count=ends)
    assert not [line.text for line in server.error_log.find(SECRET)]
