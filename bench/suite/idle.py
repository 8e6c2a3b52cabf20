"""WebSockets that are open and silent: their memory, the time to open them, and how many there can be."""

import resource
import time

from .servers import EVENT, STATIC_FILE, TCP, WORKER
from .tables import figure, middle, table

MANY = 10_000
MANY_TLS = 2_000
# Nobody has to try for ever where the limit of open files is generous.
MOST = 40_000


def measure(fleet, client, settings, results):
    rows = []
    rounds = 1 if settings.quick else 3
    for name in fleet.names():
        # On worker each WebSocket has a thread of its own.
        if name not in (WORKER, TCP):
            rows.append(many(fleet, client, name, MANY, rounds, results))
    if fleet.has_tls():
        rows.append(many(fleet, client, EVENT, MANY_TLS, 1, results, tls=True))
    heads = ["", "WebSockets", "KiB for each", "seconds to open them", "still open at the end"]
    yield table("Idle WebSockets", heads, rows)
    yield capacity(fleet, client, results)


def many(fleet, client, name, count, rounds, results, tls=False):
    each, seconds, kept = [], [], []
    for _ in range(rounds):
        server = fleet.start(name, tls=tls)
        # What a server makes at its first connections only is not a connection's.
        with client.hold(server, 20, tls):
            pass
        time.sleep(0.3)
        before = server.memory()
        with client.hold(server, count, tls) as holder:
            time.sleep(0.5)
            if holder.opened:
                each.append((server.memory() - before) / holder.opened)
            holder.close()
            if holder.reason:
                client.complaints.append(f"{name}: {holder.reason}")
            seconds.append(holder.seconds)
            kept.append(holder.kept)
        fleet.stop(server)
    label = name + (", TLS" if tls else "")
    results["idle", label] = middle(each)
    return [
        label, figure(count), figure(middle(each), 1), figure(middle(seconds), 2), figure(middle(kept)),
    ]


def capacity(fleet, client, results):
    """One child with 25 worker threads, up to what the limit of open files allows."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(limit - 200, MOST)
    server = fleet.start(EVENT)
    with client.hold(server, wanted) as holder:
        time.sleep(0.5)
        answer = client.get(server, STATIC_FILE, True, 0.5)
        holder.close()
        if holder.reason:
            client.complaints.append(f"capacity: {holder.reason}")
    fleet.stop(server)
    results["capacity"] = holder.kept
    heads = ["ThreadsPerChild 25", "limit of open files", "tried", "opened", "still open at the end", "GET p99, µs"]
    figures = [limit, wanted, holder.opened, holder.kept, (answer or {}).get("p99_us")]
    return table("WebSockets in one child", heads, [["event", *map(figure, figures)]])
