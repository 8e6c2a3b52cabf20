"""Peers that take no output under the event driver: they cost their own connection, nobody else's.

That a peer is stuck is told by what has arrived in its socket, unread, and by the memory of the
server: both stay the same while other connections go on.
"""

import array
import fcntl
import hashlib
import re
import termios
import threading
from collections import Counter

import pytest

from harness.conf import ECHO, example, location, plugin
from harness.lines import whole_lines
from harness.processes import reactor_threads, resident_bytes, thread_names
from harness.rawclient import BINARY, CLOSE, TEXT, close_frame, frame
from harness.waiting import eventually

MPMS = ("event",)
MODULES = ("ssl", "socache_shmcb")
WORKERS = 5
JOINED = "threads.log"
SENDERS = 10  # threads of the plugin "threads"
MEGABYTE = 1 << 20
# An outbox takes so much and one message more; answers to what was read before may double it. The
# rest is the allocator's and TLS's.
ROOM = 4 * MEGABYTE
ROUNDS = 40
MOST = 8


def configuration(server):
    certificates = server.certificates
    joined = server.directory / JOINED
    joined.touch()
    joined.chmod(0o666)
    server.environment["WEBSOCKET_THREADS_FILE"] = str(joined)
    return (
        f"WebSocketThreads 2 {MOST}\n"
        + location("/echo", example(ECHO))
        + location("/rpc", plugin("rpc"))
        + location("/threads", plugin("threads"))
        + location("/impatient", plugin("threads"), "WebSocketSendTimeout 3s")
        + f"""
{server.listen(server.tls_port)}
SSLSessionCache shmcb:run/ssl(512000)
<VirtualHost *:{server.tls_port}>
  SSLEngine on
  SSLCertificateFile "{certificates.server}"
  SSLCertificateKeyFile "{certificates.server_key}"
</VirtualHost>
"""
    )


@pytest.fixture(params=["plain", "tls"])
def tls(request, httpd):
    return httpd.certificates.client_context() if request.param == "tls" else None


@pytest.fixture
def child(httpd):
    (child,) = httpd.children()
    return child


@pytest.fixture
def joined(httpd):
    """How many on_disconnects have joined their threads since the test began.

    Each test waits for its own, which may come after their clients have seen the end: or the next one counts them.
    """
    path = httpd.directory / JOINED
    before = len(whole_lines(path))
    return lambda: len(whole_lines(path)) - before


def unread(client):
    """How many bytes wait in the client's socket."""
    size = array.array("i", [0])
    fcntl.ioctl(client.socket.fileno(), termios.FIONREAD, size)
    return size[0]


def wait_until_stuck(httpd, *clients):
    """Waits until nothing more arrives for `clients`, nor is kept for them, while others'
    messages come and go."""
    seen = []

    def is_stuck():
        for number in range(ROUNDS):
            other.echo(f"round {number}")
        seen.append([*map(unread, clients), httpd.resident_bytes()])
        return len(seen) > 3 and seen[-1] == seen[-2] == seen[-3] and all(seen[-1])

    with httpd.open("/echo") as other:
        eventually(is_stuck, "the server to pause")
        other.close_properly()


def test_ws_570_01_senders_to_a_stuck_peer_wait_and_hold_nobody_else_up(httpd, tls, child, joined):
    # Whatever is made once, before anything is measured.
    with httpd.open("/threads", tls=tls) as client:
        client.send_frame(TEXT, "start 10")
        for _ in range(SENDERS * 10):
            client.receive_message()
        client.close_properly()
    eventually(lambda: joined() == 1, "the plugin's threads to be joined")
    before, threads = resident_bytes(child), len(thread_names(child))
    stuck = [httpd.open("/threads", tls=tls, receive_buffer=4096) for _ in range(3)]
    try:
        for client in stuck:
            client.send_frame(TEXT, "start 100000000")
        wait_until_stuck(httpd, *stuck)
        # Of the module's own some may have ended meanwhile.
        assert len(thread_names(child)) >= threads - MOST + SENDERS * len(stuck)
        assert resident_bytes(child) - before < len(stuck) * ROOM
        with httpd.open("/echo", tls=tls) as other:
            for size in (1, 1000, 100_000):
                other.echo(b"x" * size, BINARY)
            other.close_properly()
        assert joined() == 1
    finally:
        for client in stuck:
            client.vanish()
    eventually(lambda: joined() == 1 + len(stuck), "the plugin's threads to be released")
    eventually(lambda: len(thread_names(child)) <= threads + MOST, "the plugin's threads to end")


def test_ws_570_02_ten_senders_go_on_when_the_peer_reads_again(httpd, tls, joined):
    count = 20_000
    with httpd.open("/threads", tls=tls, receive_buffer=4096) as client:
        client.send_frame(TEXT, f"start {count}")
        wait_until_stuck(httpd, client)
        following = Counter()
        for _ in range(SENDERS * count):
            text = client.receive_message().text
            _thread, thread, _message, number = text.split()
            assert int(number) == following[thread], text
            following[thread] += 1
        assert set(following.values()) == {count} and len(following) == SENDERS
        client.echo("and nothing else")
        client.close_properly()
    eventually(lambda: joined() == 1, "the plugin's threads to be joined")


