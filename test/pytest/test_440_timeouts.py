"""WebSocketIdleTimeout, WebSocketCloseTimeout and WebSocketMaxLifetime, and what `httpd -t` says of times.

What must not happen within a time is looked for until something has happened on another connection
that takes as long. The only numbers compared are least times, which a slow machine only exceeds.
"""

import re
import select
import time

import pytest

from harness import settings
from harness.conf import ECHO, example, location, plugin
from harness.hosts import TLS_MODULES, tls_host
from harness.httpd import Httpd
from harness.rawclient import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame
from harness.scripted import scripts

MODULES = TLS_MODULES
WORKERS = 32
GOING_AWAY = 1001
LIFETIME = 2.0
PATIENCE = 20.0


def configuration(server):
    return (
        location("/idle", plugin("recorder"), "WebSocketIdleTimeout 2s")
        + location("/idle/for-ever", "WebSocketIdleTimeout 0")
        + location("/idle/scripted", plugin("scripted"))
        + location("/idle/pinged", "WebSocketPingInterval 50ms")
        + location("/idle/brief", "WebSocketIdleTimeout 100ms", "WebSocketCloseTimeout 300ms")
        + location("/close", plugin("recorder"), "WebSocketCloseTimeout 500ms")
        + location("/close/late", "WebSocketCloseTimeout 1min")
        + location("/old", plugin("recorder"), f"WebSocketMaxLifetime {LIFETIME:g}s")
        + location("/old/cut", "WebSocketCloseTimeout 500ms")
        + location("/old/for-ever", "WebSocketMaxLifetime 0")
        + location("/old/idle", "WebSocketIdleTimeout 100ms")
        + location("/default", example(ECHO))
        + tls_host(server)
    )


@pytest.fixture(params=["plain", "tls"])
def tls(request, httpd):
    return httpd.certificates.client_context() if request.param == "tls" else None


@pytest.fixture
def recorder(httpd):
    return httpd.recorder()


def be_closed(client, code=GOING_AWAY):
    """The closing handshake, begun by the server, whatever else is still on its way."""
    while (received := client.receive_frame()).opcode != CLOSE:
        pass
    assert received.close_code == code, received.close_code
    client.send_close(code)
    assert client.receive_to_eof() == b""


# WebSocketIdleTimeout

def test_ws_440_01_an_idle_websocket_is_closed_with_1001(httpd, error_log, recorder, tls):
    with httpd.open("/idle", tls=tls) as client:
        client.echo("one message")
        received = client.receive_frame()
        assert received.opcode == CLOSE and received.payload == GOING_AWAY.to_bytes(2, "big")
        client.send_close(GOING_AWAY)
        assert client.receive_to_eof() == b""
    recorder.wait_for_ends(1)
    line = error_log.wait_for_end(client)
    assert line.level == "info" and "WebSocketIdleTimeout" in line.text


def test_ws_440_02_messages_of_either_side_postpone_it_and_nothing_else_does(httpd):
    """One WebSocket of each kind, until those are closed that count as idle."""
    idle = {
        "nothing": b"",
        "pings": frame(PING, "x"),
        "pongs": frame(PONG, "x"),
        "fragments": frame(CONTINUATION, "x", fin=False),
    }
    clients = {kind: httpd.open("/idle") for kind in idle}
    clients["pings of the server"] = httpd.open("/idle/pinged")
    talking = httpd.open("/idle")
    # It sends a message each time that its timer runs out, and the client none.
    listening = httpd.open("/idle/scripted", scripts(
        on_open="set_timer 50", on_timer="send text still there; set_timer 50"
    ))
    try:
        clients["fragments"].send_frame(TEXT, "x", fin=False)
        waiting = dict(clients)
        deadline = time.monotonic() + PATIENCE
        while waiting:
            assert time.monotonic() < deadline, f"not closed in spite of {', '.join(waiting)}"
            talking.echo("still there")
            for kind, client in list(waiting.items()):
                client.send(idle.get(kind, b""))
                while client.has_input():
                    received = client.receive_frame()
                    if received.opcode == CLOSE:
                        assert received.close_code == GOING_AWAY
                        client.send_close(GOING_AWAY)
                        del waiting[kind]
                        break
                    if received.opcode == PING:
                        client.send_frame(PONG, received.payload)
            select.select([], [], [], 0.02)
        talking.echo("and alive")
        while listening.has_input():
            assert listening.receive_message().text == "still there"
        assert listening.receive_message().text == "still there"
    finally:
        for client in [*clients.values(), talking, listening]:
            client.vanish()


