"""What the soak's clients do: whole lives, from opening a WebSocket to one of many ends.

Each life checks what it receives: every echo once, in order and unchanged, up to the moment at which
the server says 1001, which a restart may bring at any time.
"""

import asyncio
import zlib
from collections import Counter, deque

from harness.asyncclient import AsyncClient
from harness.conf import ECHO, RUST_ECHO, example, location, plugin
from harness.hosts import TLS_MODULES, tls_host
from harness.rawclient import (
    BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close_frame, frame,
)

from follower import follow_a_topic, places as topic_places

MODULES = TLS_MODULES
GOING_AWAY = 1001
MAX_MESSAGE = 1 << 20
_COMPRESSED = 4  # RSV1 of the three bits
_TAIL = b"\x00\x00\xff\xff"
_LETTERS = "abc äöü €😀\n"


def configuration(server):
    """A place for each kind of life."""
    heartbeat = "WebSocketPingInterval 500ms", "WebSocketPongTimeout 60s"
    places = {
        "/echo": (example(ECHO), *heartbeat),
        "/rust": (example(RUST_ECHO), *heartbeat),
        "/compressed": (example(ECHO), "WebSocketCompression On", *heartbeat),
        "/alone": (example(RUST_ECHO), "WebSocketCompression On",
                   "WebSocketCompressionContextTakeover Off"),
        "/narrow": (example(ECHO), "WebSocketSendBuffer 16K"),
        "/rpc": (plugin("rpc"),),
        "/threads": (plugin("threads"),),
        "/rate": (example(ECHO), "WebSocketRateLimit 100 20"),
        "/idle": (example(ECHO), "WebSocketIdleTimeout 500ms"),
        "/old": (example(ECHO), "WebSocketMaxLifetime 2s"),
        "/brief": (example(ECHO), "WebSocketPingInterval 200ms", "WebSocketPongTimeout 300ms"),
    }
    return (
        f"WebSocketDrainTimeout 2s\nWebSocketMaxMessageSize {MAX_MESSAGE}\nWebSocketThreads 2 8\n"
        + "".join(location(path, *lines) for path, lines in places.items())
        + topic_places()
        + tls_host(server)
    )


class Told(Exception):
    """The server has closed with 1001, and the client has answered."""


class World:
    """The server that lives are led on, and what they have come to so far."""

    def __init__(self, server):
        self.server = server
        self.tls = server.certificates.client_context()
        self.counts = Counter()

    async def live(self, choose):
        """One life, of a kind that `choose` chooses."""
        (life,) = choose.choices(list(_LIVES), list(_LIVES.values()))
        try:
            await life(self, choose)
        except Told:
            self.counts["told to go"] += 1
        except Exception as error:
            error.add_note(f"in the life of {life.__name__}")
            raise
        self.counts["lives"] += 1

    async def open(self, choose, path, compression=None):
        tls = self.tls if choose.random() < 0.4 else None
        headers = [("Sec-WebSocket-Extensions", "permessage-deflate")] if compression else []
        client = await AsyncClient.open(self.server, path, tls=tls, headers=headers)
        return Talker(client, choose, compression, self.counts)

    async def request(self, choose, path, headers, statuses, method="GET", body=b""):
        """A request on a connection of its own, which has to be answered with one of these."""
        tls = choose.random() < 0.4
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.server.tls_port if tls else self.server.port,
            ssl=self.tls if tls else None, server_hostname="localhost" if tls else None,
        )
        try:
            lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
            lines += [f"{name}: {value}" for name, value in headers]
            if "Connection" not in dict(headers):
                lines.append("Connection: close")
            writer.write("\r\n".join([*lines, "", ""]).encode("ascii") + body)
            answer = await reader.read()
            status = int(answer.split(b" ", 2)[1])
            assert status in statuses, answer[:200]
            self.counts["requests"] += 1
        finally:
            writer.transport.abort()


