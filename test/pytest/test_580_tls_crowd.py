"""A thousand WebSockets under TLS at once, with random messages on some of them at a time."""

import asyncio
import random

import pytest

from harness.asyncclient import AsyncClient, gather, run
from harness.conf import ECHO, RUST_ECHO, example, location
from harness.processes import many_descriptors
from harness.rawclient import BINARY, TEXT

MPMS = ("event",)
MODULES = ("ssl", "socache_shmcb")
WORKERS = 25
MANY = 1000
OPENING = 12  # at a time, so that worker threads are left
TALKING = 60  # at a time
LARGEST = 200_000
MESSAGES = 1400


def configuration(server):
    certificates = server.certificates
    return location("/echo", example(ECHO)) + location("/rust/echo", example(RUST_ECHO)) + f"""
{server.listen(server.tls_port)}
SSLSessionCache shmcb:run/ssl(512000)
<VirtualHost *:{server.tls_port}>
  SSLEngine on
  SSLCertificateFile "{certificates.server}"
  SSLCertificateKeyFile "{certificates.server_key}"
</VirtualHost>
"""


@pytest.fixture(scope="module", autouse=True)
def descriptors():
    with many_descriptors(2 * MANY + 500):
        yield


def test_ws_580_01_a_thousand_at_once_echo_random_messages_of_sixty_at_a_time(httpd):
    context = httpd.certificates.client_context()
    children = httpd.children()
    choose = random.Random(580)
    # Each of them at least once.
    order = [*choose.sample(range(MANY), MANY), *choose.choices(range(MANY), k=MESSAGES - MANY)]
    seeds = iter(enumerate(order))

    async def main():
        gate = asyncio.Semaphore(OPENING)

        async def open_one(number):
            path = "/rust/echo" if number % 2 else "/echo"
            async with gate:
                return await AsyncClient.open(httpd, path, tls=context)

        clients = await gather(*(open_one(number) for number in range(MANY)))
        locks = [asyncio.Lock() for _ in clients]

        async def talk():
            for seed, number in seeds:
                chance = random.Random(seed)
                size = chance.randrange(LARGEST + 1)
                async with locks[number]:
                    if chance.random() < 0.2:
                        await clients[number].echo(b"%d " % seed * (size // 5), TEXT)
                    else:
                        await clients[number].echo(chance.randbytes(size), BINARY)

        await gather(*(talk() for _ in range(TALKING)))
        # All are open still, and nothing is left over on any of them.
        await gather(*(client.echo(b"last") for client in clients))
        await gather(*(client.close_properly() for client in clients[: MANY // 2]))

    run(main(), 90)
    assert httpd.children() == children
