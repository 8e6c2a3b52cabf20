"""send_fragment: one message in parts."""

import zlib

import pytest
from websockets.sync.client import connect

from harness.conf import ECHO, example, location, plugin
from harness.hosts import TLS_MODULES, tls_host
from harness.rawclient import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT
from harness.scripted import ACCEPTED, CLOSED, INVALID, WOULD_BLOCK, Records, ask, scripts, tell

MODULES = TLS_MODULES
WORKERS = 24
MEGABYTE = 1 << 20
ROUNDS = 50
MISUSE = r"\[websocket:warn\].* WS0401: "
TAIL = b"\x00\x00\xff\xff"  # of a compressed message, RFC 7692, 7.2.1


def configuration(server):
    return (
        location("/scripted", plugin("scripted"))
        + location("/compressed", plugin("scripted"),
                   "WebSocketCompression On", "WebSocketCompressionMinSize 0")
        + location("/narrow", plugin("scripted"),
                   "WebSocketSendBuffer 1000", "WebSocketSendTimeout 600", "WebSocketPingInterval 0")
        + location("/echo", example(ECHO))
        + tls_host(server)
    )


@pytest.fixture(params=["plain", "tls"])
def tls(request, httpd):
    return httpd.certificates.client_context() if request.param == "tls" else None


@pytest.fixture
def records(httpd):
    return Records(httpd)


def frames(client, count):
    """The next frames: opcode, FIN and payload of each."""
    received = [client.receive_frame() for _ in range(count)]
    assert not any(frame.rsv or frame.masked for frame in received), received
    return [(frame.opcode, frame.fin, frame.payload) for frame in received]


@pytest.mark.parametrize(("kind", "opcode"), [("text", TEXT), ("binary", BINARY)])
def test_ws_830_01_each_part_is_a_frame(httpd, tls, kind, opcode):
    with httpd.open("/scripted", tls=tls) as client:
        client.send_frame(TEXT, "; ".join([
            f"send_fragment {kind} 0 one,", f"send_fragment {kind} 0 two,",
            f"send_fragment {kind} 1 three", f"send_fragment {kind} 1 alone",
        ]))
        assert frames(client, 4) == [
            (opcode, False, b"one,"), (CONTINUATION, False, b"two,"),
            (CONTINUATION, True, b"three"), (opcode, True, b"alone"),
        ]
        assert client.receive_message().text == "; ".join([ACCEPTED] * 4)
        client.close_properly()


def test_ws_830_02_any_number_but_0_is_final(httpd):
    with httpd.open("/scripted") as client:
        client.send_frame(TEXT, "send_fragment text -1 x; send_fragment text 256 y")
        assert frames(client, 2) == [(TEXT, True, b"x"), (TEXT, True, b"y")]
        assert client.receive_message().text == "1; 1"


def test_ws_830_03_a_text_may_be_cut_inside_a_character(httpd, tls):
    text = "ä€𝄞".encode()
    with httpd.open("/scripted", tls=tls) as client:
        # Each byte is a part.
        commands = [
            f"send_fragment text {int(last)} hex:{byte:02x}"
            for byte, last in zip(text, [False] * (len(text) - 1) + [True])
        ]
        client.send_frame(TEXT, "; ".join(commands))
        received = frames(client, len(text))
        assert [opcode for opcode, _fin, _payload in received] == [TEXT] + [CONTINUATION] * 8
        assert b"".join(payload for _opcode, _fin, payload in received) == text
        assert client.receive_message().text == "; ".join([ACCEPTED] * len(text))
        client.close_properly()


@pytest.mark.parametrize("empty", ["", "null:0"])
def test_ws_830_04_a_part_may_be_empty(httpd, empty):
    with httpd.open("/scripted") as client:
        client.send_frame(TEXT, "; ".join([
            f"send_fragment text 0 {empty}", f"send_fragment text 0 {empty}",
            "send_fragment text 0 x", f"send_fragment text 0 {empty}",
            f"send_fragment text 1 {empty}",
            f"send_fragment binary 0 {empty}", f"send_fragment binary 1 {empty}",
        ]))
        assert frames(client, 7) == [
            (TEXT, False, b""), (CONTINUATION, False, b""), (CONTINUATION, False, b"x"),
            (CONTINUATION, False, b""), (CONTINUATION, True, b""),
            (BINARY, False, b""), (CONTINUATION, True, b""),
        ]
        assert client.receive_message().text == "; ".join([ACCEPTED] * 7)
        client.close_properly()


