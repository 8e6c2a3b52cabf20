"""Pings: when a client is pinged, what counts as a sign of life, and who is given up.

No test compares durations: what must not happen is looked for until something has happened that takes
longer, on another connection.
"""

import itertools
import re
import select
import socket

import pytest

from harness.conf import ECHO, example, location, plugin
from harness.hosts import TLS_MODULES, tls_host
from harness.processes import connections
from harness.rawclient import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame
from harness.waiting import eventually

MODULES = TLS_MODULES
WORKERS = 24
KILOBYTE = 1 << 10
MOST_ROUNDS = 3000
DEAD = r"WS0302: .*no sign of life in WebSocketPongTimeout"


def configuration(server):
    return (
        # Pings often, and gives up soon.
        location("/brief", plugin("recorder"),
                 "WebSocketPingInterval 100ms", "WebSocketPongTimeout 300ms")
        # Pings often, and is patient.
        + location("/beat", example(ECHO),
                   "WebSocketPingInterval 100ms", "WebSocketPongTimeout 60s")
        + location("/slow", example(ECHO),
                   "WebSocketPingInterval 2s", "WebSocketPongTimeout 60s")
        # Any sign of life must come within a time that a busy machine keeps, too.
        + location("/alive", plugin("recorder"),
                   "WebSocketPingInterval 100ms", "WebSocketPongTimeout 2s")
        + location("/for-ever", example(ECHO),
                   "WebSocketPingInterval 100ms", "WebSocketPongTimeout 0")
        + location("/never", example(ECHO),
                   "WebSocketPingInterval 0", "WebSocketPongTimeout 100ms")
        + location("/sleep", plugin("sleep"),
                   "WebSocketPingInterval 100ms", "WebSocketPongTimeout 2s")
        + location("/narrow", example(ECHO), "WebSocketSendBuffer 16K",
                   "WebSocketPingInterval 100ms", "WebSocketPongTimeout 2s")
        + location("/wide", example(ECHO), "WebSocketSendBuffer 64M",
                   "WebSocketPingInterval 100ms", "WebSocketPongTimeout 2s")
        + tls_host(server)
    )


@pytest.fixture(params=["plain", "tls"])
def tls(request, httpd):
    return httpd.certificates.client_context() if request.param == "tls" else None


def receive_ping(client):
    received = client.receive_frame()
    assert received.opcode == PING, received
    assert received.fin and not received.rsv and not received.masked, received
    return received.payload


def receive_past_pings(client):
    """The next frame but for pings, of which one is due whenever the client has been kept from sending for a while."""
    while (received := client.receive_frame()).opcode == PING:
        pass
    return received


def close_past_pings(client):
    client.send_close(1000)
    assert receive_past_pings(client).close_code == 1000
    assert client.receive_to_eof() == b""


def wait_for_a_dead_client(httpd, times=1, path="/brief"):
    """Until clients that show no life have been given up, one after the other."""
    for _ in range(times):
        with httpd.open(path) as client:
            expect_pings_and_the_end(client)


def expect_pings_and_the_end(client):
    """At least one, and no Close: nobody is there to say goodbye to."""
    receive_ping(client)
    with pytest.raises((EOFError, ConnectionError)):
        while True:
            receive_ping(client)


def test_ws_430_01_a_quiet_client_is_pinged_again_and_again_with_payloads_of_our_own(httpd, tls):
    with httpd.open("/beat", tls=tls) as client:
        payloads = []
        for _ in range(4):
            payloads.append(receive_ping(client))
            client.send_frame(PONG, payloads[-1])
        assert all(payloads) and len(set(payloads)) == len(payloads), payloads
        client.send_frame(TEXT, "still there")
        assert receive_past_pings(client).text == "still there"
        close_past_pings(client)