@pytest.mark.parametrize("path", ["/idle/for-ever", "/default"])
def test_ws_440_03_without_it_a_websocket_may_say_nothing(httpd, path):
    with httpd.open(path) as client:
        with httpd.open("/idle") as other:
            be_closed(other)
        assert not client.has_input()
        client.echo("still there")
        client.close_properly()


def test_ws_440_04_an_idle_client_that_does_not_answer_is_left(httpd, error_log, recorder, tls):
    with httpd.open("/idle/brief", tls=tls) as client:
        client.expect_close(GOING_AWAY)
    recorder.wait_for_ends(1)
    line = error_log.wait_for_end(client)
    assert re.search("WebSocketIdleTimeout with 1001, and .*WebSocketCloseTimeout", line.text)


# WebSocketCloseTimeout

def test_ws_440_05_a_close_that_is_not_answered_ends_in_websocketclosetimeout(
    httpd, error_log, recorder, tls
):
    with httpd.open("/close", tls=tls) as client:
        client.send_frame(TEXT, "close")
        assert client.receive_frame().opcode == CLOSE
        # Not an answer.
        client.send(frame(TEXT, "more") + frame(PING, "x"))
        assert client.receive_to_eof() == b""
    recorder.wait_for_ends(1)
    line = error_log.wait_for_end(client)
    assert re.search("closed by the plugin .*WebSocketCloseTimeout", line.text)


def test_ws_440_06_an_answer_in_time_is_waited_for(httpd, error_log, recorder):
    with httpd.open("/close/late") as patient:
        patient.send_frame(TEXT, "close")
        assert patient.receive_frame().opcode == CLOSE
        with httpd.open("/close") as other:
            other.send_frame(TEXT, "close")
            assert other.receive_frame().opcode == CLOSE
            assert other.receive_to_eof() == b""
        assert not patient.has_input()
        patient.send_close()
        assert patient.receive_to_eof() == b""
    recorder.wait_for_ends(2)
    lines = [error_log.wait_for_end(client) for client in (patient, other)]
    assert ["WebSocketCloseTimeout" in line.text for line in lines] == [False, True]


# WebSocketMaxLifetime

def test_ws_440_07_a_websocket_is_closed_when_it_is_old_enough(httpd, error_log, recorder, tls):
    """Busy or not, each at a moment of its own in the last tenth."""
    opened, clients = {}, []
    try:
        for _ in range(WORKERS - 8):
            begin = time.monotonic()
            client = httpd.open("/old", tls=tls)
            opened[client] = begin
            clients.append(client)
        old = set()
        while len(old) < len(clients):
            for client in clients:
                if client in old:
                    continue
                client.send(frame(TEXT, "busy"))
                while (received := client.receive_frame()).opcode == PING:
                    pass
                if received.opcode == CLOSE:
                    assert received.close_code == GOING_AWAY
                    # Never earlier; how much later is the machine's affair.
                    assert time.monotonic() - opened[client] >= LIFETIME * 0.9
                    client.send_close(GOING_AWAY)
                    old.add(client)
    finally:
        for client in clients:
            client.vanish()
    recorder.wait_for_ends(len(clients))
    lines = error_log.wait_for("WS0302: .*WebSocketMaxLifetime", count=len(clients))
    ages = [float(re.search(r"ended after ([\d.]+) s", line.text)[1]) for line in lines]
    assert max(ages) - min(ages) > LIFETIME * 0.02, f"all at the same age: {ages}"


