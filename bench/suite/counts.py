"""Counts that no other load on the machine changes: instructions and system calls."""

import re
import signal
import subprocess
import threading

from .echo import Cell
from .servers import EVENT, LIBWEBSOCKETS, STATIC_FILE, TUNGSTENITE
from .tables import figure, table

MIB = 1 << 20
NAMES = (EVENT, LIBWEBSOCKETS, TUNGSTENITE)
FEW, MORE = 2_000, 12_000
FEW_OPENINGS, MORE_OPENINGS = 200, 1_200


def instructions(fleet, client):
    """User-space instructions per message: the difference of two runs, without start and opening."""
    if not fleet.programs.valgrind:
        return "No valgrind: install it for the instructions per message."
    cells = [Cell(100, 64, 1), Cell(100, 64, 16), Cell(100, 1024, 1)]
    names = [name for name in NAMES if name in fleet.names()]
    rows = []
    for cell in cells:
        row = [str(cell)]
        for name in names:
            few = instructions_of(fleet, client, name, cell, FEW)
            more = instructions_of(fleet, client, name, cell, MORE)
            row.append(figure((more[1] - few[1]) / (more[0] - few[0])) if few and more else "–")
        rows.append(row)
    return table("User-space instructions per message (callgrind)", ["", *names], rows)


def instructions_of_openings(fleet, client):
    """The same for an opening handshake, and for a page on a connection of its own."""
    if not fleet.programs.valgrind:
        return "No valgrind: install it for the instructions per handshake."

    def handshakes(server, count):
        return client.open(server, 60, handshakes=count)

    def pages(server, count):
        return client.get(server, STATIC_FILE, True, 60, requests=count)

    row = []
    for act in (handshakes, pages):
        few, more = (total_of(fleet, EVENT, lambda server: act(server, count)) for count in (FEW_OPENINGS, MORE_OPENINGS))
        row.append(figure((more[1] - few[1]) / (MORE_OPENINGS - FEW_OPENINGS)) if few and more else "–")
    heads = ["", "opening handshake", "static GET, a connection for each"]
    return table("User-space instructions for each (callgrind)", heads, [[EVENT, *row]])


def instructions_of(fleet, client, name, cell, messages):
    """Messages and instructions of one run, or None."""
    return total_of(
        fleet, name,
        lambda server: client.echo(server, cell.connections, cell.size, cell.depth, 60, messages=messages),
    )


def total_of(fleet, name, act):
    """What `act` says of a server under callgrind, with the server's instructions from start to end; or None."""
    out = fleet.folder / "callgrind"
    out.mkdir(exist_ok=True)
    out.chmod(0o777)
    for old in out.iterdir():
        old.unlink()
    prefix = [
        fleet.programs.valgrind, "--tool=callgrind", "--trace-children=yes", f"--callgrind-out-file={out}/%p",
    ]
    server = fleet.start(name, prefix)
    result = act(server)
    fleet.stop(server)
    totals = [re.search(r"^totals: (\d+)", file.read_text(), re.MULTILINE) for file in out.iterdir()]
    if not result or not all(totals):
        return None
    return result.get("messages"), sum(int(total[1]) for total in totals)


def system_calls(fleet, client):
    """System calls per message: the difference of two runs, without the opening of the connections."""
    if not fleet.programs.strace:
        return "No strace: install it for the system calls per message."
    loads = [
        (Cell(1, 64, 1), 10_000), (Cell(100, 64, 1), 40_000), (Cell(100, 64, 16), 80_000), (Cell(1, MIB, 1), 400),
    ]
    names = [name for name in NAMES if name in fleet.names()]
    rows = []
    for cell, messages in loads:
        row = [str(cell)]
        for name in names:
            server = fleet.start(name)
            # Once it has served something, all its processes are there to be watched.
            client.echo(server, cell.connections, cell.size, cell.depth, 60, messages=cell.connections)
            few = system_calls_of(fleet, client, server, cell, messages // 5)
            more = system_calls_of(fleet, client, server, cell, messages)
            fleet.stop(server)
            row.append(calls_per_message(few, more) if few and more else "–")
        rows.append(row)
    return table("System calls per message (strace)", ["", *names], rows)


def system_calls_of(fleet, client, server, cell, messages):
    """Messages and the count of each call in one run, or None."""
    # Threads and processes that are there already are named; -f follows what they start.
    summary = fleet.folder / "strace"
    processes = [word for pid in server.tree() for word in ("-p", str(pid))]
    strace = subprocess.Popen(
        [fleet.programs.strace, "-f", "-c", "-o", str(summary), *processes],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )
    # On a busy machine that takes a while, and what goes through before is not counted.
    unattached = set(processes[1::2])
    while unattached and (line := strace.stderr.readline()):
        if attached := re.search(r"Process (\d+) attached", line):
            unattached.discard(attached[1])
    threading.Thread(target=strace.stderr.read, daemon=True).start()
    result = client.echo(server, cell.connections, cell.size, cell.depth, 60, messages=messages)
    strace.send_signal(signal.SIGINT)
    strace.wait(30)
    if not result:
        return None
    lines = [line.split() for line in summary.read_text().splitlines()]
    calls = {words[-1]: int(words[3]) for words in lines if len(words) >= 5 and words[3].isdigit()}
    calls.pop("total", None)
    return result["messages"], calls


def calls_per_message(few, more):
    messages = more[0] - few[0]
    calls = {name: (count - few[1].get(name, 0)) / messages for name, count in more[1].items()}
    most = sorted(calls.items(), key=lambda call: -call[1])
    parts = ", ".join(f"{name} {figure(count, 2)}" for name, count in most if count >= 0.01)
    return f"{figure(sum(calls.values()), 2)}: {parts}"
