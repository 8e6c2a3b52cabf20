"""WebSocketRateLimit: a burst passes, then reading pauses, and who goes on and on gets 1008.

The only times compared are least times, which a slow machine only exceeds.
"""

import contextlib
import re
import select
import ssl
import threading
import time

import pytest

from harness import settings
from harness.conf import ECHO, example, location, plugin
from harness.hosts import TLS_MODULES, tls_host
from harness.httpd import Httpd
from harness.processes import connections
from harness.rawclient import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close_frame, frame
from harness.waiting import eventually

MODULES = TLS_MODULES
WORKERS = 24
POLICY_VIOLATION = (1008).to_bytes(2, "big")
WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
RATE, BURST = 20, 10
FLOOD_RATE = 200
SILENT = 12
PATIENCE = 60.0


def configuration(server):
    return (
        location("/echo", example(ECHO), f"WebSocketRateLimit {RATE} {BURST}")
        + location("/echo/free", "WebSocketRateLimit 0")
        + location("/recorder", plugin("recorder"), f"WebSocketRateLimit {RATE} {BURST}")
        # One message, and then a pause in which nothing is read.
        + location("/pause", plugin("recorder"), "WebSocketRateLimit 1 2",
                   "WebSocketPingInterval 100ms", "WebSocketPongTimeout 100ms")
        # A pause of a second, again and again.
        + location("/second", plugin("recorder"), "WebSocketRateLimit 1 1")
        + location("/sleep", plugin("sleep"), f"WebSocketRateLimit {RATE} {BURST // 2}")
        + location("/short", example(ECHO), "WebSocketRateLimit 100000 1")
        + location("/flood", plugin("recorder"), f"WebSocketRateLimit {FLOOD_RATE}",
                   "WebSocketCloseTimeout 500ms")
        + tls_host(server)
    )


@pytest.fixture(params=["plain", "tls"])
def tls(request, httpd):
    return httpd.certificates.client_context() if request.param == "tls" else None


def numbered(count):
    return b"".join(frame(TEXT, f"message {number}") for number in range(count))


def expect_numbered(client, count):
    for number in range(count):
        assert client.receive_message().text == f"message {number}"


def test_ws_460_01_a_burst_passes_and_the_rest_comes_at_the_rate_whole_and_in_order(httpd, tls):
    count = BURST + 2 * RATE
    with httpd.open("/echo", tls=tls) as client:
        begin = time.monotonic()
        # With its Close, which is neither lost nor early.
        client.send(numbered(count) + close_frame(1000))
        expect_numbered(client, count)
        assert time.monotonic() - begin >= (count - BURST) / RATE * 0.9
        client.expect_close(1000)


def test_ws_460_02_what_lies_in_many_segments_waits_too(httpd):
    """What is not read stays in the sockets, and at last with the client."""
    count = BURST + RATE
    with httpd.open("/echo") as client:
        for number in range(count):
            client.send(frame(BINARY, bytes([number]) * 20_000))
        for number in range(count):
            assert client.receive_message().payload == bytes([number]) * 20_000
        client.close_properly()


def test_ws_460_03_nobody_else_waits(httpd):
    count = BURST + RATE
    with httpd.open("/echo") as hasty, httpd.open("/echo") as other, \
            httpd.open("/echo/free") as free:
        hasty.send(numbered(count))
        other.echo("at once")
        for _ in range(10):
            free.send(numbered(BURST * 20))
            expect_numbered(free, BURST * 20)
        other.echo("at once")
        expect_numbered(hasty, count)
        assert httpd.ask("/index.html").status == 200


