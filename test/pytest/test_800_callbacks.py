"""The callbacks of plugin version 1: that they come in their order, and what they are told."""

import os
import threading

import pytest

from harness.conf import location, plugin
from harness.hosts import TLS_MODULES, tls_host
from harness.rawclient import (
    BINARY, CLOSE, CONTINUATION, TEXT, close_frame, frame, handshake_headers,
)
from harness.scripted import Records, ask, scripts, tell
from harness.waiting import eventually

MODULES = TLS_MODULES
WORKERS = 24

# Everybody is told to go, soon.
BRISK = "WebSocketDrainTimeout 500ms\nWebSocketCloseTimeout 1min\n"


def configuration(server):
    return (
        location("/scripted", plugin("scripted"))
        + location("/small", plugin("scripted"), "WebSocketMaxMessageSize 100")
        + tls_host(server)
    )


@pytest.fixture(params=["plain", "tls"])
def tls(request, httpd):
    return httpd.certificates.client_context() if request.param == "tls" else None


@pytest.fixture
def records(httpd):
    return Records(httpd)


def test_ws_800_01_the_callbacks_come_in_their_order(httpd, records, tls):
    with httpd.open("/scripted", tls=tls) as client:
        assert ask(client, "echo hello") == "hello"
        tell(client, "echo bye")
        client.close_properly(1000)
    assert records.wait_for_end() == [
        "connect", "open", "message 10", "message 8", "close 1000 1 ", "disconnect"
    ]


def test_ws_800_02_what_on_open_sends_comes_behind_the_101_and_before_any_answer(
    httpd, records, tls
):
    fields = scripts(
        on_connect="send text from on_connect", on_open="send text from on_open; echo done"
    )
    with httpd.client(tls=tls) as client:
        # The first message is there with the handshake.
        client.open("/scripted", fields, then=frame(TEXT, "echo answer"))
        received = [client.receive_message().text for _ in range(3)]
        assert received == ["from on_connect", "from on_open", "answer"]
        client.close_properly()
    records.wait_for_ends()
    order = records.of_connection()
    assert order.index("does echo done = done") < order.index("message 11")


def test_ws_800_03_the_first_message_waits_for_an_on_open_that_takes_long(httpd, records, tls):
    fields = scripts(on_open="pause 100; send text opened")
    with httpd.client(tls=tls) as client:
        client.open("/scripted", fields, then=frame(TEXT, "echo answer"))
        assert [client.receive_message().text for _ in range(2)] == ["opened", "answer"]
        client.close_properly()
    records.wait_for_ends()


def test_ws_800_04_on_open_may_close(httpd, records, tls):
    fields = scripts(on_open="close_with 4000 enough")
    with httpd.open("/scripted", fields, tls=tls) as client:
        received = client.receive_frame()
        assert (received.close_code, received.payload[2:]) == (4000, b"enough")
        client.send_close(4000)
        assert client.receive_to_eof() == b""
    assert records.wait_for_end() == ["connect", "open", "close 4000 1 ", "disconnect"]


def test_ws_800_05_on_open_may_start_a_thread_that_sends(httpd, records, tls):
    fields = scripts(on_open="thread send text from a thread")
    with httpd.open("/scripted", fields, tls=tls) as client:
        assert client.receive_message().text == "from a thread"
        client.close_properly()
    records.wait_for_ends()


def test_ws_800_06_who_is_refused_has_no_other_callback(httpd, records):
    with httpd.client() as client:
        response = client.upgrade(
            "/scripted", scripts(on_connect="set_timer 1; refuse", on_open="echo no")
        )
        assert response.status == 403
        assert client.receive_to_eof() == b""
    with httpd.open("/scripted") as client:
        client.close_properly()
    records.wait_for("disconnect")
    refused, _other = records.connections().values()
    assert refused == ["connect", "refused"]


@pytest.mark.parametrize("way", ["vanish", "reset"])
def test_ws_800_07_leaving_with_the_handshake(httpd, records, way):
    for _ in range(10):
        client = httpd.client()
        client.send_request("/scripted", handshake_headers())
        getattr(client, way)()
    with httpd.open("/scripted") as client:
        assert ask(client, "echo still serving") == "still serving"
        client.close_properly()
    ended = records.wait_until_all_ended()
    # A reset may overtake the request.
    assert len(ended) == 11 or way == "reset"


