"""The example dumb-increment in Rust: thousands of counters with timers, on two threads."""

import pytest

from harness.conf import RUST_INCREMENT, example, location
from harness.processes import connections, many_descriptors, reactor_threads
from harness.rawclient import PING, PONG, TEXT
from harness.waiting import eventually

MPMS = ("event",)
WORKERS = 25
PROTOCOL = "dumb-increment-protocol"
MANY = 5000
SOME = 100
THREADS = 2


def configuration(_server):
    return f"WebSocketThreads {THREADS} {THREADS}\n" + location(
        "/increment", example(RUST_INCREMENT)
    )


@pytest.fixture(scope="module", autouse=True)
def descriptors():
    with many_descriptors(2 * MANY + 500):
        yield


def counter(httpd):
    return httpd.open("/increment", protocol=PROTOCOL)


def next_number(client):
    return int(client.receive_message().text)


def test_ws_650_01_five_thousand_count_on_two_threads(httpd):
    (child,) = httpd.children()
    clients = []
    try:
        for _ in range(MANY):
            clients.append(counter(httpd))
        assert reactor_threads(child) == THREADS
        for client in clients:
            assert [next_number(client) for _ in range(3)] == [0, 1, 2]
        # Pages are served, and messages get through.
        assert httpd.ask("/index.html").status == 200
        some = clients[:: MANY // SOME]
        for client in some:
            client.send_frame(TEXT, "reset\n")
        for client in some:
            number = 2
            while (following := next_number(client)) != 0:
                assert following == number + 1
                number = following
        for client in some:
            assert next_number(client) == 1
        assert reactor_threads(child) == THREADS
        assert httpd.children() == [child]
    finally:
        for client in clients:
            client.vanish()
    eventually(lambda: connections(child) < SOME, "the connections to be closed")


@pytest.mark.parametrize("message", ["reset", "reset\n\n", "Reset\n", ""])
def test_ws_650_02_no_other_message_resets(httpd, message):
    with counter(httpd) as client:
        number = next_number(client)
        assert number == 0
        client.send_frame(TEXT, message)
        client.send_frame(PING)
        while (received := client.receive_frame()).opcode != PONG:
            number += 1
            assert int(received.text) == number
        assert next_number(client) == number + 1
        client.send_close(1000)
        client.receive_to_eof()
