"""The event driver: many WebSockets on few threads, and plugins and peers that keep one waiting.

The server's children have five worker threads. Each test opens its connections so that some worker
is always free: what httpd does when none is, is not the subject.
"""

import asyncio
import re

import pytest

from harness.asyncclient import AsyncClient, gather, run
from harness.conf import ECHO, RUST_ECHO, example, location, plugin
from harness.processes import many_descriptors, reactor_threads, thread_names
from harness.rawclient import BINARY, TEXT
from harness.waiting import eventually

MPMS = ("event",)
MODULES = ("ssl", "socache_shmcb", "status")
WORKERS = 5
MANY = 500
AT_A_TIME = 3
LEAST, MOST = 3, 24
# Longer than whatever has to be done before it is over.
SLEEP = 4000


def configuration(server):
    certificates = server.certificates
    return (
        f"WebSocketThreads {LEAST} {MOST}\n"
        + "<Location /status>\n  SetHandler server-status\n</Location>\n"
        + location("/echo", example(ECHO))
        + location("/rust/echo", example(RUST_ECHO))
        + location("/sleep", plugin("sleep"))
        + location("/recorder", plugin("recorder"))
        + f"""
{server.listen(server.tls_port)}
SSLSessionCache shmcb:run/ssl(512000)
<VirtualHost *:{server.tls_port}>
  SSLEngine on
  SSLCertificateFile "{certificates.server}"
  SSLCertificateKeyFile "{certificates.server_key}"
</VirtualHost>
"""
    )


@pytest.fixture(scope="module", autouse=True)
def descriptors():
    with many_descriptors(4 * MANY):
        yield


@pytest.fixture(params=["plain", "tls"])
def tls(request, httpd):
    return httpd.certificates.client_context() if request.param == "tls" else None


async def open_many(httpd, path, count, tls=None):
    gate = asyncio.Semaphore(AT_A_TIME)

    async def open_one():
        async with gate:
            return await AsyncClient.open(httpd, path, tls=tls)

    return await gather(*(open_one() for _ in range(count)))


def busy_workers(httpd):
    """How many worker threads the server says are busy, the one that answers excluded."""
    text = httpd.ask("/status?auto").text
    return int(re.search(r"^BusyWorkers: (\d+)$", text, re.MULTILINE)[1]) - 1


def httpd_threads(pid):
    """The number of threads in the child that are not the module's."""
    return sum(not name.startswith("websocket-") for name in thread_names(pid))


@pytest.mark.resources
@pytest.mark.parametrize("path", ["/echo", "/rust/echo"])
def test_ws_560_01_websockets_are_many_more_than_worker_threads(httpd, tls, path):
    children = httpd.children()
    assert len(children) == 1
    # Those that wait, the one that accepts, and the main one.
    threads = WORKERS + 2
    eventually(lambda: httpd_threads(children[0]) == threads, f"{threads} threads of httpd's")

    async def main():
        clients = await open_many(httpd, path, MANY, tls)
        # Nobody's worker is held.
        await asyncio.to_thread(eventually, lambda: busy_workers(httpd) == 0, "idle workers")
        for turn in range(2):
            await gather(*(
                client.echo(f"{turn}: client {number}".encode(), (TEXT, BINARY)[turn])
                for number, client in enumerate(clients)
            ))
            response = await asyncio.to_thread(httpd.ask, "/index.html", tls=tls)
            assert (response.status, response.text) == (200, "<p>index</p>\n")
        assert httpd_threads(children[0]) == threads
        assert reactor_threads(children[0]) <= MOST
        await gather(*(client.close_properly() for client in clients[::2]))
        # The others are untouched.
        await gather(*(client.echo(b"last") for client in clients[1::2]))

    run(main())
    assert httpd.children() == children, "another child was needed"


def test_ws_560_02_pages_are_served_while_all_websockets_are_busy(httpd, tls):
    """As many requests as there are worker threads, at the same time, between the echoes."""

    async def main():
        clients = await open_many(httpd, "/echo", 100, tls)
        pages = 0
        done = False

        async def echo(client):
            for size in (0, 100, 5000, 70_000):
                await client.echo(b"m" * size)

        async def browse():
            nonlocal pages
            while not done:
                response = await asyncio.to_thread(httpd.ask, "/index.html", tls=tls)
                assert response.status == 200
                pages += 1

        browsers = asyncio.gather(*(browse() for _ in range(AT_A_TIME)))
        await gather(*(echo(client) for client in clients))
        done = True
        await browsers
        assert pages >= AT_A_TIME

    run(main())


def test_ws_560_03_plugins_that_sleep_hold_nobody_else_up(httpd, tls):
    (child,) = httpd.children()

    async def main():
        sleepers = await open_many(httpd, "/sleep", 20, tls)
        others = await open_many(httpd, "/echo", 200, tls)
        for sleeper in sleepers:
            await sleeper.send_frame(TEXT, str(SLEEP))
        answers = [asyncio.ensure_future(sleeper.receive_message()) for sleeper in sleepers]
        for turn in range(2):
            await gather(*(client.echo(b"%d" % turn) for client in others))
        awake = sum(answer.done() for answer in answers)
        assert awake == 0, f"{awake} of the sleepers were done before the others"
        # Each is held by a thread of its own, and others are there for the rest.
        assert 20 < reactor_threads(child) <= MOST
        for answer in answers:
            assert (await answer).text == str(SLEEP)

    run(main())


def test_ws_560_04_there_are_never_more_threads_than_configured_and_fewer_afterwards(httpd):
    """More sleep than there may be threads: the rest waits, and all get their turn."""
    (child,) = httpd.children()
    most = 0

    async def main():
        nonlocal most
        sleepers = await open_many(httpd, "/sleep", 2 * MOST)
        for sleeper in sleepers:
            await sleeper.send_frame(TEXT, "1000")
        answers = [asyncio.ensure_future(sleeper.receive_message()) for sleeper in sleepers]
        while pending := [answer for answer in answers if not answer.done()]:
            most = max(most, reactor_threads(child))
            await asyncio.wait(pending, timeout=0.02, return_when=asyncio.FIRST_COMPLETED)
        assert all(answer.result().text == "1000" for answer in answers)

    run(main())
    assert most == MOST
    eventually(lambda: reactor_threads(child) == LEAST, f"{LEAST} threads for WebSockets", 40)


def test_ws_560_05_messages_to_a_slow_plugin_keep_their_order_although_threads_are_free(httpd, tls):
    async def main():
        client = await AsyncClient.open(httpd, "/sleep", tls=tls)
        texts = ["200", "0", "100", "1", "0"]
        for text in texts:
            await client.send_frame(TEXT, text)
        assert [(await client.receive_message()).text for _ in texts] == texts
        await client.close_properly()

    run(main())


def test_ws_560_06_a_worker_is_free_again_while_its_websocket_is_silent(httpd, tls):
    """Every worker thread opens a hundred WebSockets that say nothing at all."""
    recorder = httpd.recorder()
    count = 100 * WORKERS

    async def main():
        clients = await open_many(httpd, "/recorder", count, tls)
        await asyncio.to_thread(eventually, lambda: busy_workers(httpd) == 0, "idle workers")

    run(main())
    recorder.wait_for_ends(count)
