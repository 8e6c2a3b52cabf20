"""What the event driver is to reach, and what this run has measured of it."""

from .http import CROWDED
from .servers import LIBWEBSOCKETS, TUNGSTENITE
from .tables import figure, table, times

MIB = 1 << 20
# By what `topics.lines` calls them.
TOPICS = (
    (("topics", 1, 1024, 1, False, "cpu_us"), "a topic, 1 KiB to 1,000 in one child, µs per delivery, one at a time", "4.5"),
    (("topics", 1, 1024, 16, False, "cpu_us"), "the same, 16 in flight", "1.2"),
    (("topics", 4, 1024, 1, False, "cpu_us"), "the same on 4 children, one at a time", "5"),
    (("topics", 4, 1024, 16, False, "cpu_us"), "the same on 4 children, 16 in flight", "1.4"),
    (("topics", 4, 1024, 1, True, "last_p50_us"), "published over HTTP to the last of 100 on 4 children, p50, µs", "1,000"),
    (("topics", 4, 1024, 1, True, "last_p99_us"), "the same, p99, µs", "5,000"),
    (("topics", 1, 64, 64, False, "per_second"), "64 B to 1,000 in one child, deliveries per second", "1,000,000"),
)


def table_rows(results):
    small, large = results.get((100, 64, 1)), results.get((1, MIB, 1))
    if small:
        yield (
            "64 B echo, 100 connections, messages/s beside libwebsockets", "0.8 ×", "1.0 ×",
            times(small.ratio("per_second", LIBWEBSOCKETS)),
        )
        yield (
            "server CPU per 64 B message, 100 connections, beside libwebsockets", "1.3 ×", "1.0 ×",
            times(small.ratio("cpu_us", LIBWEBSOCKETS)),
        )
    if large:
        yield (
            "1 MiB text echo, one connection, beside tokio-tungstenite", "1.0 ×", "1.2 ×",
            times(large.ratio("mb_per_second", TUNGSTENITE)),
        )
    secret = results.get(("tls", 100, 64, 1))
    if secret:
        yield (
            "server CPU per 64 B message over TLS, 100 connections, beside libwebsockets", "1.1 ×", "0.9 ×",
            times(secret.ratio("cpu_us", LIBWEBSOCKETS)),
        )
    for depth, label, reach, aim in ((1, "one at a time", "4.5", "3.8"), (16, "16 in flight", "1.2", "0.7")):
        if ("room", "/room", depth) in results:
            yield (
                f"one message to 1,000 WebSockets, server CPU µs per delivery, {label}", reach, aim,
                figure(results["room", "/room", depth], 2),
            )
        for path, way in (("/room", "by a plugin"), ("/topic", "by a topic")):
            if ("floor", path, depth) in results:
                # The bare room's figure was 3.5 µs when the targets were set, one at a time.
                beside = times(float(reach) / 3.5) if depth == 1 else "–"
                aimed = times(float(aim) / 3.5) if depth == 1 and path == "/room" else "–"
                yield (
                    f"the same {way}, beside a bare room, {label}", beside, aimed,
                    times(results["floor", path, depth]),
                )
    for key, label, reach in TOPICS:
        if key in results:
            yield label, reach, "–", figure(results[key], 2 if key[-1] == "cpu_us" else 0)
    if ("handshakes", "per_second") in results:
        yield (
            "opening handshakes per second beside a static GET on a new connection", "0.95 ×", "1.0 ×",
            times(results["handshakes", "per_second"]),
        )
    for label, name, reach, aim in (("event", "plain", "18", "12"), ("event, TLS", "TLS", "44", "36")):
        if ("idle", label) in results:
            yield (
                f"memory per idle WebSocket, {name}, KiB", reach, aim, figure(results["idle", label], 1),
            )
    if "capacity" in results:
        yield (
            "WebSockets open in one child with ThreadsPerChild 25", "15,000", "the file limit",
            figure(results["capacity"]),
        )
    for fresh, kind in ((False, "kept alive"), (True, "new connections")):
        if ("http", CROWDED, fresh) in results:
            yield (
                f"static GET p99 with 10,000 idle WebSockets, beside none, {kind}", "1.5 ×", "1.1 ×",
                times(results["http", CROWDED, fresh]),
            )
    if "heartbeats" in results:
        yield ("10,000 idle WebSockets with heartbeats, % of one core", "2", "1", figure(results["heartbeats"], 2))


def summary(results):
    rows = [list(row) for row in table_rows(results)]
    return table("Targets", ["", "reach", "aim", "measured"], rows)
