"""One message to many: what each delivery costs."""

from .servers import EVENT
from .tables import figure, middle, table

MEMBERS, SIZE = 1_000, 1_024
DEPTHS = (1, 16)


def measure(fleet, client, settings, results):
    """One of the WebSockets sends, all receive; `depth` messages have not reached everybody yet."""
    server = fleet.start(EVENT)
    rounds = {depth: [] for depth in DEPTHS}
    for _ in range(settings.rounds):
        for depth in DEPTHS:
            result = client.room(server, MEMBERS, SIZE, depth, settings.window, settings.warm_up)
            rounds[depth].append(result or {})
    fleet.stop(server)
    rows = []
    for depth in DEPTHS:
        of = {
            metric: middle([result.get(metric) for result in rounds[depth]])
            for metric in ("per_second", "cpu_us", "p50_us", "p99_us")
        }
        results["room", depth] = of["cpu_us"]
        latency = " / ".join(figure(of[metric]) for metric in ("p50_us", "p99_us"))
        label = "one message at a time" if depth == 1 else f"{depth} in flight"
        rows.append([label, figure(of["per_second"]), figure(of["cpu_us"], 2), latency])
    heads = ["event", "deliveries per second", "server CPU time for each, µs", "p50 / p99 of a delivery, µs"]
    yield table(f"A room: 1 KiB from one WebSocket to {MEMBERS:,}", heads, rows)