def test_ws_440_08_a_lifetime_of_zero_has_no_end(httpd):
    with httpd.open("/old/for-ever") as client, httpd.open("/old") as other:
        be_closed(other)
        assert not client.has_input()
        client.echo("still there")
        client.close_properly()


def test_ws_440_09_the_first_timer_that_runs_out_is_named(httpd, error_log, recorder):
    with httpd.open("/old/idle") as client:
        be_closed(client)
    recorder.wait_for_ends(1)
    line = error_log.wait_for_end(client)
    assert "WebSocketIdleTimeout" in line.text and "WebSocketMaxLifetime" not in line.text


def test_ws_440_10_a_large_message_under_way_is_cut_at_the_end_of_a_lifetime(httpd, recorder):
    # The answer to the Close is taken for more of the message.
    with httpd.open("/old/cut") as client:
        client.send(frame(BINARY, bytes(100_000))[:50_000])
        be_closed(client)
    recorder.wait_for_ends(1)


# What `httpd -t` says

@pytest.fixture(scope="module")
def tester():
    """A server that never runs; the MPM makes no difference to how configuration is read."""
    server = Httpd(settings.mpms()[0])
    yield server
    server.remove()


TIMES = ["WebSocketPingInterval", "WebSocketPongTimeout", "WebSocketIdleTimeout",
         "WebSocketCloseTimeout", "WebSocketMaxLifetime", "WebSocketMessageTimeout"]


@pytest.mark.parametrize("directive", TIMES)
@pytest.mark.parametrize(("value", "reason"), [
    ("soon", "'soon' is not a time: a number of seconds, or one with ms, s, min, h or d"),
    ("-1", "'-1' is not a time"), ("1.5s", "is not a time"), ("s", "is not a time"),
    ("5w", "is not a time"), ('" 5"', "is not a time"), ("+5", "is not a time"),
    ("367d", "is more than a year (366d)"), ("8785h", "is more than a year"),
    ("31622401", "is more than a year"), ("99999999999999999999h", "is more than a year"),
    ("", "takes one argument"), ("5 s", "takes one argument"),
])
def test_ws_440_11_a_wrong_time_is_told_what_is_right(tester, directive, value, reason):
    result, base = tester.configtest(f"<Location /x>\n  {directive} {value}\n</Location>\n")
    assert result.returncode != 0, "accepted"
    place = f"line {base + 2} of {tester.directory}/configtest.conf:"
    assert f"Syntax error on {place}" in result.stderr
    message = result.stderr.split("configtest.conf:", 1)[1]
    assert directive in message and reason in message, message


@pytest.mark.parametrize("directive", [
    *TIMES, "WebSocketSendTimeout", "WebSocketDrainTimeout", "WebSocketTopicHistory 10",
])
@pytest.mark.parametrize("value", ["7d", "25h", "366D", "1H"])
def test_ws_440_15_hours_and_days_are_times(tester, directive, value):
    result, _ = tester.configtest(f"{directive} {value}\n")
    assert result.returncode == 0, result.stderr


def test_ws_440_12_a_closetimeout_of_zero_leaves_no_time(tester):
    result, _ = tester.configtest("WebSocketCloseTimeout 0\n")
    assert result.returncode != 0
    assert "a peer needs some time" in result.stderr


@pytest.mark.parametrize("directive", TIMES)
def test_ws_440_13_times_are_right_everywhere_in_every_unit(tester, directive):
    zero = "" if directive == "WebSocketCloseTimeout" else f"{directive} 0\n"
    text = f"{directive} 30\n{zero}<VirtualHost *:1>\n{directive} 200ms\n</VirtualHost>\n" + (
        f"<Location /x>\n{directive} 2min\n{directive} 24H\n{directive} 1S\n</Location>\n"
    )
    result, _ = tester.configtest(text)
    assert result.returncode == 0, result.stderr
