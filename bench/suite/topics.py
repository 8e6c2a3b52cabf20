"""Topics: what is published to one reaches its subscribers, on however many children; beside nchan."""

import time

from .servers import EVENT, NCHAN
from .tables import figure, middle, ratio, table, times

CHILDREN = 4
IDLE = 10_000
# How long idle subscriptions are watched.
WATCH = 4


class Row:
    """One load: on so many children, to so many subscribers, with so many messages in flight; `metrics` are what is looked at."""

    def __init__(self, label, children, subscribers, size, depth, metrics, http=False):
        self.label = label
        self.children = children
        self.subscribers = subscribers
        self.size = size
        self.depth = depth
        self.metrics = metrics
        self.http = http


CPU = ("cpu_us",)
ROWS = (
    Row("1 KiB to 1,000 in one child, one at a time", 1, 1_000, 1_024, 1, CPU),
    Row("the same, 16 in flight", 1, 1_000, 1_024, 16, CPU),
    Row(f"1 KiB to 1,000 on {CHILDREN} children, one at a time", CHILDREN, 1_000, 1_024, 1, CPU),
    Row("the same, 16 in flight", CHILDREN, 1_000, 1_024, 16, CPU),
    Row("64 B to 1,000 in one child, 64 in flight", 1, 1_000, 64, 64, ("per_second", "cpu_us")),
    Row(f"published over HTTP, to the last of 100 on {CHILDREN} children", CHILDREN, 100, 1_024, 1,
        ("last_p50_us", "last_p99_us"), http=True),
)
UNITS = {
    "cpu_us": ("server CPU for a delivery, µs", 2),
    "per_second": ("deliveries per second", 0),
    "last_p50_us": ("p50, µs", 0),
    "last_p99_us": ("p99, µs", 0),
}


def measure(fleet, client, settings, results):
    names = fleet.names((EVENT, NCHAN))
    rows = []
    for children in (1, CHILDREN):
        servers = {name: fleet.start(name, children=children) for name in names}
        for row in (row for row in ROWS if row.children == children):
            rounds = measured(servers, client, settings, row)
            rows += lines(row, rounds, results)
        fleet.stop(*servers.values())
    if NCHAN not in names:
        yield "No nchan: install libnginx-mod-nchan, or name NGINX and NCHAN_MODULE, for its column."
    heads = ["", "", EVENT, *(["nchan", "nchan ÷ event"] if NCHAN in names else [])]
    yield table("Topics", heads, rows)
    yield idle(fleet, client, names, settings, results)


def measured(servers, client, settings, row):
    """By server, what each round says."""
    rounds = {name: [] for name in servers}
    order = list(servers)
    for _ in range(settings.rounds):
        for name in order:
            server = servers[name]
            publish = server.publish_path if row.http else None
            result = client.room(
                server, server.topic_path, row.subscribers, row.size, row.depth, settings.window,
                settings.warm_up, publish=publish,
            )
            rounds[name].append(result or {})
        order.append(order.pop(0))
    return rounds


def lines(row, rounds, results):
    for index, metric in enumerate(row.metrics):
        name, digits = UNITS[metric]
        values = {server: [each.get(metric) for each in all] for server, all in rounds.items()}
        ours = middle(values[EVENT])
        results["topics", row.children, row.size, row.depth, row.http, metric] = ours
        cells = [row.label if index == 0 else "", name, figure(ours, digits)]
        if NCHAN in values:
            theirs = values[NCHAN]
            beside = ratio(theirs, values[EVENT])
            if metric == "per_second":
                beside = ratio(values[EVENT], theirs)
            cells += [figure(middle(theirs), digits), times(beside)]
        yield cells


def idle(fleet, client, names, settings, results):
    """Subscriptions that nobody publishes to, beside WebSockets without one."""
    rows = []
    for name, path in [(EVENT, None), *((name, name) for name in names)]:
        server = fleet.start(name)
        where = server.path if path is None else server.topic_path
        with client.hold(server, 20, path=where):
            pass
        time.sleep(0.3)
        before = server.memory()
        with client.hold(server, IDLE, path=where) as holder:
            time.sleep(0.5)
            each = (server.memory() - before) / holder.opened if holder.opened else None
            cpu = server.cpu()
            time.sleep(WATCH)
            percent = 100 * (server.cpu() - cpu) / WATCH
            holder.close()
            if holder.reason:
                client.complaints.append(f"{name}: {holder.reason}")
        fleet.stop(server)
        label = f"{name}, WebSockets of a plugin" if path is None else f"{name}, subscribers"
        rows.append([label, figure(holder.kept), figure(each, 2), figure(percent, 2)])
        results["topics-idle", label] = each
    heads = ["", "WebSockets", "KiB for each", "% of one core"]
    return table("Idle subscribers of one topic", heads, rows)
