"""Many clients at once that mean no good: what they cost stays within what docs/operations.md says
of one client ("What one client can cost"), and others are served meanwhile.

Memory is the most that all children had at any time (VmHWM), beyond what they had before.
"""

import contextlib
import zlib

import pytest

from harness.conf import ECHO, example, location, plugin
from harness.hosts import TLS_MODULES, tls_host
from harness.memory import forget_peak_bytes, peak_bytes
from harness.processes import connections, many_descriptors
from harness.rawclient import (
    BINARY, CLOSE, CONTINUATION, PING, TEXT, frame, handshake_headers,
)
from harness.waiting import eventually

MODULES = (*TLS_MODULES, "reqtimeout")
WORKERS = 40
KILOBYTE, MEGABYTE = 1 << 10, 1 << 20

# How many there are of a kind: as many as an MPM for many connections has, or few as the others have.
COUNT = {"event": 200, "worker": 24, "prefork": 24}
MESSAGE, BUFFER = 64 * KILOBYTE, 16 * KILOBYTE
# A connection, its buffers in httpd, and what malloc rounds up; under prefork a process.
IDLE = {"event": 64 * KILOBYTE, "worker": 256 * KILOBYTE, "prefork": 4 * MEGABYTE}
# Whatever a child takes once; httpd may start another one.
ONCE = 16 * MEGABYTE
DEFLATE = (371 + 46) * KILOBYTE
# For moments there is a second copy of it.
HELD_BACK = 2 * 64 * KILOBYTE


def configuration(server):
    return (
        # The kernel's buffers are not what is measured.
        "SendBufferSize 16384\nReceiveBufferSize 16384\n"
        "RequestReadTimeout header=2\n"
        f"WebSocketMaxMessageSize {MESSAGE}\nWebSocketSendBuffer {BUFFER}\n"
        + location("/echo", example(ECHO))
        + location("/recorder", plugin("recorder"))
        + location("/unlimited", example(ECHO), f"WebSocketMaxMessageSize {1 << 62}")
        + location("/compressed", example(ECHO), "WebSocketCompression On")
        + tls_host(server)
    )


@pytest.fixture(scope="module", autouse=True)
def descriptors():
    """Before the server starts, which may have as many."""
    with many_descriptors(15 * max(COUNT.values())):
        yield


@pytest.fixture
def hostile(httpd):
    with contextlib.ExitStack() as stack:
        yield Hostile(httpd, stack)


class Hostile:
    """Clients that act, others that are served meanwhile, and what it all takes."""

    def __init__(self, httpd, stack):
        self.httpd = httpd
        self.clients = []
        self._stack = stack
        context = httpd.certificates.client_context()
        self._others = [
            stack.enter_context(httpd.open("/echo", tls=tls)) for tls in (None, context)
        ]
        for pid in httpd.children():
            forget_peak_bytes(pid)
        self._before = self._peaks()

    def act(self, act, count=None):
        """Has so many clients act, one after the other; each stays until the end of the test."""
        for number in range(count or COUNT[self.httpd.mpm]):
            client = act(self.httpd)
            self.clients.append(client)
            self._stack.callback(client.vanish)
            if number % 50 == 0:
                self.serve_others()

    def serve_others(self):
        for other in self._others:
            other.echo("x" * 1000)

    def verify(self, each):
        """Others are served, each has cost so much at most, and after all are gone nothing is left."""
        self.serve_others()
        with self.httpd.open("/echo") as newcomer:
            newcomer.echo("new")
        assert self.httpd.ask("/index.html").status == 200
        count = len(self.clients)
        peaks = self._peaks()
        took = sum(peak - self._before.get(pid, 0) for pid, peak in peaks.items())
        once = ONCE * (1 if self.httpd.mpm == "prefork" else len(peaks))
        allowed = once + count * (IDLE[self.httpd.mpm] + each)
        assert took <= allowed, f"{took >> 10} KiB for {count} clients, more than {allowed >> 10}"
        for client in self.clients:
            client.vanish()
        eventually(lambda: self._connections() <= len(self._others), "the connections to be freed")
        self.serve_others()

    def _peaks(self):
        return {pid: peak_bytes(pid) for pid in self.httpd.children()}

    def _connections(self):
        return sum(connections(pid) for pid in self.httpd.children())


def send_until_full(client, data, most):
    """Sends `data` again and again until nobody takes any more, or `most` times."""
    client.socket.settimeout(0.005)
    rest = b""
    try:
        for _ in range(most):
            rest = data
            while rest:
                rest = rest[client.socket.send(rest):]
    except TimeoutError:
        pass
    return client


