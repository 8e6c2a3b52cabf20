"""The life of a client that follows a topic, comes back to it, and publishes to it over HTTP.

Nobody else publishes to its topic, so that it knows what it has to get: everything in order and once, over as many
WebSockets as it takes, whatever child they are on and however often httpd is restarted meanwhile.
"""

import itertools
import json
from urllib.parse import quote

from harness.asyncclient import AsyncClient
from harness.rawclient import CLOSE, PING, PONG, TEXT, close_frame, frame
from harness.topics import publishing, topics

GOING_AWAY = 1001
_numbers = itertools.count(1)


def places():
    """What the lives need of the configuration.

    The log goes round often enough, and has what a follower may miss while it is away.
    """
    return "WebSocketTopicMemory 2M\n" + topics("/topics", "WebSocketCompression On") + publishing("/publish")


async def follow_a_topic(world, choose):
    follower = _Follower(world, choose, f"/soak/{next(_numbers)}")
    await follower.come()
    for _ in range(choose.randrange(1, 12)):
        await follower.publish(choose.randrange(1, 8))
        if choose.random() < 0.6:
            await follower.read_all()
        if choose.random() < 0.4:
            follower.go()
            await follower.publish(choose.randrange(4))
            await follower.come()
    await follower.read_all()
    await follower.close()


class _Follower:
    """A topic's only publisher, and a subscriber of it."""

    def __init__(self, world, choose, topic):
        self._world = world
        self._choose = choose
        self._topic = topic
        self._client = None
        self._since = None
        self._published = 0
        self._seen = 0

    async def come(self):
        """Subscribes; later, from where it was."""
        query = f"?since={quote(self._since)}" if self._since else ""
        tls = self._world.tls if self._choose.random() < 0.4 else None
        protocol = [("Sec-WebSocket-Protocol", "topics.json")]
        path = f"/topics{self._topic}{query}"
        self._client = await AsyncClient.open(self._world.server, path, tls=tls, headers=protocol)
        hello = await self._next()
        if hello is None:  # told to go before that
            return await self.come()
        assert hello["topics"] == [self._topic], hello
        assert ("recovered" in hello) == (self._since is not None), hello
        assert hello.get("recovered", True), hello
        self._since = hello["id"]

    def go(self):
        """Leaves without a word, with or without reading what has come."""
        if self._choose.random() < 0.5:
            self._client.reset()
        else:
            self._client.vanish()

    async def publish(self, count):
        for _ in range(count):
            size = int(2 ** self._choose.uniform(0, 14))
            body = f"{self._published}:".ljust(size, "x").encode()
            fields = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
            await self._world.request(self._choose, f"/publish{self._topic}", fields, (201, 202), "POST", body)
            self._published += 1

    async def read_all(self):
        while self._seen < self._published:
            message = await self._next()
            if message is None:
                self._world.counts["told to go"] += 1
                await self.come()
                continue
            assert message["topic"] == self._topic, message
            number, _, rest = message["data"].partition(":")
            assert int(number) == self._seen, f"{number} came where {self._seen} was due"
            assert not rest.strip("x"), "damaged"
            self._seen += 1
            self._since = message["id"]
            self._world.counts["deliveries"] += 1

    async def close(self):
        self._client.write(close_frame(1000))
        message = await self._next()
        assert message is None, message

    async def _next(self):
        """The next message; `None` when the WebSocket has been closed."""
        while True:
            received = await self._client.receive_frame()
            if received.opcode == PING:
                self._client.write(frame(PONG, received.payload))
            elif received.opcode == CLOSE:
                assert received.close_code in (1000, GOING_AWAY), received.close_code
                if received.close_code == GOING_AWAY:
                    self._client.write(close_frame(GOING_AWAY))
                assert await self._client.reader.read() == b"", "bytes follow the Close frame"
                self._client.vanish()
                return None
            else:
                assert received.opcode == TEXT and not received.rsv, received
                return json.loads(received.text)