def test_ws_830_05_an_ordinary_client_gets_the_message_whole(httpd):
    with connect(httpd.uri("/scripted")) as websocket:
        websocket.send("send_fragment text 0 in; send_fragment text 0  three; "
                       "send_fragment text 1  parts")
        assert websocket.recv(timeout=15) == "in three parts"
        assert websocket.recv(timeout=15) == "1; 1; 1"


def test_ws_830_06_control_frames_do_not_wait_for_the_end(httpd, tls):
    with httpd.open("/scripted", tls=tls) as client:
        tell(client, "send_fragment text 0 Hel; send ping one; try_send pong two")
        assert frames(client, 3) == [
            (TEXT, False, b"Hel"), (PING, True, b"one"), (PONG, True, b"two")
        ]
        # Nor do the server's own.
        client.send_frame(PING, "three")
        assert frames(client, 1) == [(PONG, True, b"three")]
        tell(client, "send_fragment text 1 lo")
        assert frames(client, 1) == [(CONTINUATION, True, b"lo")]
        client.close_properly()


def test_ws_830_07_messages_of_the_same_callback_wait_for_the_end(httpd, tls):
    with httpd.open("/scripted", tls=tls) as client:
        client.send_frame(TEXT, "; ".join([
            "send_fragment text 0 a", "send text one", "try_send binary two",
            "send_fragment text 0 b", "send text three", "send_fragment text 1 c",
            "send text four",
        ]))
        assert frames(client, 7) == [
            (TEXT, False, b"a"), (CONTINUATION, False, b"b"), (CONTINUATION, True, b"c"),
            (TEXT, True, b"one"), (BINARY, True, b"two"), (TEXT, True, b"three"),
            (TEXT, True, b"four"),
        ]
        assert client.receive_message().text == "1; 3; 1; 1; 5; 1; 4"
        client.close_properly()


def test_ws_830_08_messages_of_other_callbacks_and_threads_wait_for_the_end(
    httpd, records, tls
):
    with httpd.open("/scripted", tls=tls) as client:
        tell(client, "send_fragment text 0 a")
        tell(client, "thread send text one; try_send text two; send text three")
        assert records.result("send text three") == "5"
        assert records.result("try_send text two") == ACCEPTED
        tell(client, "send text four")
        assert records.result("send text four") == "4"
        # Whatever has been sent by now is there before the answer to this.
        client.send_frame(PING, "now")
        assert frames(client, 2) == [(TEXT, False, b"a"), (PONG, True, b"now")]
        # A thread ends the message.
        tell(client, "thread send_fragment text 1 b")
        assert frames(client, 5) == [
            (CONTINUATION, True, b"b"), (TEXT, True, b"one"), (TEXT, True, b"two"),
            (TEXT, True, b"three"), (TEXT, True, b"four"),
        ]
        assert ask(client, "buffered_amount; echo the end").endswith("the end")
        client.close_properly()
    records.wait_for_ends()


def test_ws_830_09_what_waits_for_the_end_counts_as_buffered(httpd, records):
    fields = scripts(on_connect="send_fragment binary 0 x; send binary x:1000")
    with httpd.open("/scripted", fields) as client:
        assert frames(client, 1) == [(BINARY, False, b"x")]
        tell(client, "buffered_amount")
        assert int(records.result("buffered_amount")) >= 1000
        tell(client, "send_fragment binary 1 y")
        assert frames(client, 2) == [(CONTINUATION, True, b"y"), (BINARY, True, b"x" * 1000)]
        client.close_properly()


def test_ws_830_10_many_parts_and_many_messages_do_not_mix(httpd, records, tls):
    parts, messages = 200, 200
    with httpd.open("/scripted", tls=tls) as client:
        in_parts = [f"send_fragment text {int(n % 10 == 9)} {n}," for n in range(parts)]
        tell(client, "thread " + "; ".join(in_parts))
        for thread in range(3):
            whole = [f"send text thread {thread} message {n}" for n in range(messages)]
            tell(client, "thread " + "; ".join(whole))
        following, in_order, message = [0] * 3, [], None
        while len(in_order) < parts or following != [messages] * 3:
            received = client.receive_frame()
            if received.opcode == CONTINUATION or not received.fin:
                assert (received.opcode == TEXT) == (message is None)
                message = (message or b"") + received.payload
                if received.fin:
                    in_order += message.decode().rstrip(",").split(",")
                    message = None
            else:
                assert message is None, "a message between the parts of another"
                _thread, thread, _message, number = received.text.split()
                assert int(number) == following[int(thread)]
                following[int(thread)] += 1
        assert in_order == [str(n) for n in range(parts)]
        client.close_properly()
    records.wait_for_ends()


