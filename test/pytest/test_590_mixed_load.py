"""Two hundred connections that open, echo, fragment and vanish at random, for a while.

WEBSOCKET_LOAD_SECONDS says how long each of the tests with random load runs. Which connection does
what follows from fixed seeds; only how many take place depends on the time.
"""

import asyncio
import os
import random
import time

import pytest

from harness.asyncclient import AsyncClient, gather, run
from harness.conf import PLUGIN_CLOSE_CODE, location, plugin
from harness.processes import (
    connections, descriptors, many_descriptors, reactor_threads, resident_bytes, thread_names,
)
from harness.rawclient import BINARY, CONTINUATION, PING, PONG, TEXT, close_frame, frame
from harness.waiting import eventually

# prefork takes a process for each connection, which is another test's subject.
MPMS = ("event", "worker")
MODULES = ("ssl", "socache_shmcb")
SECONDS = float(os.environ.get("WEBSOCKET_LOAD_SECONDS") or 20)
MANY = 200
OPENING = 12  # at a time, so that there is always a worker thread left
# Under worker each of them has a thread, and so has for a moment each that has left: httpd starts no other child.
WORKERS = 2 * MANY + 2 * OPENING
LEAST, MOST = 2, 12
SHORT = 5000
MEGABYTE = 1 << 20


def configuration(server):
    certificates = server.certificates
    # Many fewer threads than connections, where the MPM allows it.
    sizing = (
        f"ThreadsPerChild 25\nMaxRequestWorkers 100\nWebSocketThreads {LEAST} {MOST}\n"
        if server.mpm == "event" else ""
    )
    return sizing + location("/recorder", plugin("recorder")) + f"""
{server.listen(server.tls_port)}
SSLSessionCache shmcb:run/ssl(512000)
<VirtualHost *:{server.tls_port}>
  SSLEngine on
  SSLCertificateFile "{certificates.server}"
  SSLCertificateKeyFile "{certificates.server_key}"
</VirtualHost>
"""


@pytest.fixture(scope="module", autouse=True)
def enough_descriptors():
    # Under worker a child wants four for each of its threads.
    with many_descriptors(4 * WORKERS + 500):
        yield


@pytest.fixture(params=["plain", "tls"])
def tls(request, httpd):
    return httpd.certificates.client_context() if request.param == "tls" else None


class Life:
    """One connection from its opening handshake to some end, as the seed has it."""

    def __init__(self, httpd, tls, gate, seed):
        """`tls` is the client's context, or None."""
        self.httpd = httpd
        self.tls = tls
        self.gate = gate
        self.choose = random.Random(seed)
        self.client = None

    async def run(self):
        chance = self.choose
        early = [self.payload() for _ in range(chance.choice((0, 0, 0, 1, 3)))]
        then = b"".join(frame(BINARY, payload) for payload in early)
        async with self.gate:
            self.client = await AsyncClient.open(self.httpd, "/recorder", tls=self.tls, then=then)
        for payload in early:
            assert (await self.client.receive_message()).payload == payload
        for _ in range(chance.randrange(6)):
            await chance.choice((self.echo, self.echo, self.fragment, self.burst))()
        await chance.choice((
            self.close, self.be_closed, self.break_the_protocol, self.vanish_between,
            self.vanish_within, self.vanish_unread, self.reset,
        ))()
        self.client.vanish()

    def payload(self):
        return self.choose.randbytes(int(2 ** self.choose.uniform(0, 17)) - 1)

    async def echo(self):
        await self.client.echo(self.payload())

    async def fragment(self):
        payload = self.payload()
        cuts = sorted(self.choose.randrange(len(payload) + 1) for _ in range(3))
        ends = [*cuts, len(payload)]
        for number, (start, end) in enumerate(zip([0, *cuts], ends)):
            is_last = number == len(ends) - 1
            opcode = CONTINUATION if number else BINARY
            await self.client.send_frame(opcode, payload[start:end], fin=is_last)
            if not is_last and self.choose.random() < 0.3:
                await self.client.send_frame(PING, b"%d" % number)
                pong = await self.client.receive_frame()
                assert (pong.opcode, pong.payload) == (PONG, b"%d" % number)
        assert (await self.client.receive_message()).payload == payload, "another message"

    async def burst(self):
        """Several messages before the first answer is read."""
        payloads = [self.payload() for _ in range(self.choose.randrange(2, 9))]
        for payload in payloads:
            self.client.write(frame(BINARY, payload))
        for payload in payloads:
            assert (await self.client.receive_message()).payload == payload, "another message"

    async def close(self):
        await self.client.close_properly(1000 + self.choose.randrange(4))

    async def be_closed(self):
        """By the plugin; whether from another thread, and whether we stay for it, is chance."""
        await self.client.send_frame(TEXT, self.choose.choice(("close", "close-later")))
        if self.choose.random() < 0.7:
            await self.client.be_closed(PLUGIN_CLOSE_CODE)

    async def break_the_protocol(self):
        await self.client.send_frame(TEXT, b"\xff")
        await self.client.expect_close(1007)

    async def vanish_between(self):
        pass

    async def vanish_within(self):
        data = frame(BINARY, self.payload())
        await self.client.send(data[: self.choose.randrange(len(data))])

    async def vanish_unread(self):
        self.client.write(frame(BINARY, self.choose.randbytes(300_000)))
        if self.choose.random() < 0.5:
            self.client.write(close_frame(1000))

    async def reset(self):
        await self.vanish_within()
        self.client.reset()


