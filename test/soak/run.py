#!/usr/bin/env python3
"""Everything at once for a long time: `make soak`.

    SOAK_SECONDS=1800 SOAK_SEED=1 TEST_MPM=event test/soak/run.py

Starts a private httpd of the built module (the other environment variables are those of the suites,
see test/README.md), on which clients live, plain and under TLS: see lives.py. After each minute all
leave, and what the server then holds is compared: see measures.py. In every fifth minute httpd is
restarted gracefully, twice, the second time while the first generation still drains.

Fails at the first echo that is lost, doubled or changed, at the first unexpected line of the error
log, and when memory, descriptors or threads have grown. The seed decides what each client does; in
which order it happens to them is the machine's affair.
"""

import asyncio
import itertools
import os
import random
import sys
import tempfile
import time
from pathlib import Path

for folder in (".", "../pytest"):
    sys.path.insert(0, str((Path(__file__).resolve().parent / folder).resolve()))

from harness import settings  # noqa: E402
from harness.asyncclient import gather, run  # noqa: E402
from harness.certificates import Certificates  # noqa: E402
from harness.httpd import Httpd  # noqa: E402
from harness.waiting import eventually  # noqa: E402
from lives import MODULES, World, configuration  # noqa: E402
from measures import Growth, Measure, connection_count  # noqa: E402

CLIENTS = 40
# glibc keeps most of what was freed once, in as many arenas as it likes; memory that grows is then hard to tell from
# memory that lies about.
MALLOC = {
    "MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072",
}
RESTART_EVERY = 5
WARM_UP = 2
# How long the lives that have begun may take to their ends.
PATIENCE = 120.0


def main():
    seconds = float(os.environ.get("SOAK_SECONDS") or 1800)
    seed = int(os.environ.get("SOAK_SEED") or 1)
    mpm = settings.mpms()[0]
    print(f"{mpm}, {seconds:g} seconds, seed {seed}", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        server = Httpd(mpm, modules=MODULES, workers=2 * CLIENTS, environment=MALLOC)
        server.certificates = Certificates(directory)
        try:
            server.configure(configuration)
            server.start()
            problems = soak(server, seconds, seed)
            server.stop()
            server.error_log.verify()
        except BaseException:
            print(server.error_log.tail(), file=sys.stderr)
            raise
        finally:
            server.stop()
            server.remove()
    for problem in problems:
        print(problem)
    print("failed" if problems else "passed")
    return 1 if problems else 0


def soak(server, seconds, seed):
    """Round after round until the time is over; what has grown, if anything."""
    length = min(60.0, max(5.0, seconds / 10))
    nobody = connection_count(server)
    world = World(server)
    growth = Growth(WARM_UP)
    clients = [random.Random(f"{seed}/{number}") for number in range(CLIENTS)]
    problems = []
    end = time.monotonic() + seconds
    for number in itertools.count(1):
        restarts = 2 if number % RESTART_EVERY == 0 else 0
        old = set(server.children()) if restarts else set()
        run(lead(world, clients, length, restarts), patience=length + PATIENCE)
        eventually(lambda: connection_count(server) <= nobody, "all connections to end", 60)
        if restarts:
            eventually(lambda old=old: not old & set(server.children()), "the old children to go", 60)
            growth.restarted()
        server.error_log.verify()
        measure = Measure.take(server)
        problems += growth.problems(measure)
        counts = ", ".join(f"{count} {name}" for name, count in sorted(world.counts.items()))
        print(f"{number}: {counts}; {measure}", flush=True)
        if problems or time.monotonic() >= end:
            return problems


async def lead(world, clients, length, restarts):
    """Has all clients lead lives for so long, with restarts in the middle."""
    begin = time.monotonic()

    async def lead_lives(choose):
        while time.monotonic() - begin < length:
            await world.live(choose)

    async def restart():
        await asyncio.sleep(length / 3)
        for _ in range(restarts):
            await asyncio.to_thread(world.server.graceful)
            world.counts["restarts"] += 1

    await gather(*map(lead_lives, clients), restart())


if __name__ == "__main__":
    sys.exit(main())
