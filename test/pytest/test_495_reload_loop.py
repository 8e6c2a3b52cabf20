"""Graceful restarts one upon the other while clients come and go: whoever is let in is answered.

A handshake on a connection of its own gets its 101, and the WebSocket ends with a Close, whichever generation takes
it and however soon that has to go; plain requests beside them are the measure of what httpd itself does.
"""

import asyncio

from harness.asyncclient import AsyncClient, gather, run
from harness.conf import ECHO, example, location
from harness.rawclient import CLOSE, TEXT, close_frame, frame

RELOADS = 15
# More, since few of them meet the moment.
RELOADS_OF_ONE = 40
CLIENTS = {"event": 24, "worker": 16, "prefork": 12}
GOING_AWAY = 1001
# Some say something and go, some stay until they are told to.
STAYING = 3


class Loop:
    """Clients that come back until the reloads are over."""

    def __init__(self, server, *, reloads=RELOADS, requests=4):
        self._server = server
        self._reloads = reloads
        self._requests = requests
        self._is_over = False
        self.told = self.left = self.answered = 0

    async def run(self, numbers):
        clients = asyncio.ensure_future(
            gather(
                *map(self._come_back, numbers), *(self._request() for _ in range(self._requests))
            )
        )
        for _ in range(self._reloads):
            await asyncio.to_thread(self._server.graceful)
            if clients.done():
                break
        self._is_over = True
        await clients

    async def _come_back(self, number):
        while not self._is_over:
            client = await AsyncClient.open(self._server, "/echo")
            await self._talk(client, stays=number % STAYING == 0)
            client.vanish()

    async def _talk(self, client, *, stays):
        client.write(frame(TEXT, "hello"))
        while (received := await client.receive_frame()).opcode == TEXT:
            assert received.text == "hello"
            if self._is_over or not stays:
                break
            await asyncio.sleep(0.01)
            client.write(frame(TEXT, "hello"))
        if received.opcode == TEXT:
            client.write(close_frame(1000))
            self.left += 1
            # It may have been told to go meanwhile.
            received = await client.receive_frame()
            assert (received.opcode, received.close_code in (1000, GOING_AWAY)) == (CLOSE, True)
        else:
            assert (received.opcode, received.close_code) == (CLOSE, GOING_AWAY)
            client.write(close_frame(GOING_AWAY))
            self.told += 1
        assert await client.reader.read() == b"", "bytes follow the Close frame"

    async def _request(self):
        while not self._is_over:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._server.port)
            try:
                writer.write(
                    b"GET /index.html HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                )
                answer = await reader.read()
            finally:
                writer.close()
            assert answer.startswith(b"HTTP/1.1 200 "), answer
            self.answered += 1


def test_ws_495_01_every_handshake_is_answered_through_a_loop_of_reloads(make_httpd, mpm):
    # Each generation drains beside the next ones.
    slots = "" if mpm == "prefork" else "ServerLimit 40\n"
    server = make_httpd(
        mpm, f"{slots}WebSocketDrainTimeout 500ms\n" + location("/echo", example(ECHO))
    ).start()
    loop = Loop(server)
    run(loop.run(range(CLIENTS[mpm])), patience=120)
    assert loop.told and loop.left and loop.answered


def test_ws_495_02_so_is_one_that_comes_when_a_child_has_no_other_connection(make_httpd, mpm):
    """The MPM then waits for the thread that serves it only, and the process goes with that."""
    slots = "" if mpm == "prefork" else "ServerLimit 60\n"
    server = make_httpd(
        mpm, f"{slots}WebSocketDrainTimeout 500ms\n" + location("/echo", example(ECHO))
    ).start()
    loop = Loop(server, reloads=RELOADS_OF_ONE, requests=0)
    # Not one of those that stay.
    run(loop.run([1]), patience=120)
    assert loop.left