def test_ws_830_11_a_message_in_parts_may_begin_in_on_connect(httpd, tls):
    fields = scripts(
        on_connect="send text before; send_fragment text 0 a; send text behind",
        on_open="send_fragment text 1 b",
    )
    with httpd.open("/scripted", fields, tls=tls) as client:
        assert frames(client, 4) == [
            (TEXT, True, b"before"), (TEXT, False, b"a"), (CONTINUATION, True, b"b"),
            (TEXT, True, b"behind"),
        ]
        client.close_properly()


@pytest.mark.parametrize("close", ["close_with 4000 x", "send close hex:0fa078"])
def test_ws_830_12_a_close_leaves_the_message_unfinished(httpd, records, tls, close):
    commands = ["send_fragment text 0 a", "send text dropped", close, "send_fragment text 1 b"]
    with httpd.open("/scripted", tls=tls) as client:
        tell(client, "; ".join(commands))
        received = [client.receive_frame() for _ in range(2)]
        assert (received[0].opcode, received[0].fin) == (TEXT, False)
        assert received[1].close_code == 4000
        client.send_close(4000)
        assert client.receive_to_eof() == b""
    assert records.wait_for_end()[-2:] == ["close 4000 1 ", "disconnect"]
    assert records.result(commands[1]) == str(len("dropped"))
    assert records.result(commands[3]) == CLOSED


def test_ws_830_13_a_close_of_the_peer_leaves_the_message_unfinished(httpd, records, tls):
    with httpd.open("/scripted", tls=tls) as client:
        tell(client, "send_fragment text 0 a; send text dropped")
        assert frames(client, 1) == [(TEXT, False, b"a")]
        client.close_properly(1000)
    assert records.wait_for_end()[-2:] == ["close 1000 1 ", "disconnect"]


@pytest.mark.parametrize("bad", ["hex:ff", "hex:c328", "hex:eda080", "hex:2862ff"])
@pytest.mark.parametrize("final", [0, 1])
def test_ws_830_14_a_part_that_is_not_utf8_is_refused_and_the_message_goes_on(
    httpd, bad, final
):
    httpd.error_log.expect(MISUSE)
    with httpd.open("/scripted") as client:
        # As the first part, and as a later one.
        client.send_frame(TEXT, "; ".join([
            f"send_fragment text {final} {bad}", "send_fragment text 0 good ",
            f"send_fragment text {final} {bad}", "send_fragment text 1 again",
        ]))
        assert frames(client, 2) == [(TEXT, False, b"good "), (CONTINUATION, True, b"again")]
        assert client.receive_message().text == "; ".join([INVALID, ACCEPTED] * 2)
        client.close_properly()
    assert len(httpd.error_log.wait_for(MISUSE, count=1)) == 1


def test_ws_830_15_a_character_that_is_not_finished_refuses_the_last_part(httpd):
    httpd.error_log.expect(MISUSE)
    with httpd.open("/scripted") as client:
        client.send_frame(TEXT, "; ".join([
            "send_fragment text 0 hex:e2", "send_fragment text 1 ",
            "send_fragment text 1 hex:82", "send_fragment text 0 x",
            "send_fragment text 1 hex:82ac",
        ]))
        assert frames(client, 2) == [(TEXT, False, b"\xe2"), (CONTINUATION, True, b"\x82\xac")]
        assert client.receive_message().text == "1; -2; -2; -2; 1"
        client.close_properly()


@pytest.mark.parametrize("kind", ["binary", "ping", "pong", "close", "-1", "1", "1073741824"])
def test_ws_830_16_another_type_than_the_first_parts_is_refused(httpd, kind):
    httpd.error_log.expect(MISUSE)
    with httpd.open("/scripted") as client:
        client.send_frame(TEXT, "; ".join([
            "send_fragment text 0 a", f"send_fragment {kind} 0 no", f"send_fragment {kind} 1 no",
            "send_fragment text 1 b",
        ]))
        assert frames(client, 2) == [(TEXT, False, b"a"), (CONTINUATION, True, b"b")]
        assert client.receive_message().text == "1; -2; -2; 1"
        client.close_properly()


