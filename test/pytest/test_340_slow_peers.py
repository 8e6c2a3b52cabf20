"""Peers that do not read, plugins that take long, and clients that write before they read."""

import threading

import pytest

from harness.conf import ECHO, example, location, plugin
from harness.rawclient import BINARY, TEXT, frame
from harness.scripted import ask
from harness.waiting import PATIENCE

WORKERS = 24
MEGABYTE = 1 << 20


def configuration(_server):
    return (
        # The time is counted from when the Close is queued, behind what has not been read yet.
        location("/echo", example(ECHO), "WebSocketCloseTimeout 1min")
        + location("/rpc", plugin("rpc"))
        + location("/sleep", plugin("sleep"))
        + location("/scripted", plugin("scripted"))
        + location("/recorder", plugin("recorder"))
    )


def test_ws_340_01_a_client_that_reads_while_it_writes_gets_everything_back(httpd):
    size, count = MEGABYTE, 10
    with httpd.open("/echo") as client:
        writer = threading.Thread(
            target=lambda: [client.send_frame(BINARY, bytes([n]) * size) for n in range(count)]
        )
        writer.start()
        for n in range(count):
            assert client.receive_message().payload == bytes([n]) * size
        writer.join()
        client.close_properly()


def test_ws_340_02_a_client_that_reads_late_gets_everything_back(httpd):
    # More than every buffer on the way: the server has to pause, and to go on.
    size, count = 256 * 1024, 40
    with httpd.open("/echo") as client:
        writer = threading.Thread(
            target=lambda: [client.send_frame(BINARY, bytes([n]) * size) for n in range(count)]
        )
        writer.start()
        writer.join(1)  # whether it is done by now or stuck does not matter
        for n in range(count):
            assert client.receive_message().payload == bytes([n]) * size
        writer.join()
        client.close_properly()


def test_ws_340_03_one_large_message_to_a_client_that_reads_late_arrives(httpd):
    size = 20 * MEGABYTE
    with httpd.open("/rpc", receive_buffer=8192) as client:
        client.send_frame(TEXT, f"send-big {size}")
        with httpd.open("/echo") as other:
            other.echo("meanwhile")
        assert client.receive_message().payload == b"x" * size
        assert client.receive_message().text == f"result {size}"
        client.close_properly()


def test_ws_340_04_clients_that_never_read_hold_nobody_up(httpd):
    lazy = [httpd.open("/rpc", receive_buffer=4096) for _ in range(3)]
    try:
        for client in lazy:
            client.send_frame(TEXT, f"send-big {8 * MEGABYTE}")
        for _ in range(20):
            with httpd.open("/echo") as client:
                client.echo("not held up")
                client.close_properly()
        assert httpd.ask("/index.html").status == 200
    finally:
        for client in lazy:
            client.reset()


@pytest.mark.parametrize("way", ["vanish", "reset"])
def test_ws_340_05_a_client_that_leaves_with_output_waiting_is_forgotten(httpd, way):
    recorder = httpd.recorder()
    for _ in range(3):
        client = httpd.open("/recorder", receive_buffer=4096)
        client.send(frame(BINARY, b"x" * (4 * MEGABYTE)))
        client.receive_exactly(10)
        getattr(client, way)()
    recorder.wait_for_ends(3)


def test_ws_340_06_a_close_behind_much_output_arrives_after_it(httpd):
    with httpd.open("/echo", receive_buffer=8192) as client:
        client.send(frame(BINARY, b"x" * (4 * MEGABYTE)))
        client.send_close(1000)
        assert len(client.receive_message().payload) == 4 * MEGABYTE
        client.expect_close(1000)


def test_ws_340_07_plugins_that_take_long_delay_their_own_connections_only(httpd, gate):
    sleepers = [httpd.open("/scripted") for _ in range(10)]
    try:
        for sleeper in sleepers:
            sleeper.send_frame(TEXT, f"await {gate}; echo awake")
        with httpd.open("/echo") as client:
            client.echo("meanwhile")
            client.close_properly()
        with httpd.open("/scripted") as client:
            assert ask(client, "echo meanwhile") == "meanwhile"
            client.close_properly()
        assert not any(sleeper.has_input() for sleeper in sleepers), "they have not waited"
        gate.touch()
        for sleeper in sleepers:
            assert sleeper.receive_message().text.endswith("; awake")
            assert ask(sleeper, "echo again") == "again"
    finally:
        for sleeper in sleepers:
            sleeper.vanish()


def test_ws_340_08_messages_that_wait_for_a_slow_plugin_come_in_order(httpd):
    with httpd.open("/sleep") as client:
        for text in ("100", "0", "50", "0"):
            client.send_frame(TEXT, text)
        assert [client.receive_message().text for _ in range(4)] == ["100", "0", "50", "0"]


def test_ws_340_09_a_client_may_leave_while_the_plugin_is_busy(httpd):
    for way in ("vanish", "reset"):
        client = httpd.open("/sleep")
        client.send_frame(TEXT, "300")
        getattr(client, way)()
    with httpd.open("/sleep") as client:
        client.echo("0")


@pytest.mark.resources
def test_ws_340_10_a_flood_of_pings_from_a_client_that_does_not_read_is_borne(httpd):
    flood = frame(0x9, b"p" * 125) * 2000
    before = httpd.resident_bytes()
    client = httpd.open("/echo", receive_buffer=4096)
    try:
        client.socket.settimeout(0.5)
        try:
            for _ in range(200):  # 50 MiB, unless the server stops reading first
                client.send(flood)
        except TimeoutError:
            pass
        with httpd.open("/echo") as other:
            other.echo("not held up")
        assert httpd.resident_bytes() - before < 32 * MEGABYTE
    finally:
        client.reset()


def test_ws_340_11_many_connections_come_and_go(httpd):
    def run(number):
        for turn in range(15):
            with httpd.open("/echo") as client:
                client.echo(f"{number} {turn}")
                client.close_properly()

    failures = []

    def guarded(number):
        try:
            run(number)
        except BaseException as failure:  # noqa: BLE001
            failures.append(failure)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures


def test_ws_340_12_what_a_client_has_read_while_nobody_looked_counts(make_httpd, mpm):
    """WebSocketSendTimeout is over by then, but not for want of room."""
    def text(server):
        threads = "WebSocketThreads 1 1\n" if mpm == "event" else ""
        return f"{threads}WebSocketSendTimeout 2s\n{configuration(server)}"

    size = 20 * MEGABYTE
    server = make_httpd(mpm, text, workers=4).start()
    with server.open("/echo", receive_buffer=8192) as client, server.open("/sleep") as busy:
        client.send_frame(BINARY, b"x" * size)
        client.receive_exactly(1)
        # It cannot write meanwhile; what it has written so far can be read.
        busy.send_frame(TEXT, "4000")
        rest = memoryview(bytearray(1 << 16))
        received = 1
        client.socket.settimeout(0.5)
        try:
            while received < size:
                received += client.socket.recv_into(rest)
        except TimeoutError:
            pass
        client.socket.settimeout(PATIENCE)
        assert busy.receive_message().text == "4000"
        client.receive_exactly(size + 10 - received)
        client.echo("and so it goes on")
        client.close_properly()
