"""One message to many: what each delivery costs."""

from .servers import BARE_ROOM, EVENT
from .tables import figure, middle, ratio, table, times

MEMBERS, SIZE = 1_000, 1_024
DEPTHS = (1, 16)
# What serves a row: the label, and where on the event MPM.
WAYS = {"by a plugin": "/room", "by a topic": "/topic"}
METRICS = ("per_second", "cpu_us", "p50_us", "p99_us")


def measure(fleet, client, settings, results):
    """One of the WebSockets sends, all receive; `depth` messages have not reached everybody yet."""
    names = [EVENT, *fleet.rooms, BARE_ROOM]
    servers = {name: fleet.start(name) for name in names}
    ways = [(way, servers[EVENT], path) for way, path in WAYS.items()]
    ways += [(name, servers[name], "/room") for name in names if name != EVENT]
    rounds = {(way, depth): [] for depth in DEPTHS for way, _, _ in ways}
    for _ in range(settings.rounds):
        for depth in DEPTHS:
            for way, server, path in ways:
                result = client.room(server, path, MEMBERS, SIZE, depth, settings.window, settings.warm_up)
                rounds[way, depth].append(result or {})
        ways.append(ways.pop(0))
    fleet.stop(*servers.values())
    rows = []
    for (way, depth), all_of_it in rounds.items():
        of = {metric: [result.get(metric) for result in all_of_it] for metric in METRICS}
        floor = [result.get("cpu_us") for result in rounds[BARE_ROOM, depth]]
        beside = ratio(of["cpu_us"], floor)
        if way in WAYS:
            results["room", WAYS[way], depth] = middle(of["cpu_us"])
            results["floor", WAYS[way], depth] = beside
        latency = " / ".join(figure(middle(of[metric])) for metric in ("p50_us", "p99_us"))
        label = "one message at a time" if depth == 1 else f"{depth} in flight"
        per_second, cpu = figure(middle(of["per_second"])), figure(middle(of["cpu_us"]), 2)
        rows.append([f"{way}, {label}", per_second, cpu, times(beside), latency])
    heads = [
        "", "deliveries per second", "server CPU time for each, µs", f"beside the {BARE_ROOM}",
        "p50 / p99 of a delivery, µs",
    ]
    yield table(f"A room: 1 KiB from one WebSocket to {MEMBERS:,}", heads, rows)
