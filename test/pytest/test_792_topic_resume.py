"""Clients of topics that come back: exactly what they have missed, or told first that it cannot be."""

import asyncio
import json
import os
import signal
from contextlib import ExitStack

import pytest

from harness.asyncclient import AsyncClient, gather, run
from harness.processes import many_descriptors
from harness.rawclient import CLOSE, TEXT, close_frame
from harness.status import LOCATION, Status
from harness.topics import (
    Subscriber, ask, on_several_children, publish, publishing, several_children, topics,
)

WORKERS = 40
# How many subscribers count during the reloads; prefork has a process for each.
COUNTING = {"event": 200, "worker": 200, "prefork": 40}
RELOADS = 5
GOING_AWAY = 1001


def configuration(server):
    return (
        "WebSocketTopicMemory 64K\n"
        + several_children(server)
        + LOCATION
        + topics("/topics")
        + topics("/pair", "WebSocketTopic /pair/a", "WebSocketTopic /pair/b")
        + topics("/short", "WebSocketTopicHistory 5")
        + topics("/brief", "WebSocketTopicHistory 100 1ms")
        + topics("/none", "WebSocketTopicHistory 0")
        + publishing("/publish")
    )


@pytest.fixture
def keep():
    """Enters what it is given, until the test's end."""
    with ExitStack() as stack:
        yield stack.enter_context


def many(httpd, topic, count, size=0):
    """Publishes so many; gives their ids."""
    return [
        publish(httpd, f"/publish{topic}", f"{number}:".ljust(size, ".")).document["id"]
        for number in range(count)
    ]


def test_ws_792_01_at_each_position_exactly_what_was_missed_comes_before_anything_new(httpd, keep):
    with Subscriber(httpd, "/topics/each") as first:
        ids = [first.id, *many(httpd, "/each", 10)]
    for position, since in enumerate(ids):
        back = keep(Subscriber(httpd, "/topics/each", since))
        assert back.hello == {"topics": ["/each"], "recovered": True, "id": since}
        assert back.data(10 - position) == [f"{number}:" for number in range(position, 10)]
        assert publish(httpd, "/publish/each", f"new {position}").status == 201
        assert back.next()["data"] == f"new {position}"
        # For the next one, it is not new any more.
        assert ask(httpd, "/publish/each", "DELETE").status == 200
        ids_again = many(httpd, "/each", 10)
        ids[1:] = ids_again
        ids[0] = back_to_before(ids_again[0])


def back_to_before(token):
    epoch, _, number = token.partition("-")
    return f"{epoch}-{int(number) - 1}"


def test_ws_792_02_two_topics_are_resumed_in_one_order(httpd, keep):
    with Subscriber(httpd, "/pair") as first:
        since = first.id
    for number in range(20):
        publish(httpd, f"/publish/pair/{'ab'[number % 3 == 0]}", str(number))
        publish(httpd, "/publish/another", "not for it")
    back = keep(Subscriber(httpd, "/pair", since))
    assert back.hello["recovered"]
    messages = [back.next() for _ in range(20)]
    assert [each["data"] for each in messages] == [str(number) for number in range(20)]
    # In the middle of it, with the id of either topic.
    again = keep(Subscriber(httpd, "/pair", messages[7]["id"]))
    assert again.data(12) == [str(number) for number in range(8, 20)]


def test_ws_792_03_another_child_resumes_as_well(httpd, keep):
    with Subscriber(httpd, "/topics/other") as first:
        since = first.id
    many(httpd, "/other", 5)
    everywhere = on_several_children(
        httpd, lambda: keep(Subscriber(httpd, "/topics/other", since))
    )
    for back in everywhere:
        assert back.hello["recovered"] and back.data(5) == [f"{number}:" for number in range(5)]


@pytest.mark.parametrize(
    "path, missed, reason",
    [
        ("/short/x", 6, "more than the history's limits allow"),
        ("/none/x", 1, "more than the history's limits allow"),
        ("/brief/x", 1, "more than the history's limits allow"),
    ],
)
def test_ws_792_04_more_than_the_history_is_told_first(httpd, path, missed, reason):
    topic = "/x"
    with Subscriber(httpd, path) as first:
        since = first.id
    many(httpd, topic, missed)
    if path.startswith("/brief"):
        # The message gets older than that while others are served.
        while not recovered_is_false(httpd, path, since):
            pass
    with Subscriber(httpd, path, since) as back:
        assert back.hello["recovered"] is False and reason in back.hello["reason"]
        publish(httpd, f"/publish{topic}", "new")
        assert back.next()["data"] == "new"


def recovered_is_false(httpd, path, since):
    with Subscriber(httpd, path, since) as back:
        return back.hello["recovered"] is False


def test_ws_792_05_just_as_much_as_the_history_is_resumed(httpd):
    with Subscriber(httpd, "/short/just") as first:
        since = first.id
    many(httpd, "/just", 5)
    with Subscriber(httpd, "/short/just", since) as back:
        assert back.hello["recovered"] and len(back.data(5)) == 5


