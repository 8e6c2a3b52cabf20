"""Echoes: how many, how fast, and at what price."""

from .servers import EVENT, LIBWEBSOCKETS
from .tables import bytes_name, figure, middle, ratio, table, times

MIB = 1 << 20


class Cell:
    """One kind of load, and what every server made of it, round by round."""

    def __init__(self, connections, size, depth, level=None, tls=False):
        self.connections = connections
        self.size = size
        self.depth = depth
        # Of compression.
        self.level = level
        self.tls = tls
        self.rounds = {}

    def __str__(self):
        many = "connection" if self.connections == 1 else "connections"
        flight = f", {self.depth} in flight" if self.depth > 1 else ""
        level = f", level {self.level}" if self.level else ""
        tls = ", TLS" if self.tls else ""
        return f"{bytes_name(self.size)}, {self.connections} {many}{flight}{level}{tls}"

    def measure(self, servers, client, settings):
        self.rounds = {server.name: [] for server in servers}
        for number in range(settings.rounds):
            # Each round begins with another server.
            first = number % len(servers)
            for server in servers[first:] + servers[:first]:
                result = client.echo(
                    server, self.connections, self.size, self.depth, settings.window, settings.warm_up
                )
                self.rounds[server.name].append(result or {})
        return self

    def values(self, name, metric):
        return [result.get(metric) for result in self.rounds.get(name, ())]

    def ratio(self, metric, other):
        """Of this module on event to another server."""
        return ratio(self.values(EVENT, metric), self.values(other, metric))


def small(fleet, client, settings, results):
    """Messages per second, CPU time and latency of small messages."""
    if settings.quick:
        cells = [Cell(1, 64, 1), Cell(10, 64, 1), Cell(100, 64, 1), Cell(100, 64, 16), Cell(100, 1024, 1)]
    else:
        cells = [
            Cell(connections, size, depth)
            for depth in (1, 16) for size in (64, 1024) for connections in (1, 10, 100)
        ]
    names = run(fleet, client, settings, cells, results)
    peers = fleet.peers()
    yield metric_table("Messages per second", "per_second", 0, cells, names, peers)
    yield metric_table("Server CPU time per message, µs", "cpu_us", 2, cells, names, peers)
    yield latency_table(cells, names)


def bulk(fleet, client, settings, results):
    """Megabytes per second of large messages."""
    cells = [Cell(1, MIB, 1)]
    if not settings.quick:
        cells = [Cell(connections, size, 1) for size in (65536, MIB) for connections in (1, 10)]
    names = run(fleet, client, settings, cells, results)
    peers = fleet.peers()
    yield metric_table("Large messages: MB/s in each direction", "mb_per_second", 0, cells, names, peers)
    yield metric_table("Large messages: server CPU time per message, µs", "cpu_us", 0, cells, names, peers)


def encrypted(fleet, client, settings, results):
    """Small messages over TLS, beside the one peer that has it built in."""
    if not fleet.has_tls():
        yield "No mod_ssl or no openssl: echoes over TLS are not measured."
        return
    cells = [Cell(100, 64, 1, tls=True)]
    servers = [fleet.start(name, tls=True) for name in fleet.names((EVENT, LIBWEBSOCKETS))]
    for cell in cells:
        results["tls", cell.connections, cell.size, cell.depth] = cell.measure(servers, client, settings)
    names = [server.name for server in servers]
    fleet.stop(*servers)
    yield metric_table("TLS: messages per second", "per_second", 0, cells, names, [LIBWEBSOCKETS])
    yield metric_table("TLS: server CPU time per message, µs", "cpu_us", 2, cells, names, [LIBWEBSOCKETS])


def run(fleet, client, settings, cells, results):
    servers = [fleet.start(name) for name in fleet.names()]
    for cell in cells:
        cell.measure(servers, client, settings)
        results[cell.connections, cell.size, cell.depth] = cell
    fleet.stop(*servers)
    return [server.name for server in servers]


def metric_table(title, metric, digits, cells, names, peers):
    peers = [name for name in peers if name in names]
    heads, rows = ["", *names], []
    # Among several there is one ratio: to the best.
    if len(peers) == 1:
        heads.append(f"event ÷ {peers[0]}")
    elif peers:
        heads += ["event ÷ the best peer", "which is"]
    for cell in cells:
        row = [str(cell), *(figure(middle(cell.values(name, metric)), digits) for name in names)]
        if peers:
            best = best_of(cell, metric, peers)
            row.append(times(cell.ratio(metric, best)))
        if len(peers) > 1:
            row.append(best)
        rows.append(row)
    return table(title, heads, rows)


def best_of(cell, metric, peers):
    """Of CPU time, less is better."""
    sign = 1 if metric == "cpu_us" else -1
    measured = [name for name in peers if middle(cell.values(name, metric))]
    return min(measured or peers, key=lambda name: sign * (middle(cell.values(name, metric)) or 0))


def latency_table(cells, names):
    rows = [
        [str(cell)]
        + [
            " / ".join(figure(middle(cell.values(name, metric))) for metric in ("p50_us", "p99_us"))
            for name in names
        ]
        for cell in cells
    ]
    return table("Latency, p50 / p99, µs", ["", *names], rows)