@pytest.mark.parametrize("kind", ["pings", "fragmented messages"])
def test_ws_460_04_pings_count_and_a_message_counts_once(httpd, kind):
    count = BURST + RATE
    output = {
        "pings": frame(PING, "x"),
        "fragmented messages": b"".join([
            frame(TEXT, "a", fin=False), *[frame(CONTINUATION, "b", fin=False)] * 50,
            frame(CONTINUATION),
        ]),
    }[kind]
    answer = {"pings": (PONG, b"x"), "fragmented messages": (TEXT, b"a" + b"b" * 50)}[kind]
    with httpd.open("/echo") as client:
        begin = time.monotonic()
        client.send(output * count)
        for _ in range(count):
            received = client.receive_frame()
            assert (received.opcode, received.payload) == answer
        assert time.monotonic() - begin >= (count - BURST) / RATE * 0.9
        client.close_properly()


def test_ws_460_05_a_pause_is_not_the_clients_silence(httpd, error_log):
    """It cannot be asked for a sign of life that nobody reads."""
    recorder = httpd.recorder()
    # With the handshake, and with its Close: it is never the client that says nothing.
    with httpd.open("/pause", then=numbered(4) + close_frame(1000)) as client:
        received = []
        while (answer := client.receive_frame()).opcode != CLOSE:
            if answer.opcode == PING:
                client.send_frame(PONG, answer.payload)
            else:
                received.append(answer.text)
        assert received == [f"message {number}" for number in range(4)]
        assert answer.close_code == 1000
    recorder.wait_for_ends(1)
    ended = error_log.wait_for_end(client)
    assert not re.search("WebSocketPongTimeout|WebSocketRateLimit", ended.text)


@pytest.mark.parametrize("way", ["vanish", "reset"])
def test_ws_460_06_a_client_that_leaves_in_a_pause_is_noticed(httpd, way):
    recorder = httpd.recorder()
    client = httpd.open("/recorder")
    client.send(numbered(BURST + RATE))
    expect_numbered(client, BURST)
    getattr(client, way)()
    recorder.wait_for_ends(1)


class Flooder(threading.Thread):
    """Sends without end, and reads, until the server ends; `last` is the last that it has read."""

    def __init__(self, client, output):
        super().__init__()
        self.last = b""
        self._client = client
        self._output = output

    def run(self):
        deadline = time.monotonic() + PATIENCE
        with self._client as client:
            client.socket.settimeout(0)
            rest = b""
            while time.monotonic() < deadline:
                try:
                    rest = rest or self._output
                    rest = rest[client.socket.send(rest[:65536]):]
                except WOULD_BLOCK:
                    select.select([client.socket], [client.socket], [], 0.1)
                try:
                    if not (received := client.socket.recv(65536)):
                        return
                    self.last = (self.last + received)[-64:]
                except WOULD_BLOCK:
                    pass


class Steady(threading.Thread):
    """Takes all of its burst once, and then for a while half of its rate, of a plugin that needs longer for a message
    than the rate; `answers` is what it got."""

    def __init__(self, client):
        super().__init__()
        self.answers = []
        self.is_done = threading.Event()
        self._client = client

    def run(self):
        pings = BURST // 2 - 1
        self._client.send(frame(PING, "x") * pings + frame(TEXT, "70"))
        for _ in range(pings + 1):
            self.answers.append(self._client.receive_frame().payload)
        while not self.is_done.wait(1 / RATE):
            self._client.send_frame(TEXT, "70")
            self.answers.append(self._client.receive_frame().payload)