def lively():
    """Endless bytes of clients that show signs of life, by their kinds."""
    unfinished = itertools.chain(
        [frame(TEXT, "x", fin=False)], itertools.repeat(frame(CONTINUATION, fin=False))
    )
    return {
        "messages": itertools.repeat(frame(TEXT, "x")),
        "pings": itertools.repeat(frame(PING, "x")),
        "pongs that answer nothing": itertools.repeat(frame(PONG)),
        "empty fragments": unfinished,
        "single bytes of a frame": (bytes([byte]) for byte in frame(BINARY, bytes(MOST_ROUNDS))),
    }


def test_ws_430_02_a_client_is_not_pinged_while_it_sends_anything(httpd):
    clients = {}
    try:
        for kind, output in lively().items():
            clients[kind] = httpd.open("/slow"), output
        with httpd.open("/slow") as quiet:
            for _ in range(MOST_ROUNDS):
                for client, output in clients.values():
                    client.send(next(output))
                if select.select([quiet.socket], [], [], 0.005)[0]:
                    break
            receive_ping(quiet)
        for kind, (client, _) in clients.items():
            client.socket.settimeout(0)
            try:
                while client.has_input():
                    assert client.receive_frame().opcode != PING, f"pinged in spite of {kind}"
            except BlockingIOError:  # the rest of a frame is under way
                pass
    finally:
        for client, _ in clients.values():
            client.vanish()


def test_ws_430_03_a_client_that_answers_nothing_is_given_up(httpd, error_log, tls):
    recorder = httpd.recorder()
    with httpd.open("/brief", tls=tls) as client:
        expect_pings_and_the_end(client)
        recorder.wait_for_ends(1)
        eventually(lambda: not any(map(connections, httpd.children())), "the connection to be freed")
    line = error_log.wait_for_end(client)
    assert line.level == "info"
    assert re.search(DEAD, line.text) and "0 messages in and 0 out" in line.text


def test_ws_430_04_a_client_that_vanishes_in_between_is_not_called_dead(httpd, error_log):
    recorder = httpd.recorder()
    with httpd.open("/alive") as client:
        receive_ping(client)
    recorder.wait_for_ends(1)
    assert not re.search(DEAD, error_log.wait_for_end(client).text)


@pytest.mark.parametrize("answer", [
    frame(PONG), frame(PONG, "something else"), frame(PING, "own"), frame(TEXT, "a message"),
    frame(TEXT, "unfinished", fin=False),
], ids=["an empty pong", "another pong", "a ping", "a message", "a fragment"])
def test_ws_430_05_any_input_after_a_ping_is_a_sign_of_life(httpd, answer):
    """For longer than WebSocketPongTimeout."""
    recorder = httpd.recorder()
    with httpd.open("/alive") as client, httpd.open("/alive") as silent:
        receive_ping(client)
        while not recorder_has_end(recorder):
            client.send(answer)
            if answer == frame(TEXT, "unfinished", fin=False):
                answer = frame(CONTINUATION, "and more", fin=False)
            while client.receive_frame().opcode != PING:
                pass
        receive_ping(silent)
        client.send(answer)
        assert client.receive_frame()
    recorder.wait_for_ends(2)


def recorder_has_end(recorder):
    return any(line.endswith(" disconnect") for line in recorder.lines())


def test_ws_430_06_half_a_message_may_be_interrupted_by_a_ping(httpd, tls):
    with httpd.open("/beat", tls=tls) as client:
        message = frame(TEXT, "hel", fin=False) + frame(CONTINUATION, "lo " + "." * 1000)
        for cut in (1, 5, 9, 500):
            client.send(message[:cut])
            payload = receive_ping(client)
            if cut == 9:  # between two frames
                client.send_frame(PONG, payload)
            client.send(message[cut:])
            assert receive_past_pings(client).text == "hello " + "." * 1000