CLOSES = [
    (b"", "1005 1 "),
    (b"\x03\xe8", "1000 1 "),
    (b"\x0f\xa1so long", "4001 1 so long"),
    (b"\x03\xe9" + "für immer".encode(), "1001 1 für immer"),
    (b"\x0b\xb8" + b"r" * 123, "3000 1 " + "r" * 123),
]


@pytest.mark.parametrize(("payload", "told"), CLOSES)
def test_ws_800_08_on_close_is_told_what_the_peers_close_says(
    httpd, records, tls, payload, told
):
    with httpd.open("/scripted", tls=tls) as client:
        client.send_frame(CLOSE, payload)
        received = client.receive_frame()
        assert (received.opcode, received.payload) == (CLOSE, payload[:2])
        assert client.receive_to_eof() == b""
    assert records.wait_for_end() == ["connect", "open", f"close {told}", "disconnect"]


@pytest.mark.parametrize("way", ["vanish", "reset"])
@pytest.mark.parametrize("sent", [b"", frame(TEXT, "echo half")[:7]])
def test_ws_800_09_on_close_is_told_1006_of_a_peer_that_has_vanished(
    httpd, records, tls, way, sent
):
    client = httpd.open("/scripted", tls=tls)
    assert ask(client, "echo hello") == "hello"
    client.send(sent)
    getattr(client, way)()
    assert records.wait_for_end()[-2:] == ["close 1006 0 ", "disconnect"]


@pytest.mark.parametrize(("fault", "answer"), [
    (frame(TEXT, "x", rsv=2), 1002),
    (frame(CONTINUATION, "x"), 1002),
    (frame(TEXT, b"\xc3\x28"), 1007),
    (frame(BINARY, b"x" * 101), 1009),
    (frame(CLOSE, b"\x03"), 1002),
    (close_frame(1005), 1002),
    (close_frame(1000, b"\xff"), 1007),
])
def test_ws_800_10_on_close_is_told_1006_of_a_peer_that_breaks_the_protocol(
    httpd, records, fault, answer
):
    with httpd.open("/small") as client:
        client.send(fault)
        client.expect_close(answer)
    assert records.wait_for_end() == ["connect", "open", "close 1006 0 ", "disconnect"]


@pytest.mark.parametrize(("command", "code"), [
    ("close", None), ("close_with 4001 bye", 4001), ("send close hex:03e9", 1001),
])
@pytest.mark.parametrize("thread", ["", "thread "])
def test_ws_800_11_our_own_close_is_told_by_the_peers_answer(
    httpd, records, tls, command, code, thread
):
    with httpd.open("/scripted", tls=tls) as client:
        tell(client, thread + command)
        assert client.receive_frame().close_code == code
        client.send_close(code, b"yes" if code else b"")
        assert client.receive_to_eof() == b""
    told = f"close {code} 1 yes" if code else "close 1005 1 "
    assert records.wait_for_end()[-2:] == [told, "disconnect"]


@pytest.mark.parametrize("way", ["vanish", "reset", "wait"])
def test_ws_800_12_our_own_close_without_an_answer_is_not_clean(httpd, records, way):
    with httpd.open("/scripted") as client:
        tell(client, "close_with 4001 bye")
        assert client.receive_frame().close_code == 4001
        if way != "wait":
            getattr(client, way)()
        # Else the server's patience is bounded.
        assert records.wait_for_end()[-2:] == ["close 1006 0 ", "disconnect"]


def test_ws_800_13_a_close_of_ours_that_meets_one_of_the_peers_is_clean(httpd, records):
    with httpd.open("/scripted") as client:
        client.send(frame(BINARY, "close_with 4001 bye") + close_frame(4002, "me too"))
        assert client.receive_frame().close_code == 4001
        assert client.receive_to_eof() == b""
    assert records.wait_for_end()[-2:] == ["close 4002 1 me too", "disconnect"]