def test_ws_460_07_who_stays_above_the_rate_is_closed_and_nobody_else(httpd, error_log):
    recorder = httpd.recorder()
    context = httpd.certificates.client_context()
    flooders = [
        Flooder(httpd.open("/flood", tls=tls), output)
        for output, tls in [
            (numbered(1000), None), (frame(PING, "x") * 1000, None), (numbered(1000), context),
        ]
    ]
    with contextlib.ExitStack() as stack:
        steady, bursting, *silent = (
            stack.enter_context(httpd.open("/flood")) for _ in range(2 + SILENT)
        )
        # Above the rate for a moment, and then never again.
        for number, client in enumerate(silent):
            count = FLOOD_RATE + 1 + number
            client.send(numbered(count))
            expect_numbered(client, count)
        served_slowly = Steady(stack.enter_context(httpd.open("/sleep")))
        served_slowly.start()
        stack.callback(served_slowly.is_done.set)
        for flooder in flooders:
            flooder.start()
        next_burst = time.monotonic()
        while any(flooder.is_alive() for flooder in flooders):
            steady.echo("within the rate")
            if time.monotonic() >= next_burst:
                bursting.send(numbered(FLOOD_RATE))
                expect_numbered(bursting, FLOOD_RATE)
                # Everything that the burst has taken is there again.
                next_burst = time.monotonic() + 1.1
            time.sleep(0.02)
        for flooder in flooders:
            assert flooder.last.endswith(frame(CLOSE, POLICY_VIOLATION, mask=None)), flooder.last
        served_slowly.is_done.set()
        served_slowly.join(PATIENCE)
        assert {*served_slowly.answers} == {b"x", b"70"}, served_slowly.answers
        for client in (steady, bursting, *silent):
            client.echo("undisturbed")
            client.close_properly()
    recorder.wait_for_ends(len(flooders) + 2 + SILENT)
    lines = error_log.wait_for("WS0302: .*WebSocketRateLimit with 1008", count=len(flooders))
    assert {line.level for line in lines} == {"info"}


def test_ws_460_08_a_pause_may_end_at_any_moment(httpd, tls):
    """Also while the server is about to wait for it: each of these messages has a very short one."""
    count = 20_000
    with httpd.open("/short", tls=tls) as client:
        client.send_while_receiving(numbered(count))
        expect_numbered(client, count)
        client.close_properly()
    # A child of prefork that is told to stop while mod_ssl ends a connection crashes there.
    eventually(lambda: not any(map(connections, httpd.children())), "the connection to be freed")


def test_ws_460_09_a_reset_in_a_pause_takes_no_processor_time(httpd, burns_no_cpu):
    """The socket of one that has left is ready all the time, and nothing is to be done with it."""
    clients = [httpd.open("/second") for _ in range(4)]
    for client in clients:
        client.send(numbered(4))
        expect_numbered(client, 1)
        client.reset()
    burns_no_cpu(httpd, 1.0)


# What `httpd -t` says

@pytest.fixture(scope="module")
def tester():
    """A server that never runs; the MPM makes no difference to how configuration is read."""
    server = Httpd(settings.mpms()[0])
    yield server
    server.remove()


@pytest.mark.parametrize(("arguments", "reason"), [
    ("many", "'many' is not a number from 0 to 1000000"),
    ("-1", "is not a number"), ("+1", "is not a number"), ("1.5", "is not a number"),
    ("10/s", "is not a number"), ("1000001", "is not a number"), ("10 1000001", "is not a number"),
    ("10 some", "'some' is not a number"), ("10 0", "a burst of 0 would let nothing through"),
    ("", "takes 1-2 arguments"), ("10 20 30", "takes 1-2 arguments"),
])
def test_ws_460_10_a_wrong_rate_is_told_what_is_right(tester, arguments, reason):
    text = f"<Location /x>\n  WebSocketRateLimit {arguments}\n</Location>\n"
    result, base = tester.configtest(text)
    assert result.returncode != 0, "accepted"
    assert f"Syntax error on line {base + 2} of " in result.stderr
    assert reason in result.stderr and "WebSocketRateLimit" in result.stderr


@pytest.mark.parametrize("arguments", ["0", "1", "0 0", "10 1", "1000000 1000000"])
def test_ws_460_11_a_right_rate_is_taken_everywhere(tester, arguments):
    line = f"WebSocketRateLimit {arguments}\n"
    text = f"{line}<VirtualHost *:1>\n{line}</VirtualHost>\n<Location /x>\n{line}</Location>\n"
    result, _ = tester.configtest(text)
    assert result.returncode == 0, result.stderr
