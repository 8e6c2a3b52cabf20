#!/usr/bin/env python3
"""A graceful restart under thousands of WebSockets that echo, with figures.

    test/deploy/run.py [--clients 5000] [--drain 20] [--mpm event] [--pause 1]

Starts a private httpd of the built module (the environment variables are those of the suites, see
test/README.md), opens the WebSockets, has each send a message and check its answer again and again,
requests a page all the time beside them, and restarts httpd gracefully. Fails when an answer or a
response is lost or wrong, when a WebSocket is refused, or when the old child stays.
"""

import argparse
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "pytest"))

from harness.asyncclient import run  # noqa: E402
from harness.deploy import Deploy, configuration, exchanged  # noqa: E402
from harness.httpd import Httpd  # noqa: E402
from harness.processes import many_descriptors  # noqa: E402

_PATIENCE = 120.0


def main():
    options = parse_options()
    with many_descriptors(2 * options.clients + 500):
        workers = 64 if options.mpm == "event" else 3 * options.clients
        server = Httpd(options.mpm, workers=workers)
        try:
            server.configure(configuration(options.drain))
            server.start()
            deploy = Deploy(server, options.clients, pause=options.pause)
            outcome = run(deploy.run(), patience=_PATIENCE + options.drain)
            messages = exchanged(server, outcome)
            server.stop()
            server.error_log.verify()
        finally:
            server.stop()
            server.remove()
    report(options, outcome)
    return check(outcome, messages)


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--clients", type=int, default=5000)
    parser.add_argument("--drain", type=float, default=20.0, help="WebSocketDrainTimeout, seconds")
    parser.add_argument("--mpm", default="event")
    parser.add_argument("--pause", type=float, default=1.0, help="between messages, seconds")
    return parser.parse_args()


def report(options, outcome):
    told = outcome.told()
    quarters = [0] * 4
    for after in told:
        quarters[min(3, int(after / options.drain * 4))] += 1
    rows = [
        ("WebSockets open at the signal", len(told)),
        ("messages answered", sum(seen.answers for seen in outcome.visits.values())),
        ("told to go after, seconds: first, median, last",
         f"{told[0]:.2f}, {statistics.median(told):.2f}, {told[-1]:.2f}"),
        ("told to go in each quarter of the drain", ", ".join(map(str, quarters))),
        ("back in an old child, and told again", outcome.told_twice()),
        ("slowest opening after the signal, seconds", f"{outcome.slowest_opening:.3f}"),
        ("requests answered", outcome.requests),
        ("slowest request, seconds", f"{outcome.slowest_request:.3f}"),
        ("old children gone after, seconds", f"{outcome.gone_after:.2f}"),
    ]
    print(f"{options.clients} WebSockets, {options.mpm}, WebSocketDrainTimeout {options.drain:g}s")
    for name, value in rows:
        print(f"  {name:50} {value}")


def check(outcome, messages):
    """The exit status: whether every message that the plugin was given has its answer."""
    lost = [
        (name, seen, messages[name]) for name, seen in outcome.visits.items()
        if messages[name] != (seen.answers, seen.answers)
    ]
    for name, seen, (came, went) in lost[:10]:
        print(f"{name}: {came} messages came, {went} went, {seen.answers} arrived")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