class Talker:
    """A client that knows what it is still to receive."""

    def __init__(self, client, choose, compression, counts):
        self.client = client
        self._choose = choose
        self._counts = counts
        self._expected = deque()
        self._pings = deque()
        self._is_alone = compression == "alone"
        self._deflate = zlib.compressobj(wbits=-15) if compression else None
        self._inflate = zlib.decompressobj(wbits=-15) if compression else None

    @property
    def outstanding(self):
        return len(self._expected)

    def say(self, opcode, payload):
        """Sends a message that will be echoed, whole or in pieces, with pings between them."""
        self._expected.append((opcode, payload))
        choose, rsv = self._choose, 0
        if self._deflate and choose.random() < 0.9:
            if self._is_alone:
                self._deflate = zlib.compressobj(wbits=-15)
            payload = self._deflate.compress(payload) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
            payload, rsv = payload[:-4], _COMPRESSED
        cuts = sorted(choose.randrange(len(payload) + 1) for _ in range(choose.choice((0, 0, 1, 5))))
        ends = list(zip([0, *cuts], [*cuts, len(payload)], strict=True))
        for number, (begin, end) in enumerate(ends):
            self.client.write(frame(
                CONTINUATION if number else opcode, payload[begin:end],
                fin=number == len(ends) - 1, rsv=0 if number else rsv,
            ))
            if choose.random() < 0.1:
                self._pings.append(choose.randbytes(choose.randrange(126)))
                self.client.write(frame(PING, self._pings[-1]))

    async def hear(self):
        """The next echo, which must be the one that is due."""
        while (received := await self._receive()).opcode not in (TEXT, BINARY):
            pass
        payload = received.payload
        if received.rsv:
            assert received.rsv == _COMPRESSED and self._inflate, received
            if self._is_alone:
                self._inflate = zlib.decompressobj(wbits=-15)
            payload = self._inflate.decompress(payload + _TAIL)
        assert self._expected, f"an echo too many: {payload[:80]}"
        opcode, expected = self._expected.popleft()
        assert received.opcode == opcode, received
        assert payload == expected, f"{payload[:80]} is not {expected[:80]}"
        self._counts["echoes"] += 1

    async def hear_text(self):
        """The text of the next message, of a plugin that does not echo."""
        while (received := await self._receive()).opcode != TEXT:
            pass
        return received.text

    async def _receive(self):
        received = await self.client.receive_frame()
        assert received.fin and not received.masked, received
        if received.opcode == PING:
            self.client.write(frame(PONG, received.payload))
        elif received.opcode == PONG:
            # Of pings that wait only the latest is answered (RFC 6455 §5.5.3).
            while self._pings.popleft() != received.payload:
                pass
        elif received.opcode == CLOSE:
            assert received.close_code == GOING_AWAY, received.close_code
            self.client.write(close_frame(GOING_AWAY))
            await self._see_the_end()
            raise Told
        return received

    async def wait_for_close(self, *codes):
        """A Close with one of `codes`, behind what is still on its way; says which."""
        while (received := await self.client.receive_frame()).opcode != CLOSE:
            if received.opcode == PING:
                self.client.write(frame(PONG, received.payload))
        if received.close_code == GOING_AWAY not in codes:
            await self._see_the_end()
            raise Told
        assert received.close_code in codes, received.close_code
        return received.close_code

    async def _see_the_end(self):
        assert await self.client.reader.read() == b"", "bytes follow the Close frame"
        self.client.vanish()

    # Ends

    async def leave(self):
        """One of many ways to go."""
        await self._choose.choices(*zip(*(
            (self._close, 6), (self._break_the_protocol, 3), (self._vanish, 3),
        )))[0]()

    async def _close(self):
        code = self._choose.choice((1000, 1000, 1001, 3000, 4999, None))
        reason = b"" if code is None else b"bye" * self._choose.randrange(40)
        self.client.write(close_frame(code, reason))
        await self.wait_for_close(code, GOING_AWAY)
        await self._see_the_end()

    async def _break_the_protocol(self):
        data, code = self._choose.choice((
            (frame(TEXT, "x", rsv=2), 1002), (frame(0x3), 1002), (frame(TEXT, "x", mask=None), 1002),
            (frame(PING, "x", fin=False), 1002), (frame(CONTINUATION), 1002),
            (frame(TEXT, b"\xc3\x28"), 1007), (close_frame(1005), 1002),
            (frame(BINARY, length=MAX_MESSAGE + 1), 1009),
        ))
        self.client.write(data)
        await self.wait_for_close(code)
        self.client.write(close_frame(code))
        await self._see_the_end()

    async def _vanish(self):
        if self._choose.random() < 0.5:
            half = frame(BINARY, bytes(5000))[: self._choose.randrange(5000)]
            self.client.write(half)
        if self._choose.random() < 0.5:
            self.client.reset()
        else:
            self.client.vanish()


