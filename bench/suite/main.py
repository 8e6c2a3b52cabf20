"""The command line, and the order of things."""

import argparse
import os
import resource
import shlex
import signal
import sys
import tempfile

from . import (
    compression, counts, echo, handshakes, heartbeats, hostile, http, idle, machine, room, targets, topics,
)
from .build import Unusable, build
from .client import Client
from .servers import Fleet

GROUPS = {
    "echo": echo.small,
    "bulk": echo.bulk,
    "tls": echo.encrypted,
    "room": room.measure,
    "topics": topics.measure,
    "handshake": handshakes.measure,
    "compression": compression.echoes,
    "idle": idle.measure,
    "compression-idle": compression.idle,
    "http": http.measure,
    "heartbeats": heartbeats.measure,
    "hostile": hostile.measure,
}


class Settings:
    """How long and how often."""

    def __init__(self, quick):
        self.quick = quick
        self.rounds = 2 if quick else 7
        self.window = 0.3 if quick else 0.4
        self.warm_up = 0.1


def main():
    arguments = parse_arguments()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    raise_file_limit()
    try:
        programs = build()
    except Unusable as reason:
        print(f"bench/run: {reason}", file=sys.stderr)
        return 1
    settings = Settings(arguments.quick)
    client = Client(programs.wsbench)
    results = {}
    with tempfile.TemporaryDirectory(prefix="mod_websocket-bench-") as folder:
        # The children of a server that root starts are another user.
        os.chmod(folder, 0o755)
        with Fleet(programs, folder, arguments.beside, arguments.beside_room) as fleet:
            print(machine.description(programs), end="\n\n", flush=True)
            for name in arguments.groups:
                for table in GROUPS[name](fleet, client, settings, results):
                    print(table, end="\n\n", flush=True)
            if arguments.instructions:
                print(counts.instructions(fleet, client), end="\n\n", flush=True)
                print(counts.instructions_of_openings(fleet, client), end="\n\n", flush=True)
            if arguments.syscalls:
                print(counts.system_calls(fleet, client), end="\n\n", flush=True)
            # Compression has none.
            if results:
                print(targets.summary(results), flush=True)
            fleet.stop()
            complaints = fleet.complaints + client.complaints
    for complaint in complaints:
        print(f"bench/run: {complaint}", file=sys.stderr)
    return 1 if complaints else 0


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="bench/run",
        description="Measures mod_websocket beside other echo servers and prints Markdown tables.",
    )
    parser.add_argument("--quick", action="store_true", help="fewer cells and rounds: about two minutes")
    parser.add_argument(
        "--only", action="append", choices=GROUPS, metavar="GROUP", help="one of " + ", ".join(GROUPS)
    )
    parser.add_argument(
        "--instructions", action="store_true", help="instructions per message, by valgrind's callgrind"
    )
    parser.add_argument("--syscalls", action="store_true", help="system calls per message, by strace")
    parser.add_argument(
        "--beside", action="append", default=[], type=shlex.split, metavar="COMMAND",
        help="one more echo server, on /echo of 127.0.0.1: the command gets the port as its last word",
    )
    parser.add_argument(
        "--beside-room", action="append", default=[], type=shlex.split, metavar="COMMAND",
        help="one more room: what one WebSocket on /room sends goes to all; the command is as of --beside",
    )
    arguments = parser.parse_args()
    counting = arguments.instructions or arguments.syscalls
    arguments.groups = arguments.only or ([] if counting else list(GROUPS))
    return arguments


def raise_file_limit():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
