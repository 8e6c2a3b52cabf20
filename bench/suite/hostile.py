"""Clients that behave, beside clients that do not."""

import time

from .servers import EVENT, Compression
from .tables import figure, middle, ratio, table, times

# Of each kind, so many at once.
KINDS = {
    "announce 2^62 bytes": ("announce", 1000),
    "never read": ("unread", 100),
    "never finish a handshake": ("handshake", 20),
    "open and vanish": ("vanish", 20),
    "fragments of one byte": ("fragments", 20),
    "pings": ("pings", 20),
    "1 MiB that inflates to 1 GiB": ("bomb", 20),
}
OTHERS = 10


def measure(fleet, client, settings, _results):
    """The p99 of others on the same server, on another one while that server is plagued, and in peace.

    What a second server feels is the machine; the difference is what the module lets one client do to another.
    """
    rounds = 2 if settings.quick else 7
    rows = []
    for label, (kind, count) in KINDS.items():
        # The others do not offer it.
        directives = Compression().directives() if kind == "bomb" else []
        plagued, beside = (fleet.start(EVENT, directives=directives) for _ in range(2))
        same, other, peace = [], [], []
        for _ in range(rounds):
            peace.append(p99(client, beside, settings))
            with client.plague(plagued, kind, count) as clients:
                time.sleep(0.2)
                other.append(p99(client, beside, settings))
                same.append(p99(client, plagued, settings))
            if clients.opened != count:
                client.complaints.append(f"hostile: {clients.opened} of {count} {kind}")
        fleet.stop(plagued, beside)
        p99s = (figure(middle(each)) for each in (peace, other, same))
        rows.append([label, figure(count), *p99s, times(ratio(same, other))])
    heads = [
        "event", "hostile clients", "p99 without them, µs", "p99 on another server beside them, µs",
        "p99 on the same server, µs", "same ÷ other",
    ]
    yield table(f"Echo of 64 B on {OTHERS} connections beside hostile clients", heads, rows)


def p99(client, server, settings):
    result = client.echo(server, OTHERS, 64, 1, settings.window, settings.warm_up)
    return (result or {}).get("p99_us")