def _message(choose, largest=17):
    size = int(2 ** choose.uniform(0, largest))
    if choose.random() < 0.5:
        return BINARY, choose.randbytes(size)
    word = "".join(choose.choices(_LETTERS, k=min(size, 50)))
    return TEXT, (word * (size // len(word) + 1)).encode("utf-8")


# Lives

async def converse(world, choose):
    """Messages of all sizes, some of them before the last is answered."""
    path, compression = choose.choice((
        ("/echo", None), ("/rust", None), ("/narrow", None), ("/compressed", "kept"),
        ("/alone", "alone"),
    ))
    talker = await world.open(choose, path, compression)
    window = choose.choice((1, 1, 4, 16))
    for _ in range(choose.randrange(60)):
        talker.say(*_message(choose))
        while talker.outstanding >= window:
            await talker.hear()
        if choose.random() < 0.05:
            await asyncio.sleep(choose.random())
    if choose.random() < 0.8:
        while talker.outstanding:
            await talker.hear()
    await talker.leave()


async def send_much_and_read_slowly(world, choose):
    talker = await world.open(choose, choose.choice(("/echo", "/narrow", "/rust")))
    for _ in range(30):
        talker.say(BINARY, choose.randbytes(60_000))
    while talker.outstanding:
        await asyncio.sleep(0.05)
        await talker.hear()
    await talker.leave()


async def exceed_the_rate(world, choose):
    talker = await world.open(choose, "/rate")
    for _ in range(100):
        talker.say(*_message(choose, largest=8))
    while talker.outstanding:
        await talker.hear()
    await talker.leave()


async def have_threads_send(world, choose):
    talker = await world.open(choose, "/threads")
    talker.client.write(frame(TEXT, "start 50"))
    counts = [0] * 10
    while min(counts) < 50:
        _, thread, _, number = (await talker.hear_text()).split()
        assert int(number) == counts[int(thread)], "out of order, lost or doubled"
        counts[int(thread)] += 1
        world.counts["echoes"] += 1
    await talker.leave()


async def be_closed_by_the_plugin(world, choose):
    talker = await world.open(choose, "/rpc")
    talker.say(BINARY, b"x" * choose.randrange(100_000))
    await talker.hear()
    command, code = choose.choice((("close", None), ("close_with 4001 enough", 4001)))
    talker.client.write(frame(TEXT, command))
    await talker.wait_for_close(code)
    if choose.random() < 0.8:
        talker.client.write(close_frame(code))
        assert await talker.client.reader.read() == b""
    talker.client.vanish()


async def grow_old(world, choose):
    """Until WebSocketIdleTimeout, or WebSocketMaxLifetime."""
    path = choose.choice(("/idle", "/old"))
    talker = await world.open(choose, path)
    try:
        for _ in range(1000):
            talker.say(*_message(choose, largest=10))
            await talker.hear()
            if path == "/idle":
                await talker.hear()
            await asyncio.sleep(0.05)
        raise AssertionError("older than WebSocketMaxLifetime")
    except Told:
        world.counts["timed out"] += 1


async def show_no_life(world, choose):
    talker = await world.open(choose, "/brief")
    try:
        await talker.client.reader.read()
        while await talker.client.reader.read(65536):
            pass
    except ConnectionResetError:
        pass
    talker.client.vanish()


async def be_refused(world, choose):
    path, headers, status = choose.choice((
        ("/echo", (), 426), ("/nowhere", (), 404),
        ("/echo", (("Upgrade", "websocket"), ("Connection", "Upgrade")), 400),
        ("/echo", (("Upgrade", "websocket"), ("Connection", "Upgrade"),
                   ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
                   ("Sec-WebSocket-Version", "13"), ("Origin", "http://elsewhere.example")), 403),
    ))
    await world.request(choose, path, headers, (status,))


async def ask_for_a_page(world, choose):
    for _ in range(5):
        await world.request(choose, "/index.html", (), (200,))


# By how often they are led.
_LIVES = {
    converse: 30,
    send_much_and_read_slowly: 3,
    exceed_the_rate: 2,
    have_threads_send: 4,
    be_closed_by_the_plugin: 5,
    follow_a_topic: 8,
    grow_old: 2,
    show_no_life: 2,
    be_refused: 5,
    ask_for_a_page: 5,
}
