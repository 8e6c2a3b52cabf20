"""Opening handshakes, beside a static page on a connection of its own from the same httpd."""

import time

from .servers import EVENT, STATIC_FILE
from .tables import figure, middle, ratio, table, times

# Under way at a time.
WINDOW = 8
# A closed WebSocket's memory stays for two seconds; those of the last round are gone by then.
PAUSE = 0.3


def measure(fleet, client, settings, results):
    server = fleet.start(EVENT)
    opened, got = [], []
    for number in range(settings.rounds):
        def handshakes():
            opened.append(client.open(server, settings.window, WINDOW) or {})
            time.sleep(PAUSE)

        def pages():
            got.append(client.get(server, STATIC_FILE, True, settings.window, WINDOW) or {})

        # Each goes first in every other round.
        for take in (handshakes, pages) if number % 2 else (pages, handshakes):
            take()
    fleet.stop(server)
    rows = []
    for label, metric, digits in (
        ("per second", "per_second", 0), ("server CPU time for each, µs", "cpu_us", 1),
        ("p50, µs", "p50_us", 0), ("p99, µs", "p99_us", 0),
    ):
        ours, theirs = ([result.get(metric) for result in each] for each in (opened, got))
        share = ratio(ours, theirs)
        results["handshakes", metric] = share
        rows.append([label, figure(middle(ours), digits), figure(middle(theirs), digits), times(share)])
    heads = ["event", "opening handshake", "static GET, a connection for each", "÷"]
    yield table(f"Opening handshakes, {WINDOW} under way", heads, rows)