def deflated(size):
    compressor = zlib.compressobj(9, wbits=-15)
    data = b"".join(compressor.compress(bytes(MEGABYTE)) for _ in range(size // MEGABYTE))
    return (data + compressor.compress(bytes(size % MEGABYTE))
            + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


BOMB = deflated(64 * MEGABYTE)
SMALL_BOMB = deflated(MESSAGE - 1)


def announce(httpd):
    client = httpd.open("/unlimited")
    client.send(frame(BINARY, b"x" * 1000, length=(1 << 62) - 1))
    return client


def announce_too_much(httpd):
    client = httpd.open("/echo")
    client.send(frame(BINARY, b"x" * 1000, length=1 << 62))
    return client


def send_fragments_of_a_byte(httpd):
    client = httpd.open("/echo")
    client.send_frame(BINARY, fin=False)
    client.send(frame(CONTINUATION, "x", fin=False) * 2000)
    return client


def send_half_a_message(httpd):
    client = httpd.open("/echo")
    client.send(frame(BINARY, bytes(MESSAGE))[:-1])
    return client


def never_read_small_answers(httpd):
    client = httpd.open("/echo", receive_buffer=4096)
    return send_until_full(client, frame(TEXT, "x" * 100) * 600, 20)


def never_read_large_answers(httpd):
    client = httpd.open("/echo", receive_buffer=4096)
    return send_until_full(client, frame(BINARY, bytes(MESSAGE)), 20)


def never_read_compressed_answers(httpd):
    client = httpd.client(receive_buffer=4096)
    offer = [("Sec-WebSocket-Extensions", "permessage-deflate")]
    assert client.upgrade("/compressed", offer).status == 101
    return send_until_full(client, frame(BINARY, SMALL_BOMB, rsv=4) * 100, 20)


def flood_with_pings(httpd):
    client = httpd.open("/echo", receive_buffer=4096)
    return send_until_full(client, frame(PING, "x" * 125) * 500, 20)


def bomb(httpd, data=None, fin=True):
    client = httpd.client()
    offer = [("Sec-WebSocket-Extensions", "permessage-deflate")]
    assert client.upgrade("/compressed", offer).status == 101
    client.send(frame(BINARY, BOMB if data is None else data, rsv=4, fin=fin))
    return client


def bomb_that_does_not_go_off(httpd):
    return bomb(httpd, SMALL_BOMB, fin=False)


def handshake_and_frames_byte_by_byte(httpd):
    client = httpd.client()
    lines = ["GET /echo HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in handshake_headers()]
    client.send_in_pieces("\r\n".join([*lines, "", ""]).encode("ascii"))
    assert client.receive_response().status == 101
    client.send_in_pieces(frame(TEXT, "x" * 200)[:150])
    return client


def never_finish_the_handshake(httpd):
    client = httpd.client()
    client.send(b"GET /echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nX: ")
    return client


COST = {
    announce: 2 * KILOBYTE,
    announce_too_much: 0,
    send_fragments_of_a_byte: 2 * 2000,
    send_half_a_message: 2 * MESSAGE,
    never_read_small_answers: 2 * BUFFER + HELD_BACK,
    never_read_large_answers: 2 * BUFFER + 3 * MESSAGE + HELD_BACK,
    never_read_compressed_answers: DEFLATE + 2 * (2 * BUFFER + MESSAGE) + HELD_BACK,
    flood_with_pings: 2 * BUFFER + HELD_BACK,
    bomb: DEFLATE + MESSAGE,
    bomb_that_does_not_go_off: DEFLATE + 2 * MESSAGE,
    handshake_and_frames_byte_by_byte: KILOBYTE,
}


@pytest.mark.parametrize("act", COST, ids=lambda act: act.__name__)
def test_ws_470_01_nobody_takes_more_than_the_limits_allow(httpd, hostile, act):
    hostile.act(act)
    hostile.verify(COST[act])


def test_ws_470_02_what_announces_too_much_is_told_at_once(hostile):
    hostile.act(announce_too_much)
    for client in hostile.clients:
        received = client.receive_frame()
        assert received.opcode == CLOSE and received.close_code == 1009
    hostile.verify(COST[announce_too_much])


def test_ws_470_03_a_bomb_goes_off_at_the_limit(hostile):
    hostile.act(bomb)
    for client in hostile.clients:
        received = client.receive_frame()
        assert received.opcode == CLOSE and received.close_code == 1009
    hostile.verify(COST[bomb])


def test_ws_470_04_a_million_fragments_of_one_byte_are_one_message(httpd, hostile):
    """As much as a message may have, and then one more."""
    with httpd.open("/unlimited") as client:
        client.send_frame(BINARY, fin=False)
        for _ in range(100):
            client.send(frame(CONTINUATION, "x", fin=False) * 10_000)
            hostile.serve_others()
        client.send_frame(CONTINUATION)
        assert client.receive_message().payload == b"x" * 1_000_000
        client.close_properly()
    with httpd.open("/echo") as client:
        client.send_frame(BINARY, fin=False)
        client.send(frame(CONTINUATION, "x", fin=False) * MESSAGE)
        client.send(frame(CONTINUATION, "x", fin=False))
        client.expect_close(1009)
    hostile.verify(0)


def test_ws_470_05_clients_that_open_and_vanish_leave_nothing(httpd, hostile):
    recorder = httpd.recorder()
    count = 2 * COUNT[httpd.mpm]

    def open_and_vanish(httpd):
        client = httpd.open("/recorder")
        client.send(frame(BINARY, bytes(MESSAGE))[: MESSAGE // 2])
        leave = client.vanish if len(hostile.clients) % 2 else client.reset
        leave()
        return client

    hostile.act(open_and_vanish, count)
    recorder.wait_for_ends(count)
    # They were not there at the same time.
    hostile.verify(MESSAGE if httpd.mpm != "prefork" else 0)


def test_ws_470_06_who_never_finishes_the_handshake_is_mod_reqtimeouts(httpd, hostile):
    """Each holds a worker thread until then; WebSockets that are open do not notice."""
    count = {"event": 3 * WORKERS, "worker": WORKERS, "prefork": WORKERS}[httpd.mpm]
    hostile.act(never_finish_the_handshake, count)
    for number, client in enumerate(hostile.clients):
        answer = client.receive_to_eof()
        assert answer == b"" or answer.startswith(b"HTTP/1.1 408 "), answer
        if number % 10 == 0:
            hostile.serve_others()
    hostile.verify(0)


def test_ws_470_07_all_of_them_at_once(httpd, hostile):
    """On event two thousand."""
    for act in COST:
        hostile.act(act, COUNT["event"] if httpd.mpm == "event" else 3)
    hostile.verify(sum(COST.values()) // len(COST))