def test_ws_792_06_nothing_missed_is_recovered_even_without_a_history(httpd):
    with Subscriber(httpd, "/none/still") as first:
        since = first.id
    with Subscriber(httpd, "/none/still", since) as back:
        assert back.hello["recovered"] is True


def test_ws_792_07_what_was_overwritten_is_told(httpd):
    with Subscriber(httpd, "/topics/over") as first:
        since = first.id
    many(httpd, "/over", 40, size=4000)
    with Subscriber(httpd, "/topics/over", since) as back:
        assert back.hello["recovered"] is False
        assert "overwritten" in back.hello["reason"]


@pytest.mark.parametrize(
    "change, reason",
    [
        (lambda token: "0123456789abcdef-" + token.partition("-")[2], "begun anew"),
        (lambda token: token.partition("-")[0] + "-18446744073709551615", "no message"),
    ],
)
def test_ws_792_08_an_id_of_another_log_is_told(httpd, change, reason):
    with Subscriber(httpd, "/topics/foreign") as first:
        since = change(first.id)
    with Subscriber(httpd, "/topics/foreign", since) as back:
        assert back.hello["recovered"] is False and reason in back.hello["reason"]


def test_ws_792_09_what_was_forgotten_is_told(httpd):
    with Subscriber(httpd, "/topics/forgotten") as first:
        since = first.id
    many(httpd, "/forgotten", 3)
    assert ask(httpd, "/publish/forgotten", "DELETE").status == 200
    with Subscriber(httpd, "/topics/forgotten", since) as back:
        assert back.hello["recovered"] is False and "forgotten" in back.hello["reason"]


class Counting:
    """Subscribers that count during reloads, and come back when they are told to go."""

    def __init__(self, server, count):
        self._server = server
        self._count = count
        self._last = None
        self.opened = self.came_back = 0
        self.published = 0

    async def run(self):
        listening = asyncio.ensure_future(gather(*(self._listen() for _ in range(self._count))))
        publishing = asyncio.ensure_future(self._publish())
        await self._until(lambda: self.opened == self._count, listening)
        for reload in range(1, RELOADS + 1):
            await asyncio.to_thread(self._server.graceful)
            # Each is closed once by what the reload replaces.
            await self._until(lambda: self.came_back >= reload * self._count, listening)
        self._last = self.published + 20
        await publishing
        await listening

    async def _until(self, condition, listening):
        for _ in range(3000):
            if condition() or listening.done():
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"{self.opened} were open, {self.came_back} came back")

    async def _publish(self):
        while self._last is None or self.published < self._last:
            body = str(self.published)
            key = [("Idempotency-Key", body)]
            response = await asyncio.to_thread(
                publish, self._server, "/publish/count", body, headers=key
            )
            assert response.status in (201, 202)
            self.published += 1

    async def _listen(self):
        since, next_number = None, None
        while self._last is None or next_number is None or next_number < self._last:
            query = f"?since={since}" if since else ""
            client = await AsyncClient.open(
                self._server, f"/topics/count{query}",
                headers=[("Sec-WebSocket-Protocol", "topics.json")],
            )
            hello = json.loads((await client.receive_message()).text)
            if not since:
                self.opened += 1
            else:
                assert hello.get("recovered") is True, hello
                self.came_back += 1
            since = hello["id"]
            while (received := await client.receive_frame()).opcode == TEXT:
                message = json.loads(received.text)
                number = int(message["data"])
                assert next_number in (None, number), (next_number, message)
                since, next_number = message["id"], number + 1
                if self._last is not None and next_number >= self._last:
                    break
            if received.opcode == CLOSE:
                assert received.close_code == GOING_AWAY
                client.write(close_frame(GOING_AWAY))
            client.vanish()


def test_ws_792_10_reloads_lose_nothing_and_double_nothing(make_httpd, mpm):
    """The subscribers themselves check that each number follows the one before."""
    count = COUNTING[mpm]
    with many_descriptors(4 * count + 500):
        workers = 32 if mpm == "event" else 3 * count
        text = (
            "WebSocketDrainTimeout 300ms\n" + LOCATION
            + topics("/topics", "WebSocketTopicHistory 100000") + publishing("/publish")
        )
        server = make_httpd(mpm, text, workers=workers).start()
        counting = Counting(server, count)
        run(counting.run(), patience=150)
    assert counting.published >= 20
    assert counting.came_back >= RELOADS * count


def test_ws_792_11_a_child_that_is_killed_loses_nothing_to_who_comes_back(httpd, keep):
    subscribers = on_several_children(
        httpd, lambda: keep(Subscriber(httpd, "/topics/dies")), least=2
    )
    many(httpd, "/dies", 3)
    for each in subscribers:
        each.data(3)
    httpd.error_log.expect_death()
    os.kill(Status(httpd).read()["connections"][0]["pid"], signal.SIGKILL)
    many(httpd, "/dies", 3)
    for each in subscribers:
        try:
            assert each.data(3) == ["0:", "1:", "2:"]
        except (EOFError, ConnectionResetError):
            back = keep(Subscriber(httpd, "/topics/dies", each.id))
            assert back.hello["recovered"] and back.data(3) == ["0:", "1:", "2:"]
