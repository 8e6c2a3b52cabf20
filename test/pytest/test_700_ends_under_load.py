"""The ends of many WebSockets at once: each has one on_disconnect and one access log line."""

import random
import ssl
import threading
import time

import pytest

from harness.audit import CONFIGURATION as AUDIT
from harness.audit import Audit
from harness.conf import PLUGIN_CLOSE_CODE, location, plugin
from harness.processes import connections
from harness.rawclient import BINARY, CLOSE, TEXT, close_frame, frame, handshake_headers
from harness.waiting import PATIENCE, eventually

MODULES = ("ssl", "socache_shmcb")
CROWD = 40
WORKERS = CROWD + 8


def configuration(server):
    certificates = server.certificates
    return AUDIT + location("/recorder", plugin("recorder")) + f"""
{server.listen(server.tls_port)}
SSLSessionCache shmcb:run/ssl(512000)
<VirtualHost *:{server.tls_port}>
  SSLEngine on
  SSLCertificateFile "{certificates.server}"
  SSLCertificateKeyFile "{certificates.server_key}"
</VirtualHost>
"""


@pytest.fixture(params=["plain", "tls"])
def tls(request, httpd):
    return httpd.certificates.client_context() if request.param == "tls" else None


@pytest.fixture
def settles(httpd):
    """Checks, when all clients have left, that the server has finished with each of them once."""
    # Clients of the last test that vanished may be in the accept queues still, before these.
    for context in (None, httpd.certificates.client_context()):
        httpd.ask("/", tls=context)
    eventually(lambda: not any(connections(child) for child in httpd.children()), "a free server")
    recorder = httpd.recorder()
    children = set(httpd.children())

    def check():
        ended = recorder.wait_until_all_ended()
        if httpd.mpm != "prefork":  # there the number of idle children is regulated
            # Another one may have come when for a moment no thread was idle.
            assert children <= set(httpd.children()), "a child has died"
        return ended

    return check


