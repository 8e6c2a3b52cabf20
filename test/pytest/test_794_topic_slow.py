"""Subscribers that take less than is published: WebSocketTopicSlow, and nobody else waits for them."""

import json
from contextlib import ExitStack

import pytest

from harness.rawclient import CLOSE, TEXT
from harness.status import LOCATION, Status
from harness.topics import Subscriber, publish, publishing, topics
from harness.waiting import eventually

# What a client does not read waits in the server: little of it in the sockets' buffers.
SIZE = 60_000
COUNT = 60
RECEIVE_BUFFER = 4096


def configuration(server):
    buffer = ("WebSocketSendBuffer 64K",)
    return (
        "WebSocketTopicMemory 64M\nSendBufferSize 65536\n"
        + LOCATION
        # Counted from when its Close is queued, behind what it has not read yet.
        + topics("/close", *buffer, "WebSocketCloseTimeout 1min")
        + topics("/drop", *buffer, "WebSocketTopicSlow drop")
        + topics("/latest", *buffer, "WebSocketTopicSlow latest",
                 "WebSocketTopic /latest/a", "WebSocketTopic /latest/b")
        + publishing("/publish")
    )


@pytest.fixture
def keep():
    """Enters what it is given, until the test's end."""
    with ExitStack() as stack:
        yield stack.enter_context


def fill(httpd, topic, count=COUNT):
    for number in range(count):
        body = f"{number}:".ljust(SIZE, ".")
        assert publish(httpd, f"/publish{topic}", body).status == 201


def number_of(text):
    return int(text.partition(":")[0])


def test_ws_794_01_a_slow_one_is_closed_and_loses_nothing_when_it_comes_back(httpd, keep):
    slow = keep(Subscriber(httpd, "/close/x", receive_buffer=RECEIVE_BUFFER))
    quick = keep(Subscriber(httpd, "/close/x"))
    for number in range(COUNT):
        publish(httpd, "/publish/x", f"{number}:".ljust(SIZE, "."))
        # It is not delayed by the other.
        assert number_of(quick.next()["data"]) == number
    seen = 0
    while (received := slow.client.receive_frame()).opcode == TEXT:
        slow_message = json.loads(received.text)
        assert number_of(slow_message["data"]) == seen
        slow.id = slow_message["id"]
        seen += 1
    assert (received.opcode, received.close_code) == (CLOSE, 1013)
    assert received.payload[2:] == b"slow"
    assert 0 < seen < COUNT
    back = keep(Subscriber(httpd, "/close/x", slow.id))
    assert back.hello["recovered"] is True
    rest = [number_of(data) for data in back.data(COUNT - seen)]
    assert rest == list(range(seen, COUNT))


def test_ws_794_02_a_plain_slow_one_is_closed_as_well(httpd, keep):
    slow = keep(httpd.open("/close/plain", receive_buffer=RECEIVE_BUFFER))
    fill(httpd, "/plain")
    seen = 0
    while (received := slow.receive_frame()).opcode == TEXT:
        assert number_of(received.text) == seen
        seen += 1
    assert (received.close_code, received.payload[2:]) == (1013, b"slow")


def test_ws_794_03_what_is_dropped_is_told_before_the_next_message(httpd, keep):
    slow = keep(Subscriber(httpd, "/drop/y", receive_buffer=RECEIVE_BUFFER))
    fill(httpd, "/y")
    dropped, numbers, told = 0, [], []
    while dropped + len(numbers) < COUNT:
        message = slow.next()
        if "dropped" in message:
            dropped += message["dropped"]
            told.append(len(numbers))
        else:
            # So many are missing as it has been told of.
            assert number_of(message["data"]) == len(numbers) + dropped
            numbers.append(number_of(message["data"]))
    assert dropped and told
    publish(httpd, "/publish/y", "99:")
    assert number_of(slow.next()["data"]) == 99


def test_ws_794_04_the_latest_of_each_topic_is_what_a_slow_one_gets(httpd, keep):
    slow = keep(Subscriber(httpd, "/latest", receive_buffer=RECEIVE_BUFFER))
    for number in range(COUNT):
        for topic in "ab":
            publish(httpd, f"/publish/latest/{topic}", f"{number}:".ljust(SIZE, "."))
    last, dropped = {"/latest/a": -1, "/latest/b": -1}, 0
    messages, ids = 0, []
    while min(last.values()) < COUNT - 1:
        message = slow.next()
        if "dropped" in message:
            dropped += message["dropped"]
            continue
        assert number_of(message["data"]) > last[message["topic"]]
        last[message["topic"]] = number_of(message["data"])
        ids.append(int(message["id"].partition("-")[2]))
        messages += 1
    assert ids == sorted(set(ids))
    assert messages < 2 * COUNT and messages + dropped == 2 * COUNT
    # It is live again.
    publish(httpd, "/publish/latest/a", "100:")
    assert number_of(slow.next()["data"]) == 100


def test_ws_794_05_who_comes_back_for_more_than_the_buffer_gets_all_of_it(httpd, keep):
    with Subscriber(httpd, "/close/long") as first:
        since = first.id
    for number in range(COUNT):
        publish(httpd, "/publish/long", f"{number}:".ljust(SIZE, "."))
    back = keep(Subscriber(httpd, "/close/long", since, receive_buffer=RECEIVE_BUFFER))
    assert back.hello["recovered"] is True
    # What is new comes behind it, and is no reason to close: it has had no time to take it.
    fill(httpd, "/long", 10)
    numbers = [number_of(data) for data in back.data(COUNT + 10)]
    assert numbers == [*range(COUNT), *range(10)]


def test_ws_794_06_what_waits_for_a_slow_one_is_not_more_than_its_buffer(httpd, keep):
    slow = keep(Subscriber(httpd, "/drop/z", receive_buffer=RECEIVE_BUFFER))
    fill(httpd, "/z")
    status = Status(httpd)
    (connection,) = [
        each for each in status.read()["connections"] if each["location"].endswith("/drop")
    ]
    assert connection["queued_bytes"] < (64 << 10) + 2 * SIZE
    assert eventually(lambda: slow.next(), "a message")