def test_ws_830_17_parts_are_not_compressed_and_other_messages_are(httpd, tls):
    extension = [("Sec-WebSocket-Extensions", "permessage-deflate")]
    with httpd.open("/compressed", extension, tls=tls) as client:
        assert client.response.get("Sec-WebSocket-Extensions") == "permessage-deflate"
        inflater = zlib.decompressobj(wbits=-15)

        def inflated(received):
            assert (received.opcode, received.fin, received.rsv) == (TEXT, True, 4), received
            return inflater.decompress(received.payload + TAIL)

        tell(client, "; ".join([
            "send text the same text", "send_fragment text 0 the same ",
            "send text the same text again", "send_fragment text 1 text",
            "send text the same text once more",
        ]))
        assert inflated(client.receive_frame()) == b"the same text"
        assert frames(client, 2) == [
            (TEXT, False, b"the same "), (CONTINUATION, True, b"text")
        ]
        assert inflated(client.receive_frame()) == b"the same text again"
        assert inflated(client.receive_frame()) == b"the same text once more"
        client.close_properly()


def test_ws_830_18_parts_wait_for_a_slow_peer(httpd, records, tls):
    size, count = 2 * MEGABYTE, 8
    command = f"send_fragment binary 0 x:{size}"
    with httpd.open("/scripted", tls=tls, receive_buffer=4096) as client:
        script = [command] * count + ["send_fragment binary 1 ", "send text behind"]
        tell(client, "thread " + "; ".join(script))
        records.wait_for(f"does {command} = {ACCEPTED}")
        with httpd.open("/echo") as other:
            for number in range(ROUNDS):
                other.echo(f"round {number}")
        assert len(records.find(f"does {command} = .*")) < count, "nothing has waited"
        for number in range(count):
            received = client.receive_frame()
            assert (received.opcode, received.fin) == (CONTINUATION if number else BINARY, False)
            assert received.payload == b"x" * size
        assert frames(client, 2) == [(CONTINUATION, True, b""), (TEXT, True, b"behind")]
        client.close_properly()
    records.wait_for_ends()


@pytest.mark.parametrize("way", ["vanish", "reset"])
def test_ws_830_19_a_part_that_waits_is_released_at_the_peers_end(httpd, records, tls, way):
    with httpd.open("/scripted", tls=tls, receive_buffer=4096) as client:
        parts = [f"send_fragment binary 0 x:{2 * MEGABYTE}"] * 8
        tell(client, "thread " + "; ".join([*parts, "send_fragment binary 1 end"]))
        records.wait_for(r"does send_fragment binary 0 .* = 1")
        getattr(client, way)()
    records.wait_for_ends()
    assert records.result("send_fragment binary 1 end") == CLOSED


def test_ws_830_20_messages_that_wait_for_the_end_have_no_more_room_than_others(
    httpd, records, tls
):
    size = 10_000
    fields = scripts(on_writable="send text room")
    with httpd.open("/scripted", fields, tls=tls) as client:
        tell(client, f"send_fragment binary 0 x; fill {size}")
        count, result = records.result(f"fill {size}").split()
        assert result == WOULD_BLOCK
        assert frames(client, 1) == [(BINARY, False, b"x")]
        tell(client, "send_fragment binary 1 y")
        assert frames(client, 1) == [(CONTINUATION, True, b"y")]
        for number in range(int(count)):
            assert client.receive_message().payload[:8] == b"%08d" % number
        assert client.receive_message().text == "room"
        assert ask(client, "echo the end") == "the end"
        client.close_properly()
    assert records.wait_for_end().count("writable") == 1


def test_ws_830_21_a_thread_whose_message_has_no_room_waits_for_the_end(httpd, records, tls):
    size, count = 300_000, 12
    command = f"send binary x:{size}"
    with httpd.open("/scripted", tls=tls) as client:
        tell(client, "send_fragment text 0 a")
        tell(client, "thread " + "; ".join([command] * count))
        # As many as fit.
        records.wait_for(f"does {command} = {size}", 3)
        assert len(records.find(f"does {command} = .*")) < count, "the thread has not waited"
        tell(client, "send_fragment text 1 b")
        assert frames(client, 2) == [(TEXT, False, b"a"), (CONTINUATION, True, b"b")]
        for _ in range(count):
            assert len(client.receive_message().payload) == size
        client.close_properly()
    records.wait_for_ends()