def test_ws_430_07_a_pongtimeout_of_zero_gives_nobody_up(httpd):
    """And pings on: the way to a client that answers no pings is kept open, too."""
    with httpd.open("/for-ever") as client:
        wait_for_a_dead_client(httpd, times=2)
        payloads = [receive_ping(client) for _ in range(4)]
        assert len(set(payloads)) == len(payloads), payloads
        client.send_frame(TEXT, "here all the time")
        assert receive_past_pings(client).text == "here all the time"
        close_past_pings(client)


def test_ws_430_08_a_pinginterval_of_zero_pings_nobody_and_gives_nobody_up(httpd, tls):
    with httpd.open("/never", tls=tls) as client:
        wait_for_a_dead_client(httpd, times=2)
        assert not client.has_input()
        client.echo("here all the time")
        client.close_properly()


@pytest.mark.parametrize("path", ["/narrow", "/wide"], ids=["input stopped", "input read"])
def test_ws_430_09_a_client_that_is_slow_to_read_is_not_given_up(httpd, path, tls):
    """It cannot see a ping that has to wait behind much output: WebSocketSendTimeout judges it.

    With the small WebSocketSendBuffer the server stops to read; with the large one it reads on.
    """
    size, most = 64 * KILOBYTE, 400
    with httpd.open(path, tls=tls, receive_buffer=4096) as client:
        client.socket.settimeout(1)
        sent = 0
        message = frame(BINARY, b"x" * size)
        rest = memoryview(message)
        try:
            while sent < most:
                rest = memoryview(message)
                while rest:
                    rest = rest[client.socket.send(rest) :]
                sent += 1
        except TimeoutError:
            pass
        # As patient as with this client: a second has passed already since it took something.
        wait_for_a_dead_client(httpd, path="/alive")
        client.socket.settimeout(15)
        if sent < most:
            client.send_while_receiving(rest)
            sent += 1
        received = 0
        while received < sent:
            answer = client.receive_frame()
            if answer.opcode == PING:
                client.send_frame(PONG, answer.payload)
            else:
                assert len(answer.payload) == size
                received += 1
        client.send_frame(TEXT, "caught up")
        while (answer := client.receive_frame()).opcode == PING:
            client.send_frame(PONG, answer.payload)
        assert answer.text == "caught up"


def test_ws_430_10_time_in_a_callback_is_not_the_clients(httpd):
    """What it answers meanwhile is read when the callback has returned."""
    with httpd.open("/sleep") as client:
        for _ in range(2):
            client.send_frame(TEXT, "2500")
            while (received := client.receive_frame()).opcode == PING:
                client.send_frame(PONG, received.payload)
            assert received.text == "2500"


def test_ws_430_11_no_ping_follows_a_close(httpd):
    # With the handshake, before any ping can be due.
    with httpd.open("/brief", then=frame(TEXT, "close")) as client:
        assert client.receive_frame().opcode == CLOSE
        # For longer than all of the heartbeat, but not than WebSocketCloseTimeout.
        wait_for_a_dead_client(httpd)
        assert not client.has_input()
        client.send_close()
        assert client.receive_to_eof() == b""


def test_ws_430_12_a_client_that_has_ended_its_direction_has_left(httpd, error_log):
    """It may answer no ping any more; that is no reason to send one."""
    recorder = httpd.recorder()
    with httpd.open("/alive") as client:
        client.socket.shutdown(socket.SHUT_WR)
        assert client.receive_to_eof() == b""
    recorder.wait_for_ends(1)
    assert not re.search(DEAD, error_log.wait_for_end(client).text)


def test_ws_430_13_what_has_been_read_and_waits_is_a_sign_of_life(httpd, tls):
    """For longer than WebSocketPongTimeout, with the answer to the ping behind it."""
    count = 130
    with httpd.open("/sleep", tls=tls) as client:
        client.send(frame(TEXT, "20") * count)
        received = 0
        while received < count:
            answer = client.receive_frame()
            if answer.opcode == PING:
                client.send_frame(PONG, answer.payload)
            else:
                assert answer.text == "20"
                received += 1
