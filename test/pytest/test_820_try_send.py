"""try_send, on_writable and buffered_amount: a plugin that does not want to wait for slow peers."""

import pytest

from harness.conf import ECHO, example, location, plugin
from harness.hosts import TLS_MODULES, tls_host
from harness.rawclient import BINARY, CLOSE, PING, PONG, TEXT
from harness.scripted import (
    ACCEPTED, CLOSED, WOULD_BLOCK, Records, ask, scripts, tell,
)
from harness.waiting import eventually

MODULES = TLS_MODULES
WORKERS = 24
SIZE = 10_000  # of the messages that fill a connection
HEADER = 4  # bytes of a frame of that size beside its payload
MEGABYTE = 1 << 20
ROUNDS = 50
# More than the room of /large that threads have, whatever the socket takes of it; callbacks have as
# much again.
STUFFING = 15 * MEGABYTE


def configuration(server):
    return (
        location("/scripted", plugin("scripted"))
        + location("/small", plugin("scripted"), "WebSocketSendBuffer 64K")
        + location("/large", plugin("scripted"), "WebSocketSendBuffer 8M")
        + location("/echo", example(ECHO))
        + tls_host(server)
    )


@pytest.fixture(params=["plain", "tls"])
def tls(request, httpd):
    return httpd.certificates.client_context() if request.param == "tls" else None


@pytest.fixture
def records(httpd):
    return Records(httpd)


def filled(records, number=0):
    """How many messages `fill` has sent before there was no room."""
    count, result = records.result(f"fill {SIZE}", number).split()
    assert result == WOULD_BLOCK
    return int(count)


def receive_filled(client, count):
    """Receives what `fill` has sent, each message once and in order."""
    for number in range(count):
        received = client.receive_message()
        assert received.opcode == BINARY, received
        assert received.payload == b"%08d" % number + b"x" * (SIZE - 8)


def let_others_pass(httpd):
    """The server has nothing more to do for who does not read."""
    with httpd.open("/echo") as other:
        for number in range(ROUNDS):
            other.echo(f"round {number}")
        other.close_properly()


@pytest.mark.parametrize(("kind", "opcode"), [
    ("text", TEXT), ("binary", BINARY), ("ping", PING), ("pong", PONG),
])
@pytest.mark.parametrize("payload", ["hello", "x" * 125, ""])
def test_ws_820_01_try_send_sends_every_type(httpd, kind, opcode, payload):
    with httpd.open("/scripted") as client:
        client.send_frame(TEXT, f"try_send {kind} {payload}; try_send {kind} null:0")
        for expected in (payload, ""):
            received = client.receive_frame()
            assert (received.opcode, received.payload.decode()) == (opcode, expected)
            assert (received.fin, received.rsv, received.masked) == (True, 0, False)
        assert client.receive_message().text == f"{ACCEPTED}; {ACCEPTED}"
        client.close_properly()


def test_ws_820_02_try_send_sends_a_close(httpd, records):
    with httpd.open("/scripted") as client:
        tell(client, "try_send close hex:0fa1627965; try_send text late")
        received = client.receive_frame()
        assert (received.opcode, received.close_code) == (CLOSE, 4001)
        assert received.payload[2:] == b"bye"
        client.send_close(4001)
        assert client.receive_to_eof() == b""
    records.wait_for_ends()
    assert records.result("try_send close hex:0fa1627965") == ACCEPTED
    assert records.result("try_send text late") == CLOSED


@pytest.mark.parametrize("thread", ["", "thread "])
@pytest.mark.parametrize("path", ["/scripted", "/small"])
def test_ws_820_03_room_that_was_missed_is_told_when_the_peer_reads_again(
    httpd, records, tls, thread, path
):
    fields = scripts(on_writable="send text room")
    with httpd.open(path, fields, tls=tls, receive_buffer=4096) as client:
        counts = []
        # The socket may be taking some still when there is no room for the first time.
        while len(records.find("writable")) == len(counts) < ROUNDS:
            tell(client, f"{thread}fill {SIZE}")
            counts.append(filled(records, len(counts)))
            let_others_pass(httpd)
        for count in counts:
            receive_filled(client, count)
            # The only message that `fill` has not sent, and nothing of what it was refused.
            assert client.receive_message().text == "room"
        assert ask(client, "echo the end") == "the end"
        client.close_properly()
    assert records.wait_for_end().count("writable") == len(counts)


def test_ws_820_04_room_is_told_once_for_each_time_it_was_missed(httpd, records, tls):
    fields = scripts(on_writable="send text room")
    with httpd.open("/scripted", fields, tls=tls, receive_buffer=4096) as client:
        for number in range(3):
            tell(client, f"fill {SIZE}")
            receive_filled(client, filled(records, number))
            assert client.receive_message().text == "room"
        # Nobody misses it now.
        client.send_frame(TEXT, "try_send text more")
        assert client.receive_message().text == "more"
        assert client.receive_message().text == ACCEPTED
        client.close_properly()
    assert records.wait_for_end().count("writable") == 3


def test_ws_820_05_room_is_not_told_to_who_has_not_missed_it(httpd, records, tls):
    size = 4 * MEGABYTE
    with httpd.open("/scripted", tls=tls, receive_buffer=4096) as client:
        tell(client, f"thread send binary x:{size}; send binary x:{size}")
        let_others_pass(httpd)
        for _ in range(2):
            assert len(client.receive_message().payload) == size
        assert ask(client, "echo the end") == "the end"
        client.close_properly()
    assert "writable" not in records.wait_for_end()