def test_ws_830_22_nothing_is_left_of_a_message_that_its_connection_did_not_finish(
    httpd, records
):
    for way in ("vanish", "reset", "close_properly"):
        client = httpd.open("/scripted")
        tell(client, "send_fragment text 0 a; thread send text b")
        assert frames(client, 1) == [(TEXT, False, b"a")]
        getattr(client, way)()
        client.vanish()
    records.wait_for_ends(3)
    with httpd.open("/scripted") as client:
        assert ask(client, "echo serving") == "serving"
        client.close_properly()


def test_ws_830_23_behind_a_close_nothing_is_sent_in_parts(httpd, records, tls):
    with httpd.open("/scripted", tls=tls) as client:
        tell(client, "close; send_fragment text 0 x; thread send_fragment text 1 y")
        assert client.receive_frame().opcode == CLOSE
        assert records.result("send_fragment text 0 x") == CLOSED
        assert records.result("send_fragment text 1 y") == CLOSED
        client.send_close(1000)
        assert client.receive_to_eof() == b""
    records.wait_for_ends()


def thread_in_parts(client, gate):
    """A thread of the plugin begins a message in parts, and ends it when the gate is there."""
    tell(client, f"thread send_fragment text 0 a; await {gate}; send_fragment text 1 b")
    assert frames(client, 1) == [(TEXT, False, b"a")]


def test_ws_830_24_input_is_read_when_what_was_held_up_has_gone(httpd, records, gate, tls):
    """Though no turn has stopped for room: the last had read all there was, and found none at its end."""
    with httpd.open("/narrow", tls=tls) as client:
        thread_in_parts(client, gate)
        # With a timer, a turn's end looks at everything.
        tell(client, "set_timer 600000; send text x:3000")
        assert records.result("send text x:3000") == "3000"
        gate.touch()
        assert frames(client, 2) == [(CONTINUATION, True, b"b"), (TEXT, True, b"x" * 3000)]
        assert ask(client, "echo read") == "read"
        client.close_properly()
    records.wait_for_ends()


def test_ws_830_25_a_reset_is_seen_while_input_waits_for_the_end(httpd, records, gate, tls):
    client = httpd.open("/narrow", tls=tls)
    thread_in_parts(client, gate)
    tell(client, "send text x:3000")
    assert records.result("send text x:3000") == "3000"
    tell(client, "echo too much waits")
    client.reset()
    # Its thread is not joined before the gate is there.
    records.wait_for("close 1006 0 .*")
    assert not records.find("does send_fragment text 1 b = .*")
    gate.touch()
    assert records.result("send_fragment text 1 b") == CLOSED
    records.wait_for_ends()


def test_ws_830_26_a_reset_releases_a_callback_that_waits_in_send(httpd, records, tls):
    """At once, and not when WebSocketSendTimeout has somebody look."""
    client = httpd.open("/narrow", tls=tls, receive_buffer=4096)
    tell(client, "send binary x:16000000; send text waits")
    assert records.result("send binary x:16000000") == "16000000"
    client.reset()
    assert records.result("send text waits") == "0"
    assert records.wait_for_end()[-2:] == ["close 1006 0 ", "disconnect"]


def test_ws_830_27_a_callback_does_not_wait_for_the_end_of_anothers_message(httpd, records, gate, tls):
    """It waits for room until the peer has read, and is then refused as one that has not waited."""
    httpd.error_log.expect(MISUSE)
    begin, send = (gate.with_name(f"{gate.name}-{name}") for name in ("begin", "send"))
    with httpd.open("/narrow", tls=tls, receive_buffer=4096) as client:
        tell(client, f"thread await {begin}; send_fragment text 0 a; send text x:3000; "
                     f"send_fragment text 0 x:16000000; await {gate}; send_fragment text 1 b")
        tell(client, f"echo runs; await {send}; send text waits")
        assert records.result("echo runs") == "runs"
        begin.touch()
        assert records.result("send_fragment text 0 x:16000000") == ACCEPTED
        send.touch()
        records.result(f"await {send}")
        assert frames(client, 2)[1] == (CONTINUATION, False, b"x" * 16_000_000)
        assert records.result("send text waits") == "0"
        gate.touch()
        assert frames(client, 2) == [(CONTINUATION, True, b"b"), (TEXT, True, b"x" * 3000)]
        client.close_properly()
    records.wait_for_ends()
