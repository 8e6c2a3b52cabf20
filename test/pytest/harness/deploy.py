"""A graceful restart under many WebSockets that echo, and requests beside them; what came of it."""

import asyncio
import itertools
import time
from dataclasses import dataclass, field

from .asyncclient import AsyncClient, gather
from .conf import location, plugin
from .lines import whole_lines
from .rawclient import CLOSE, TEXT, close_frame, frame
from .waiting import eventually

GOING_AWAY = 1001
_LOG = "deploy.log"


def configuration(drain, *lines):
    """A server that drains for so many seconds, with a log of what each WebSocket has exchanged."""
    return "".join(f"{line}\n" for line in lines) + (
        f"WebSocketDrainTimeout {int(drain * 1000)}ms\n"
        'LogFormat "%q %{websocket-messages-in}n %{websocket-messages-out}n" deploy\n'
        f"CustomLog {_LOG} deploy\n"
        # Its text "pid" is answered with the child's process id, any other is echoed.
        + location("/talk", plugin("threads"))
    )


@dataclass
class Visit:
    """One WebSocket: the child it came to, how many answers it had, and when it was told to go."""

    pid: int | None = None
    answers: int = 0
    told_after: float | None = None


@dataclass
class Outcome:
    """What clients have seen of a graceful restart."""

    visits: dict = field(default_factory=dict)
    requests: int = 0
    slowest_request: float = 0.0
    slowest_opening: float = 0.0
    old: set = field(default_factory=set)
    gone_after: float | None = None

    def told(self):
        """When the WebSockets that were open at the signal were told to go, in seconds after it."""
        return sorted(seen.told_after for (_, visit), seen in self.visits.items() if visit == 0)

    def told_twice(self):
        """Those that came back, and came to an old child that had not stopped to accept yet."""
        return sum(seen.told_after is not None for (_, visit), seen in self.visits.items() if visit)

    def final(self):
        """The children in which the clients were at the end."""
        return {seen.pid for seen in self.visits.values() if seen.told_after is None}


class Deploy:
    """`count` clients that echo, each after a pause, and come back when they are told to go."""

    def __init__(self, server, count, *, pause=0.0):
        self._server = server
        self._count = count
        self._pause = pause
        self._outcome = Outcome()
        self._signalled = None
        self._is_over = False
        # The child in which each client has had an answer, and has not been told to go.
        self._where = {}
        # Not all shake hands at once.
        self._door = asyncio.Semaphore(64)

    async def run(self):
        """Opens all, restarts when they have echoed, and ends when all are in new children."""
        outcome = self._outcome
        clients = asyncio.ensure_future(gather(*map(self._talk, range(self._count))))
        requests = asyncio.ensure_future(gather(*(self._request() for _ in range(4))))
        try:
            await self._until(lambda: len(self._where) == self._count, clients, requests)
            outcome.old = set(self._server.children())
            self._signalled = time.monotonic()
            await asyncio.to_thread(self._server.graceful)
            await self._until(
                lambda: not outcome.old & set(self._server.children()), clients, requests
            )
            outcome.gone_after = time.monotonic() - self._signalled
            await self._until(lambda: len(self._where) == self._count, clients, requests)
            self._is_over = True
            await clients
            await requests
        finally:
            clients.cancel()
            requests.cancel()
        return outcome

    @staticmethod
    async def _until(condition, *others):
        """Waits for the condition, or for the failure of one of the others."""
        while not condition():
            done, _ = await asyncio.wait(others, timeout=0.02,
                                         return_when=asyncio.FIRST_COMPLETED)
            for other in done:
                await other

    async def _talk(self, number):
        for visit in itertools.count():
            seen = self._outcome.visits[number, visit] = Visit()
            async with self._door:
                begin = time.monotonic()
                client = await AsyncClient.open(self._server, f"/talk?{number}.{visit}")
                answer = await self._ask(client, seen, b"pid")
                if self._signalled is not None:
                    took = time.monotonic() - begin
                    self._outcome.slowest_opening = max(self._outcome.slowest_opening, took)
            if answer is not None:
                seen.pid = int(answer.split()[1])
            while seen.told_after is None:
                # From short ones to such that take more than one segment.
                payload = f"{number} {seen.answers} ".encode() * (1 + seen.answers % 300)
                if await self._ask(client, seen, payload) is None:
                    self._where.pop(number, None)
                elif self._is_over:
                    await client.close_properly()
                    return
                else:
                    self._where[number] = seen.pid
                    await asyncio.sleep(self._pause)

    async def _ask(self, client, seen, payload):
        """The answer to a message; None when the server says to go instead."""
        client.write(frame(TEXT, payload))
        received = await client.receive_frame()
        if received.opcode != CLOSE:
            assert payload in (received.payload, b"pid"), "another answer"
            seen.answers += 1
            return received.payload
        assert received.close_code == GOING_AWAY, received.close_code
        seen.told_after = time.monotonic() - self._signalled
        client.write(close_frame(GOING_AWAY))
        assert await client.reader.read() == b"", "bytes follow the Close frame"
        client.vanish()
        return None

    async def _request(self):
        """Requests on connections of their own, each of which must be answered."""
        while not self._is_over:
            begin = time.monotonic()
            reader, writer = await asyncio.open_connection("127.0.0.1", self._server.port)
            try:
                writer.write(b"GET /index.html HTTP/1.1\r\nHost: localhost\r\n"
                             b"Connection: close\r\n\r\n")
                answer = await reader.read()
                assert answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"</p>\n"), answer
            finally:
                writer.close()
            self._outcome.requests += 1
            took = time.monotonic() - begin
            self._outcome.slowest_request = max(self._outcome.slowest_request, took)
            await asyncio.sleep(0.01)


def exchanged(server, outcome):
    """Messages in and out of each WebSocket, as the access log has them, by client and visit."""
    path = server.directory / _LOG

    def complete():
        fields = [line.split() for line in whole_lines(path) if line.startswith("?")]
        found = {
            tuple(map(int, name[1:].split("."))): (int(came), int(went))
            for name, came, went in fields
        }
        return found if set(outcome.visits) <= set(found) else None

    return eventually(complete, "an access log line for each WebSocket")