def handshake(path="/recorder"):
    fields = [("Host", "localhost"), *handshake_headers(key="dGhlIHNhbXBsZSBub25jZQ==")]
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def at_once(*actions):
    """Runs all in threads of their own; the first failure is raised."""
    failures = []

    def guarded(action):
        try:
            action()
        except BaseException as failure:  # noqa: BLE001
            failures.append(failure)

    threads = [threading.Thread(target=guarded, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def test_ws_700_01_frames_in_the_segment_of_the_handshake_are_handled(httpd, tls, settles):
    """Whole ones and the beginning of another, on many connections at the same time."""

    def one(number):
        texts = [f"{number}: early {n}" for n in range(number % 6)]
        last = frame(TEXT, f"{number}: " + "x" * (number * 100))
        cut = number * 7 % len(last)
        early = b"".join(frame(TEXT, text) for text in texts) + last[:cut]
        with httpd.client(tls=tls) as client:
            client.open("/recorder", then=early)
            for text in texts:
                assert client.receive_message().text == text
            client.send(last[cut:])
            assert client.receive_message().text == f"{number}: " + "x" * (number * 100)
            client.close_properly()

    at_once(*(lambda number=number: one(number) for number in range(CROWD)))
    assert len(settles()) == CROWD


def test_ws_700_02_a_close_in_the_segment_of_the_handshake_ends_it(httpd, tls, settles):
    def one(number):
        with httpd.client(tls=tls) as client:
            client.open("/recorder", then=frame(TEXT, "early") * number + close_frame(1001))
            for _ in range(number):
                assert client.receive_message().text == "early"
            client.expect_close(1001)

    at_once(*(lambda number=number: one(number) for number in range(CROWD)))
    assert len(settles()) == CROWD


@pytest.mark.parametrize("way", ["vanish", "reset"])
def test_ws_700_03_a_peer_may_vanish_after_any_byte(httpd, way, settles):
    """Of the handshake, and of the frames behind it."""
    data = handshake() + frame(TEXT, "whole") + frame(BINARY, b"x" * 200)
    for cut in range(len(data)):
        client = httpd.client()
        client.send(data[:cut])
        getattr(client, way)()
    ended = settles()
    if way == "vanish":
        # A reset may overtake what was sent before it.
        assert len(ended) == len(data) - len(handshake())


@pytest.mark.parametrize("way", ["vanish", "reset"])
def test_ws_700_04_a_peer_may_vanish_after_any_byte_of_a_tls_connection(httpd, way, settles):
    """Of the client's TLS handshake, and of the records with handshake and frames."""
    choose = random.Random(704)
    flights = Tls(httpd)
    flights.run()
    total = flights.sent
    # Each record's edges, and bytes in between.
    cuts = sorted({*choose.sample(range(total), 100), *range(total - 300, total, 3), *range(12)})
    for cut in cuts:
        getattr(Tls(httpd, cut).run(), way)()
    flights.client.vanish()
    ended = settles()
    assert 0 < len(ended) < len(cuts)
    with httpd.open("/recorder", tls=httpd.certificates.client_context()) as client:
        client.echo("and serves on")


@pytest.mark.parametrize("way", ["vanish", "reset"])
def test_ws_700_05_a_peer_may_vanish_after_any_byte_it_gets(httpd, tls, way, settles):
    for count in range(0, 300, 7):
        client = httpd.client(tls=tls)
        client.send(handshake() + frame(BINARY, b"x" * 100) * 3)
        client.receive_exactly(count)
        getattr(client, way)()
    settles()


def test_ws_700_06_a_plugin_may_close_from_another_thread_whatever_the_peer_does(
    httpd, tls, settles
):
    def answers(client):
        received = client.receive_frame()
        assert received.opcode == CLOSE and received.close_code == PLUGIN_CLOSE_CODE
        client.send_close(PLUGIN_CLOSE_CODE)
        assert client.receive_to_eof() == b""

    def talks_on(client):
        # How many answers come before the plugin's thread has its turn is the machine's affair.
        deadline = time.monotonic() + PATIENCE
        while True:
            client.send_frame(BINARY, b"on and on")
            received = client.receive_frame()
            if received.opcode == CLOSE:
                break
            assert received.payload == b"on and on"
            assert time.monotonic() < deadline, "never closed"
        assert received.close_code == PLUGIN_CLOSE_CODE
        client.send_close(PLUGIN_CLOSE_CODE)
        assert client.receive_to_eof() == b""

    def closes_too(client):
        client.send_close(1000)
        assert client.receive_frame().opcode == CLOSE
        assert client.receive_to_eof() == b""

    def one(number):
        with httpd.open("/recorder", tls=tls) as client:
            client.send_frame(TEXT, "close-later")
            behaviour = (
                answers, talks_on, closes_too, type(client).vanish, type(client).reset
            )[number % 5]
            behaviour(client)

    at_once(*(lambda number=number: one(number) for number in range(CROWD)))
    assert len(settles()) == CROWD


def test_ws_700_07_each_end_has_one_line_in_the_access_log(httpd, tls, settles):
    audit = Audit(httpd)

    def breaks_off(client):
        client.send(frame(BINARY, b"x" * 100)[:50])
        client.vanish()

    def breaks_the_protocol(client):
        client.send_frame(TEXT, "x", rsv=1)
        client.expect_close(1002)

    def is_closed(client):
        client.send_frame(TEXT, "close")
        assert client.receive_frame().close_code == PLUGIN_CLOSE_CODE
        client.send_close(PLUGIN_CLOSE_CODE)
        assert client.receive_to_eof() == b""

    ways = (
        lambda client: client.close_properly(), breaks_off, breaks_the_protocol, is_closed,
        lambda client: client.reset(),
    )

    def one(number):
        path = audit.name("/recorder")
        with httpd.open(path, tls=tls) as client:
            audit.opened(path)
            for turn in range(number % 7):
                client.echo(f"{number} {turn}" * 100)
            audit.leaving(path)
            ways[number % len(ways)](client)

    at_once(*(lambda number=number: one(number) for number in range(CROWD)))
    assert len(settles()) == CROWD
    audit.verify()


class Tls:
    """A TLS client that sends the first so many bytes of what it would send, and no more."""

    def __init__(self, httpd, limit=None):
        self.client = httpd.client(port=httpd.tls_port)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = httpd.certificates.client_context()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        self.limit = limit
        self.sent = 0

    def run(self):
        """Opens a WebSocket and sends frames, as far as it gets. Returns the client below."""
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                if not self._flush():
                    return self.client
                self.incoming.write(self.client.receive_some())
        self.tls.write(handshake())
        self.tls.write(frame(TEXT, "whole") + frame(BINARY, b"x" * 200))
        self._flush()
        return self.client

    def _flush(self):
        """Sends what there is; False when that is the last of it."""
        data = self.outgoing.read()
        is_over = self.limit is not None and self.sent + len(data) > self.limit
        if is_over:
            data = data[: self.limit - self.sent]
        self.sent += len(data)
        self.client.send(data)
        return not is_over