def test_ws_800_14_no_message_comes_behind_our_own_close(httpd, records):
    with httpd.open("/scripted") as client:
        client.send(frame(BINARY, "close") + frame(BINARY, "echo lost") * 3 + close_frame(1000))
        assert client.receive_frame().close_code is None
        assert client.receive_to_eof() == b""
    assert records.wait_for_end() == [
        "connect", "open", "message 5", "close 1000 1 ", "disconnect"
    ]


def test_ws_800_15_callbacks_of_one_connection_do_not_overlap(httpd, records, tls):
    """Messages, timers and room come at the same time, while threads send."""
    fields = scripts(on_timer="pause 1; set_timer 1", on_writable="pause 1", on_open="set_timer 1")
    count = 60
    with httpd.open("/scripted", fields, tls=tls) as client:
        for _ in range(3):
            tell(client, "thread " + "; ".join(["send text from a thread"] * 100))
        tell(client, "fill 50000")
        accepted = None
        texts = binaries = 0

        def receive_answer():
            """Up to the next answer: what the threads and `fill` send counts."""
            nonlocal texts, binaries
            while True:
                received = client.receive_message()
                if received.opcode == BINARY:
                    binaries += 1
                elif received.text == "from a thread":
                    texts += 1
                else:
                    return received.text

        for number in range(count):
            client.send_frame(TEXT, f"pause 1; echo {number}")
            assert receive_answer() == f"done; {number}"
        accepted = int(records.result("fill 50000").split()[0])
        while texts < 300 or binaries < accepted:
            received = client.receive_message()
            texts += received.opcode == TEXT
            binaries += received.opcode == BINARY
        client.close_properly()
    ended = records.wait_for_end()
    assert (texts, binaries) == (300, accepted)
    assert ended.count("timer") > 1


def test_ws_800_16_many_that_end_at_once_in_different_ways(httpd, records):
    count = 20

    def run(number):
        client = httpd.open("/scripted", scripts(on_open="set_timer 1", on_timer="set_timer 1"))
        assert ask(client, f"echo {number}") == str(number)
        if number % 4 == 0:
            client.close_properly()
            client.vanish()
        elif number % 4 == 1:
            client.vanish()
        elif number % 4 == 2:
            tell(client, "close_with 4000 you")
            while client.receive_frame().opcode != CLOSE:
                pass
            client.reset()
        else:
            client.send(close_frame(1005))
            client.expect_close(1002)
            client.vanish()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ended = records.wait_for_ends(count).values()
    told = sorted(c[-2] for c in ended)
    assert told == ["close 1000 1 "] * 5 + ["close 1006 0 "] * 15


# Processes


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def started_children(server, records):
    """The children, once each has begun."""
    children = server.children()
    for child in children:
        eventually(lambda: "child_start" in records.of_process(child), "the children to begin")
    return children


def assert_one_life(records, children, graceful):
    """Each child has begun once and ended once, around the callbacks of its connections."""
    for child in children:
        whats = [line.split(" ", 2)[2] for line in records.lines() if line.startswith(f"{child} ")]
        # What the child holds of the configuration goes last of all.
        whats = [what for what in whats if what != "destroy"]
        starts = [what for what in whats if what.startswith("child_")]
        assert starts == ["child_start", f"child_stop {graceful}"], whats
        assert [whats[0], whats[-1]] == starts, whats


def test_ws_800_17_a_child_begins_and_ends_around_its_connections(make_httpd, mpm):
    # The plugin is named more than once, and nobody asks for one of the places.
    text = (
        location("/scripted", plugin("scripted")) + location("/other", plugin("scripted"))
        + f"<VirtualHost *:1>\n{location('/third', plugin('scripted'))}</VirtualHost>\n"
    )
    server = make_httpd(mpm, text)
    records = Records(server)
    server.start()
    children = started_children(server, records)
    parent = server.pid
    with server.open("/scripted") as one, server.open("/other") as other:
        assert ask(one, "echo hello") == ask(other, "echo hello") == "hello"
        one.close_properly()
        other.close_properly()
    records.wait_for("disconnect", 2)
    server.stop()
    assert_one_life(records, children, graceful=0)
    assert not [what for what in records.of_process(parent) if what.startswith("child_")]