def test_ws_820_06_what_on_connect_sends_has_room_too(httpd, records, tls):
    """Nothing can be written yet, so that nothing but the buffer takes it."""
    fields = scripts(on_connect=f"fill {SIZE}; buffered_amount", on_writable="send text room")
    with httpd.open("/scripted", fields, tls=tls, receive_buffer=4096) as client:
        count = filled(records)
        assert count * (SIZE + HEADER) >= MEGABYTE
        assert int(records.result("buffered_amount")) == count * (SIZE + HEADER)
        receive_filled(client, count)
        assert client.receive_message().text == "room"
        client.close_properly()
    assert records.wait_for_end() == [
        "connect", "open", "writable", "close 1000 1 ", "disconnect"
    ]


def test_ws_820_07_a_message_larger_than_the_room_goes_out(httpd, records, tls):
    size = 5 * MEGABYTE
    commands = [f"try_send binary x:{size}", "try_send text more"]
    with httpd.open("/small", scripts(on_writable="try_send text room"), tls=tls,
                    receive_buffer=4096) as client:
        tell(client, "; ".join(commands))
        assert [records.result(command) for command in commands] == [ACCEPTED, WOULD_BLOCK]
        let_others_pass(httpd)
        assert not records.find("writable")
        assert client.receive_message().payload == b"x" * size
        assert client.receive_message().text == "room"
        client.close_properly()
    records.wait_for_ends()


def test_ws_820_08_try_send_does_not_wait_where_send_does(httpd, records, tls):
    command = f"send binary x:{STUFFING}"
    # By a timer: under TLS nothing is read from a peer that takes nothing, so that it could ask for no more.
    on_timer = f"thread try_send text from a thread; fill {SIZE}"
    with httpd.open("/large", scripts(on_timer=on_timer), tls=tls, receive_buffer=4096) as client:
        tell(client, f"thread {command}; set_timer 1; {command}; send text last")
        records.wait_for(f"does {command} = {STUFFING}")
        assert records.result("try_send text from a thread") == WOULD_BLOCK
        # A callback has room of its own, and comes to its end.
        extra = filled(records)
        assert extra > 0
        assert len(records.find(f"does {command} = .*")) == 1, "send has not waited"
        sizes = [len(client.receive_message().payload) for _ in range(2 + extra)]
        assert (sizes.count(STUFFING), sizes.count(SIZE)) == (2, extra)
        assert client.receive_message().text == "last"
        assert ask(client, "echo the end") == "the end"
        client.close_properly()
    assert records.wait_for_end().count("writable") == 1


@pytest.mark.parametrize("way", ["vanish", "reset", "close"])
def test_ws_820_09_who_leaves_with_output_unread_makes_no_room(httpd, records, tls, way):
    with httpd.open("/scripted", tls=tls, receive_buffer=4096) as client:
        tell(client, f"fill {SIZE}")
        count = filled(records)
        let_others_pass(httpd)
        if way != "close":
            getattr(client, way)()
            assert records.wait_for_end()[-2:] == ["close 1006 0 ", "disconnect"]
        else:
            client.send_close(1000)
            receive_filled(client, count)
            client.expect_close(1000)
            assert records.wait_for_end()[-2:] == ["close 1000 1 ", "disconnect"]


def test_ws_820_10_nothing_can_be_sent_behind_a_close(httpd, records, tls):
    commands = ["try_send text x", "thread try_send text y"]
    with httpd.open("/scripted", tls=tls) as client:
        tell(client, "close; " + "; ".join(commands))
        assert client.receive_frame().opcode == CLOSE
        assert records.result("try_send text x") == CLOSED
        assert records.result("try_send text y") == CLOSED
        client.send_close(1000)
        assert client.receive_to_eof() == b""
    records.wait_for_ends()


def test_ws_820_11_buffered_amount_counts_what_the_socket_has_not_taken(httpd, records, tls):
    fields = scripts(on_connect="send text hello; buffered_amount; send ping x; buffered_amount")
    with httpd.open("/scripted", fields, tls=tls, receive_buffer=4096) as client:
        # Nothing can be written yet: the frames, headers included.
        assert records.result("buffered_amount") == "7"
        assert records.result("buffered_amount", 1) == "10"
        assert client.receive_message().text == "hello"
        assert client.receive_frame().opcode == PING
        tell(client, "thread buffered_amount")
        assert records.result("buffered_amount", 2) == "0"

        tell(client, f"fill {SIZE}; buffered_amount")
        sent = filled(records) * (SIZE + HEADER)
        assert MEGABYTE <= int(records.result("buffered_amount", 3)) <= sent
        receive_filled(client, sent // (SIZE + HEADER))

        def is_empty():
            return ask(client, "buffered_amount") == "0"

        eventually(is_empty, "everything to be taken by the socket")
        client.close_properly()
    records.wait_for_ends()


def test_ws_820_12_a_plugin_that_skips_slow_peers_sends_to_the_others(httpd, records):
    """Of many peers one does not read: it misses messages, and nobody waits for it."""
    clients = [httpd.open("/large", receive_buffer=4096) for _ in range(6)]
    slow, *others = clients
    try:
        tell(slow, f"thread try_send binary x:{STUFFING}")
        assert records.result(f"try_send binary x:{STUFFING}") == ACCEPTED
        for number in range(20):
            # As from the callback of another connection.
            tell(slow, f"thread try_send text missed {number}")
            assert records.result(f"try_send text missed {number}") == WOULD_BLOCK
            for client in others:
                client.send_frame(TEXT, f"try_send text news {number}")
                assert client.receive_message().text == f"news {number}"
                assert client.receive_message().text == ACCEPTED
        assert len(slow.receive_message().payload) == STUFFING
        assert ask(slow, "echo there again") == "there again"
        for client in clients:
            client.close_properly()
    finally:
        for client in clients:
            client.vanish()
    records.wait_for_ends(len(clients))
