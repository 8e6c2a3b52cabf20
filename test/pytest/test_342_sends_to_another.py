"""Callbacks that wait in `send` for the clients of others, as many as there are threads: nobody is left to hear that there is room.

Under event with one thread, which one such callback has; under worker and prefork each WebSocket has one of its own.
"""

import threading

import pytest

from harness.conf import ECHO, example, location, plugin
from harness.rawclient import BINARY, TEXT
from harness.status import LOCATION, Status

MPMS = ("event", "worker")
# More than all buffers between.
COUNT, SIZE = 40, 1 << 18
GIVE = f"give {COUNT} {SIZE}"


@pytest.fixture
def serve(make_httpd, mpm):
    def start(*lines):
        def text(_server):
            threads = "WebSocketThreads 1 1\n" if mpm == "event" else ""
            pair = location("/pair", plugin("pair"), *lines)
            return threads + LOCATION + pair + location("/echo", example(ECHO))

        return make_httpd(mpm, text, workers=8).start()

    return start


def is_stuck(document, count=1):
    """Whether that many WebSockets have as much output as may wait."""
    return sum(each["queued_bytes"] >= 1 << 20 for each in document["connections"]) == count


def take(client):
    """All that the other one gives. An answer to this one may come among it."""
    answers, count = [], 0
    while count < COUNT:
        message = client.receive_message()
        if message.opcode == BINARY:
            assert len(message.payload) == SIZE
            count += 1
        else:
            answers.append(message.text)
    return answers


def test_ws_342_01_a_client_that_reads_late_gets_all(serve):
    server = serve()
    with server.open("/pair") as giver, server.open("/pair", receive_buffer=8192) as late:
        giver.send_frame(TEXT, GIVE)
        Status(server).wait_for(is_stuck, "a full outbox")
        assert take(late) == []
        assert giver.receive_message().text == f"given {COUNT}"
        giver.echo("and so it goes on")
        late.echo("here, too")


def test_ws_342_02_two_that_give_to_each_other_before_they_read(serve, mpm):
    server = serve()
    with server.open("/pair", receive_buffer=8192) as one, server.open("/pair", receive_buffer=8192) as other:
        one.send_frame(TEXT, GIVE)
        other.send_frame(TEXT, GIVE)
        # With one thread the second waits until the first is done.
        count = 1 if mpm == "event" else 2
        Status(server).wait_for(lambda document: is_stuck(document, count), "full outboxes")
        of_both = [[], []]
        readers = [
            threading.Thread(target=lambda client=client, answers=answers: answers.extend(take_with_answer(client)))
            for client, answers in zip((one, other), of_both)
        ]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        assert of_both == [[f"given {COUNT}"], [f"given {COUNT}"]]


def take_with_answer(client):
    answers = take(client)
    return answers or [client.receive_message().text]


def test_ws_342_03_one_that_leaves_lets_the_other_go(serve):
    server = serve()
    with server.open("/pair") as giver, server.open("/pair", receive_buffer=8192) as leaver:
        giver.send_frame(TEXT, GIVE)
        Status(server).wait_for(is_stuck, "a full outbox")
        leaver.reset()
        assert giver.receive_message().text.startswith("given ")
        with server.open("/echo") as client:
            client.echo("others are served")


def test_ws_342_04_one_that_never_reads_is_given_up_in_its_time(serve):
    server = serve("WebSocketSendTimeout 1s")
    with server.open("/pair") as giver, server.open("/pair", receive_buffer=8192) as silent:
        giver.send_frame(TEXT, GIVE)
        assert giver.receive_message().text.startswith("given ")
        giver.echo("and so it goes on")
        silent.reset()
