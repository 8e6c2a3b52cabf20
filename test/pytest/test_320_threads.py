"""Ten threads of a plugin that send on one connection at the same time."""

import re
from collections import Counter

import pytest

from harness.conf import ECHO, example, location, plugin
from harness.lines import whole_lines
from harness.rawclient import CLOSE, PING, PONG, TEXT, frame
from harness.waiting import eventually

MODULES = ("ssl", "socache_shmcb")
THREADS = 10
MESSAGES = 300
JOINED = "threads.log"


def configuration(server):
    certificates = server.certificates
    joined = server.directory / JOINED
    joined.touch()
    joined.chmod(0o666)
    server.environment["WEBSOCKET_THREADS_FILE"] = str(joined)
    return location("/threads", plugin("threads")) + location("/echo", example(ECHO)) + f"""
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
def joined(httpd):
    """How many on_disconnects have joined their threads since the test began.

    Each test waits for its own, which may come after their clients have seen the end: or the next one counts them.
    """
    path = httpd.directory / JOINED
    before = len(whole_lines(path))
    return lambda: len(whole_lines(path)) - before


class Counts:
    """Checks that each thread's messages come whole and in order."""

    def __init__(self):
        self.next = Counter()

    def take(self, received):
        assert received.opcode == TEXT and received.fin and not received.rsv, received
        match = re.fullmatch(r"thread (\d) message (\d+)", received.text)
        assert match, received.text
        thread, number = int(match[1]), int(match[2])
        assert number == self.next[thread], f"thread {thread}: {number}, not {self.next[thread]}"
        self.next[thread] += 1

    @property
    def total(self):
        return sum(self.next.values())


def test_ws_320_01_messages_of_each_thread_keep_their_order(httpd, tls, joined):
    counts = Counts()
    with httpd.open("/threads", tls=tls) as client:
        client.send_frame(TEXT, f"start {MESSAGES}")
        while counts.total < THREADS * MESSAGES:
            counts.take(client.receive_frame())
        assert counts.next == {thread: MESSAGES for thread in range(THREADS)}
        client.close_properly()
    eventually(lambda: joined() == 1, "the threads to be joined")


def test_ws_320_02_control_frames_come_between_whole_messages(httpd, tls, joined):
    counts, pongs = Counts(), 0
    with httpd.open("/threads", tls=tls) as client:
        client.send(frame(TEXT, f"start {MESSAGES}")
                    + b"".join(frame(PING, str(n)) for n in range(50)))
        while counts.total < THREADS * MESSAGES or pongs < 50:
            received = client.receive_frame()
            if received.opcode == PONG:
                # A flood of pings may be answered by the latest ones only (RFC 6455 §5.5.3).
                assert int(received.payload) >= pongs
                pongs = int(received.payload) + 1
            else:
                counts.take(received)
        client.close_properly()
    eventually(lambda: joined() == 1, "the threads to be joined")


def test_ws_320_03_the_client_may_close_while_all_threads_send(httpd, tls, joined):
    counts = Counts()
    with httpd.open("/threads", tls=tls) as client:
        client.send_frame(TEXT, "start 1000000")
        for _ in range(500):
            counts.take(client.receive_frame())
        client.send_close(1001)
        while (received := client.receive_frame()).opcode != CLOSE:
            counts.take(received)
        assert received.close_code == 1001
        assert client.receive_to_eof() == b""
    eventually(lambda: joined() == 1, "the threads to be joined")


def test_ws_320_04_the_plugin_may_close_while_all_threads_send(httpd, tls, joined):
    counts = Counts()
    with httpd.open("/threads", tls=tls) as client:
        client.send_frame(TEXT, "start 1000000")
        for _ in range(500):
            counts.take(client.receive_frame())
        client.send_frame(TEXT, "close")
        while (received := client.receive_frame()).opcode != CLOSE:
            counts.take(received)
        client.send_close(1000)
        assert client.receive_to_eof() == b""
    eventually(lambda: joined() == 1, "the threads to be joined")


@pytest.mark.parametrize("way", ["vanish", "reset"])
@pytest.mark.parametrize("reading", [True, False])
def test_ws_320_05_the_client_may_leave_while_all_threads_send(httpd, tls, joined, way, reading):
    for _ in range(3):
        counts = Counts()
        client = httpd.open("/threads", tls=tls)
        client.send_frame(TEXT, "start 1000000")
        for _ in range(200 if reading else 1):
            counts.take(client.receive_frame())
        getattr(client, way)()
    eventually(lambda: joined() == 3, "the threads of three connections to be joined")


def test_ws_320_06_a_protocol_error_while_all_threads_send_is_answered(httpd, joined):
    counts = Counts()
    with httpd.open("/threads") as client:
        client.send_frame(TEXT, "start 1000000")
        counts.take(client.receive_frame())
        client.send_frame(TEXT, "x", rsv=4)
        while (received := client.receive_frame()).opcode != CLOSE:
            counts.take(received)
        assert received.close_code == 1002
        assert client.receive_to_eof() == b""
    eventually(lambda: joined() == 1, "the threads to be joined")


def test_ws_320_07_a_client_that_does_not_read_holds_nobody_else_up(httpd, joined):
    with httpd.open("/threads", receive_buffer=4096) as lazy:
        lazy.send_frame(TEXT, "start 1000000")
        lazy.receive_frame()
        for _ in range(10):
            with httpd.open("/echo") as client:
                client.echo("not held up")
                client.close_properly()
        counts = Counts()
        with httpd.open("/threads") as client:
            client.send_frame(TEXT, f"start {MESSAGES}")
            while counts.total < THREADS * MESSAGES:
                counts.take(client.receive_frame())
    eventually(lambda: joined() == 2, "the threads of both connections to be joined")


def test_ws_320_08_messages_from_the_client_are_handled_while_all_threads_send(httpd, joined):
    counts, answers = Counts(), 0
    with httpd.open("/threads") as client:
        client.send_frame(TEXT, f"start {MESSAGES * 10}")
        for _ in range(20):
            client.send_frame(TEXT, "busy or echo")
        while counts.total < THREADS * MESSAGES * 10 or answers < 20:
            received = client.receive_frame()
            if received.payload == b"busy or echo":
                answers += 1
            else:
                counts.take(received)
        client.close_properly()
    eventually(lambda: joined() == 1, "the threads to be joined")


@pytest.mark.parametrize("asking", ["close", "ping"])
def test_ws_320_09_threads_that_fill_the_output_do_not_keep_the_server_from_reading(
    httpd, joined, asking
):
    # What may lie on the way already: the server's buffer, both sockets' buffers, and some more.
    enough = 12 << 20
    count = 8
    for _ in range(count):
        with httpd.open("/threads", receive_buffer=65536) as client:
            client.send_frame(TEXT, "start 1000000")
            for _ in range(300):
                client.receive_frame()
            if asking == "close":
                client.send_close(1001)
            else:
                client.send_frame(PING, "are you there?")
            size = 0
            while (received := client.receive_frame()).opcode == TEXT:
                size += len(received.header) + len(received.payload)
                assert size < enough, "the server does not get to read"
            assert received.opcode == (CLOSE if asking == "close" else PONG)
    eventually(lambda: joined() == count, "the threads to be joined")
