"""permessage-deflate: what it costs a server for each message, and for each connection that is idle."""

import time

from .echo import Cell, metric_table
from .servers import COMPRESSING, EVENT, LIBWEBSOCKETS, ZLIB, Compression
from .tables import bytes_name, figure, middle, table

# Both are compared with: the library that people use, and what zlib itself takes.
OTHERS = (LIBWEBSOCKETS, ZLIB)
# The default, and the fastest.
LEVELS = (6, 1)
# Each may take 400 KiB.
MANY = 1_000


def echoes(fleet, client, settings, _results):
    """Messages of JSON, compressed both ways."""
    loads = [(10, 1024), (100, 1024), (10, 65536)]
    cells, names = [], fleet.names(COMPRESSING)
    for level in LEVELS[:1] if settings.quick else LEVELS:
        servers = [fleet.start(name, compression=Compression(level)) for name in names]
        for connections, size in loads:
            cells.append(Cell(connections, size, 1, level).measure(servers, client, settings))
        fleet.stop(*servers)
    yield metric_table("Compressed both ways: messages per second", "per_second", 0, cells, names, OTHERS)
    yield metric_table("Compressed both ways: server CPU time per message, µs", "cpu_us", 1, cells, names, OTHERS)
    rows = [[str(cell), *(figure(middle(cell.values(name, "payload"))) for name in names)] for cell in cells]
    yield table("Compressed both ways: bytes of an echo's payload", ["", *names], rows)


def idle(fleet, client, settings, _results):
    """Memory of connections that are silent after one compressed message each way."""
    kinds = [
        (EVENT, "no compression", None),
        (EVENT, "15 bits, context takeover", Compression()),
        (EVENT, "15 bits, context takeover, level 1", Compression(level=1)),
        (EVENT, "9 bits, context takeover", Compression(window_bits=9)),
        (EVENT, "15 bits, no context takeover", Compression(context_takeover=False)),
        (EVENT, "9 bits, no context takeover", Compression(window_bits=9, context_takeover=False)),
        (LIBWEBSOCKETS, "no compression", None),
        (LIBWEBSOCKETS, "15 bits, context takeover", Compression()),
        (ZLIB, "15 bits, context takeover", Compression()),
    ]
    names = fleet.names(COMPRESSING)
    sizes = (1024,) if settings.quick else (1024, 65536)
    rows = []
    for name, label, compression in kinds:
        if name in names:
            each = [memory_of_each(fleet, client, name, compression, size) for size in sizes]
            rows.append([f"{name}, {label}", *(figure(kib, 1) for kib in each)])
    title = f"{MANY:,} idle WebSockets after one message each way: KiB for each"
    yield table(title, ["", *(f"message of {bytes_name(size)}" for size in sizes)], rows)


def memory_of_each(fleet, client, name, compression, size):
    """KiB, or None when none could be opened."""
    server = fleet.start(name, compression=compression)
    # What a server makes at its first connections only is not a connection's.
    with client.hold(server, 20, message=size):
        pass
    time.sleep(0.3)
    before = server.memory()
    with client.hold(server, MANY, message=size) as holder:
        time.sleep(0.5)
        after = server.memory()
        holder.close()
    if holder.reason or holder.kept != MANY:
        client.complaints.append(f"{name}: {holder.kept} of {MANY} still open: {holder.reason}")
    fleet.stop(server)
    return (after - before) / holder.opened if holder.opened else None
