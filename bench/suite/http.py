"""A static file while WebSockets are open."""

import time

from .idle import MANY
from .servers import EVENT, LIBWEBSOCKETS, STATIC_FILE, TCP
from .tables import figure, middle, ratio, table, times

ECHOING = 100
QUIET = "no WebSocket"
CROWDED = f"{MANY:,} idle"
BUSY = f"{MANY:,} idle and {ECHOING} echoing flat out"
CONDITIONS = (QUIET, CROWDED, BUSY)


def measure(fleet, client, settings, results):
    window = 0.4 if settings.quick else 0.8
    rounds = 2 if settings.quick else 7
    quiet, crowded = fleet.start(EVENT), fleet.start(EVENT)
    # The same use of the machine by somebody else.
    other = fleet.start(LIBWEBSOCKETS if LIBWEBSOCKETS in fleet.names() else TCP)
    elsewhere = f"no WebSocket, {ECHOING} echoing flat out on {other.name}"
    conditions = (*CONDITIONS, elsewhere)
    taken = {(condition, fresh): [] for condition in conditions for fresh in (False, True)}

    def take(condition, server):
        for fresh in (False, True):
            taken[condition, fresh].append(client.get(server, STATIC_FILE, fresh, window) or {})

    with client.hold(crowded, MANY) as holder:
        for _ in range(rounds):
            take(QUIET, quiet)
            take(CROWDED, crowded)
            with Echoing(client, crowded):
                take(BUSY, crowded)
            with Echoing(client, other):
                take(elsewhere, quiet)
        holder.close()
        if holder.reason or holder.kept != MANY:
            client.complaints.append(f"http: {holder.kept} of {MANY} still open: {holder.reason}")
    fleet.stop(quiet, crowded, other)

    for fresh in (False, True):
        of_quiet = [result.get("p99_us") for result in taken[QUIET, fresh]]
        rows = []
        for condition in conditions:
            p99 = [result.get("p99_us") for result in taken[condition, fresh]]
            share = ratio(p99, of_quiet)
            results["http", condition, fresh] = share
            figures = [
                figure(middle([result.get(metric) for result in taken[condition, fresh]]))
                for metric in ("per_second", "p50_us", "p99_us")
            ]
            rows.append([condition, *figures, times(share)])
        kind = "a new connection for each" if fresh else "one connection kept alive"
        heads = ["event", "GET per second", "p50, µs", "p99, µs", "p99 beside no WebSocket"]
        yield table(f"Static GET, {kind}", heads, rows)


class Echoing:
    """Echoes in the background."""

    def __init__(self, client, server):
        self.process = client.start_echo(server, ECHOING, 64)
        time.sleep(0.3)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
