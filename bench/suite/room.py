"""One message to many: what each delivery costs."""

from .servers import EVENT
from .tables import figure, middle, table

MEMBERS, SIZE = 1_000, 1_024
DEPTHS = (1, 16)
WAYS = {"/room": "by a plugin", "/topic": "by a topic"}


def measure(fleet, client, settings, results):
    """One of the WebSockets sends, all receive; `depth` messages have not reached everybody yet."""
    server = fleet.start(EVENT)
    cells = [(path, depth) for path in WAYS for depth in DEPTHS]
    rounds = {cell: [] for cell in cells}
    for _ in range(settings.rounds):
        for path, depth in cells:
            window = (settings.window, settings.warm_up)
            result = client.room(server, path, MEMBERS, SIZE, depth, *window)
            rounds[path, depth].append(result or {})
    fleet.stop(server)
    rows = []
    for path, depth in cells:
        of = {
            metric: middle([result.get(metric) for result in rounds[path, depth]])
            for metric in ("per_second", "cpu_us", "p50_us", "p99_us")
        }
        if path == "/room":
            results["room", depth] = of["cpu_us"]
        latency = " / ".join(figure(of[metric]) for metric in ("p50_us", "p99_us"))
        label = "one message at a time" if depth == 1 else f"{depth} in flight"
        rows.append([f"{WAYS[path]}, {label}", figure(of["per_second"]), figure(of["cpu_us"], 2), latency])
    heads = ["event", "deliveries per second", "server CPU time for each, µs", "p50 / p99 of a delivery, µs"]
    yield table(f"A room: 1 KiB from one WebSocket to {MEMBERS:,}", heads, rows)