def live(httpd, seconds, seed):
    """Lives, MANY at a time, every other one under TLS, one after the other until the time is over;
    says how many."""
    lives = 0
    context = httpd.certificates.client_context()
    end = time.monotonic() + seconds

    async def main():
        gate = asyncio.Semaphore(OPENING)

        async def lives_of(number):
            nonlocal lives
            turn = 0
            while turn == 0 or time.monotonic() < end:
                name = f"{seed}/{number}/{turn}"
                try:
                    await Life(httpd, context if number % 2 else None, gate, name).run()
                except Exception as failure:
                    raise AssertionError(f"in life {name}: {failure!r}") from failure
                turn += 1
                lives += 1

        await gather(*(lives_of(number) for number in range(MANY)))

    run(main(), seconds + 60)
    return lives


class Household:
    """What the children hold, to be compared when nobody is connected."""

    def __init__(self, httpd):
        self.httpd = httpd
        self.children = httpd.children()
        self.wait_until_alone()
        self.threads = self.count_threads()
        self.descriptors = self.count_descriptors()
        self.resident = httpd.resident_bytes()

    def count_threads(self):
        return [len(thread_names(pid)) - reactor_threads(pid) for pid in self.children]

    def count_descriptors(self):
        return [descriptors(pid) for pid in self.children]

    def wait_until_alone(self):
        eventually(lambda: not any(map(connections, self.children)), "no connection")

    def verify(self, room):
        assert self.httpd.children() == self.children, "children were replaced or added"
        self.wait_until_alone()
        eventually(
            lambda: self.count_descriptors() == self.descriptors,
            f"{self.descriptors} descriptors again",
        )
        # The module's own are another test's subject.
        eventually(lambda: self.count_threads() == self.threads, f"{self.threads} threads again")
        grown = sum(map(resident_bytes, self.children)) - self.resident
        assert grown < room, f"{grown} bytes more"


@pytest.mark.timeout(SECONDS + 150)
def test_ws_590_01_a_mixed_load_is_echoed_and_leaves_nothing_behind(httpd):
    recorder = httpd.recorder()
    warm = live(httpd, SECONDS / 4, "warm")
    recorder.wait_for_ends(warm)
    household = Household(httpd)
    recorder = httpd.recorder()
    count = live(httpd, SECONDS * 3 / 4, "load")
    print(f"{warm} and {count} connections")
    recorder.wait_for_ends(count)
    household.verify(16 * MEGABYTE)


def test_ws_590_02_thousands_of_short_websockets_leave_nothing_behind(httpd):
    def come_and_go(count):
        for number in range(count):
            with httpd.open("/recorder") as client:
                client.echo(f"{number}")
                if number % 3:
                    client.close_properly()

    come_and_go(SHORT // 10)
    recorder = httpd.recorder()
    household = Household(httpd)
    come_and_go(SHORT)
    recorder.wait_for_ends(SHORT)
    household.verify(4 * MEGABYTE)


def test_ws_590_03_short_websockets_by_many_at_a_time_leave_nothing_behind(httpd, tls):
    count = 1000

    async def come_and_go():
        gate = asyncio.Semaphore(OPENING)

        async def one(number):
            async with gate:
                client = await AsyncClient.open(httpd, "/recorder", tls=tls)
                await client.echo(b"%d" % number)
                if number % 3:
                    await client.close_properly()
                client.vanish()

        await gather(*(one(number) for number in range(count)))

    recorder = httpd.recorder()
    run(come_and_go())
    recorder.wait_for_ends(count)
    household = Household(httpd)
    recorder = httpd.recorder()
    run(come_and_go())
    recorder.wait_for_ends(count)
    household.verify(4 * MEGABYTE)


def test_ws_590_04_after_all_that_the_least_of_threads_are_left(httpd):
    with httpd.open("/recorder") as client:
        client.echo("the server is there")
        client.close_properly()
    least = LEAST if httpd.mpm == "event" else 0
    for child in httpd.children():
        # One that is not needed any more stays for a while.
        eventually(lambda: reactor_threads(child) == least, f"{least} threads for WebSockets", 40)