@pytest.mark.parametrize("how", ["stop", "restart"])
def test_ws_800_18_a_hard_stop_is_not_graceful(make_httpd, mpm, how):
    server = make_httpd(mpm, location("/scripted", plugin("scripted")))
    records = Records(server)
    server.start()
    children = started_children(server, records)
    with server.open("/scripted") as client:
        assert ask(client, "echo hello") == "hello"
        getattr(server, how)()
        eventually(lambda: not any(map(is_alive, children)), "the old children to leave")
    assert_one_life(records, children, graceful=0)
    if mpm != "prefork":
        assert records.wait_for_end()[-2:] == ["close 1006 0 ", "disconnect"]


@pytest.mark.parametrize("how", ["graceful_stop", "graceful"])
def test_ws_800_19_a_graceful_stop_is_graceful(make_httpd, mpm, how):
    server = make_httpd(mpm, BRISK + location("/scripted", plugin("scripted")))
    records = Records(server)
    server.start()
    children = started_children(server, records)
    clients = [server.open("/scripted") for _ in range(4)]
    try:
        for client in clients:
            assert ask(client, "echo hello") == "hello"
        getattr(server, how)()
        for client in clients:
            assert client.receive_frame().close_code == 1001
            client.send_close(1001)
            assert client.receive_to_eof() == b""
    finally:
        for client in clients:
            client.vanish()
    ended = records.wait_for_ends(len(clients)).values()
    assert {c[-2] for c in ended} == {"close 1001 1 "}
    if how == "graceful":
        eventually(lambda: not any(map(is_alive, children)), "the old children to leave")
    else:
        server.wait_for_exit()
    assert_one_life(records, children, graceful=1)


def test_ws_800_20_the_table_of_a_process_has_options_and_a_log(make_httpd, mpm):
    start = "option_get colour; option_get absent; log 5 the child begins"
    start += "; thread log 5 a thread of the child; option_get colour"
    stop = "option_get colour; log 5 the child ends"
    server = make_httpd(mpm, f"""
WebSocketPluginOption colour blue
WebSocketPluginOption on-child-start "{start}"
WebSocketPluginOption on-child-stop "{stop}"
{location("/scripted", plugin("scripted"), "WebSocketPluginOption colour red")}
""")
    records = Records(server)
    server.start()
    assert records.result("option_get colour") == "blue"
    assert records.result("option_get absent") == "NULL"
    server.error_log.wait_for("the child begins", "notice")
    server.error_log.wait_for("a thread of the child", "notice")
    assert records.result("option_get colour", 1) == "blue"
    before = len(records.find("does option_get colour = blue"))
    server.stop()
    assert len(records.find("does option_get colour = blue")) > before
    server.error_log.wait_for("the child ends", "notice")


def test_ws_800_21_the_table_of_a_process_has_no_connection(make_httpd, mpm):
    start = "; ".join([
        "send text x", "try_send text x", "send_fragment text 1 x", "buffered_amount",
        "close_with 1000 x", "close", "variable_get REMOTE_ADDR", "header_get Host",
        "header_set X-Name value", "request", "protocol_count", "reject 401", "set_timer 1",
        "echo through",
    ])
    server = make_httpd(mpm, f"""
WebSocketPluginOption on-child-start "{start}"
{location("/scripted", plugin("scripted"))}
""")
    records = Records(server)
    server.start()
    assert records.result("echo through") == "through"
    for command in ("send text x", "buffered_amount", "close_with 1000 x", "protocol_count",
                    "reject 401", "set_timer 1"):
        assert records.result(command) == "0", command
    for command in ("try_send text x", "send_fragment text 1 x"):
        assert int(records.result(command)) < 0, command
    for command in ("variable_get REMOTE_ADDR", "header_get Host", "request"):
        assert records.result(command) == "NULL", command
    with server.open("/scripted") as client:
        assert ask(client, "echo serving") == "serving"
