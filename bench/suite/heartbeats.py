"""What it costs to look after WebSockets that are silent."""

import time

from .idle import MANY
from .servers import EVENT
from .tables import figure, table

# Seconds; the default of WebSocketPingInterval.
INTERVAL = 30
INTERVALS = 2


def measure(fleet, client, settings, results):
    """Server CPU time over whole intervals, in which each connection is pinged once and answers."""
    intervals = 1 if settings.quick else INTERVALS
    rows = []
    for label, directives in (
        ("heartbeats off", ["WebSocketPingInterval 0"]), (f"a ping each {INTERVAL} s", []),
    ):
        server = fleet.start(EVENT, directives=directives)
        with client.hold(server, MANY) as holder:
            time.sleep(0.5)
            start, before = time.monotonic(), server.cpu()
            time.sleep(intervals * INTERVAL)
            used, seconds = server.cpu() - before, time.monotonic() - start
            holder.close()
        if holder.reason or holder.kept != MANY:
            client.complaints.append(f"heartbeats: {holder.kept} of {MANY} still open: {holder.reason}")
        fleet.stop(server)
        each = used / (MANY * intervals) * 1e6 if not directives else None
        results["heartbeats"] = used / seconds * 100
        rows.append([label, figure(MANY), figure(used / seconds * 100, 2), figure(each, 1), figure(holder.kept)])
    heads = ["event", "idle WebSockets", "% of one core", "µs for each ping and pong", "still open at the end"]
    yield table("Heartbeats", heads, rows)