def test_ws_570_03_twenty_megabytes_arrive_whole_when_the_peer_reads_again(httpd, tls, child):
    """The client writes and does not read until the server stops reading, several times."""
    size, count = 50_000, 400
    block = bytes(range(256)) * (size // 256 + 2)
    sent, received = hashlib.sha256(), hashlib.sha256()
    frames = bytearray()
    for number in range(count):
        # No two alike, so that nothing can take another's place.
        payload = number.to_bytes(4, "big") + block[number % 256 :][: size - 4]
        sent.update(payload)
        frames += frame(BINARY, payload)
    assert count * size == 20_000_000
    before = resident_bytes(child)
    with httpd.open("/echo", tls=tls, receive_buffer=4096) as client:
        position = stuffed(client, frames)
        assert position < len(frames), "the server takes whatever comes"
        wait_until_stuck(httpd, client)
        assert resident_bytes(child) - before < ROOM
        client.send_while_receiving(frames[position:])
        for _ in range(count):
            received.update(client.receive_message().payload)
        client.echo("and nothing else")
        client.close_properly()
    assert received.digest() == sent.digest()


def test_ws_570_04_one_message_larger_than_the_outbox_waits_for_the_peer(httpd, tls):
    size = 20 * MEGABYTE
    with httpd.open("/rpc", tls=tls, receive_buffer=4096) as client:
        client.send_frame(TEXT, f"send-big {size}")
        wait_until_stuck(httpd, client)
        assert client.receive_message().payload == b"x" * size
        assert client.receive_message().text == f"result {size}"
        client.close_properly()


def test_ws_570_05_more_stuck_peers_than_threads(httpd, tls, child):
    """None of them holds a thread that others would need."""
    stuck = [httpd.open("/rpc", tls=tls, receive_buffer=4096) for _ in range(20)]
    try:
        for client in stuck:
            client.send_frame(TEXT, f"send-big {4 * MEGABYTE}")
        wait_until_stuck(httpd, *stuck)
        assert reactor_threads(child) <= MOST
        assert httpd.ask("/index.html", tls=tls).status == 200
        for client in stuck[::2]:
            assert len(client.receive_message().payload) == 4 * MEGABYTE
            assert client.receive_message().text == f"result {4 * MEGABYTE}"
            client.close_properly()
    finally:
        for client in stuck:
            client.vanish()


@pytest.mark.parametrize("way", ["vanish", "reset", "close"])
def test_ws_570_06_senders_are_released_at_the_peers_end(httpd, tls, joined, way):
    with httpd.open("/threads", tls=tls, receive_buffer=4096) as client:
        client.send_frame(TEXT, "start 100000000")
        wait_until_stuck(httpd, client)
        assert joined() == 0
        if way == "close":
            client.send(close_frame(1000))
            # What was on its way, whole, and the answer behind it.
            following = Counter()
            while (received := client.receive_frame()).opcode != CLOSE:
                match = re.fullmatch(r"thread (\d) message (\d+)", received.text)
                assert int(match[2]) == following[match[1]]
                following[match[1]] += 1
            assert received.close_code == 1000
            assert client.receive_to_eof() == b""
        else:
            getattr(client, way)()
        eventually(lambda: joined() == 1, "the plugin's threads to be released")


def test_ws_570_07_a_peer_that_reads_a_little_gets_a_little(httpd, tls):
    """Reading by and by moves the rest along, also when each step is less than a frame."""
    size, count = 300_000, 10
    with httpd.open("/echo", tls=tls, receive_buffer=4096) as client:
        writer = None
        frames = b"".join(frame(BINARY, bytes([number]) * size) for number in range(count))
        if tls is None:
            writer = threading.Thread(target=client.send, args=(frames,))
            writer.start()
        else:
            client.send_while_receiving(frames)
        for number in range(count):
            header = client.receive_exactly(10)
            assert header[1] == 127 and int.from_bytes(header[2:], "big") == size
            for piece in range(0, size, 1000):
                assert client.receive_exactly(1000) == bytes([number]) * 1000, piece
        if writer is not None:
            writer.join()
        client.close_properly()


def test_ws_570_08_peers_that_are_stuck_at_their_end_hold_no_thread(httpd, tls, joined):
    """More of them than there may be threads. Their plugin closes; they take not even that.

    Under TLS nothing is read from a peer that takes nothing, so that its plugin is not asked to: it is given up.
    """
    path = "/threads" if tls is None else "/impatient"
    stuck = [httpd.open(path, tls=tls, receive_buffer=4096) for _ in range(MOST + 2)]
    try:
        for client in stuck:
            client.send_frame(TEXT, "start 100000000")
        wait_until_stuck(httpd, *stuck)
        if tls is None:
            for client in stuck:
                client.send_frame(TEXT, "close")
        eventually(lambda: joined() == len(stuck), "the WebSockets to be given up")
        for number in range(3):
            with httpd.open("/echo", tls=tls) as other:
                other.echo(f"served {number}")
                other.close_properly()
    finally:
        for client in stuck:
            client.vanish()


def stuffed(client, data):
    """Sends of `data` what the server takes although nothing is read; how much that was."""
    view = memoryview(data)
    timeout = client.socket.gettimeout()
    position = 0
    # Long enough for the server to take what it means to take; taking less fails no test.
    client.socket.settimeout(0.5)
    try:
        while position < len(view):
            position += client.socket.send(view[position : position + 16384])
    except TimeoutError:
        pass
    finally:
        client.socket.settimeout(timeout)
    return position
