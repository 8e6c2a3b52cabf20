"""What a process holds: threads, descriptors, memory. And how many descriptors this one may."""

import contextlib
import os
import re
import resource
from pathlib import Path

import pytest

# A state in /proc/net/tcp, proc(5).
_LISTEN = "0A"
_REACTOR_THREAD = re.compile(r"websocket-\d+")


def is_alive(pid):
    """Whether the process exists, or has ended and nobody has taken note of it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def thread_names(pid):
    """The names of the threads of `pid`, the main one's included."""
    names = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            names.append((task / "comm").read_text().strip())
        except OSError:  # it has ended meanwhile
            pass
    return names


def reactor_threads(pid):
    """How many threads the module has for the WebSockets of the child `pid`."""
    return sum(bool(_REACTOR_THREAD.fullmatch(name)) for name in thread_names(pid))


def descriptors(pid):
    """How many files, sockets and the like `pid` has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def connections(pid):
    """How many connections `pid` has, by however many descriptors; the broken ones too, which no table has."""
    return len(set(_sockets(pid)) - _listening(pid).keys() - _unix(pid))


def unaccepted(pid):
    """How many connections wait to be accepted where `pid` listens."""
    listening = _listening(pid)
    return sum(listening.get(socket, 0) for socket in set(_sockets(pid)))


def listens(pid):
    """Whether `pid` has a socket that listens; one that has ended has none."""
    try:
        return not _listening(pid).keys().isdisjoint(_sockets(pid))
    except OSError:
        return False


def _listening(pid):
    """The sockets that listen, in the network of `pid`, and how many connections wait there to be accepted."""
    listening = {}
    for table in (Path(f"/proc/{pid}/net/tcp"), Path(f"/proc/{pid}/net/tcp6")):
        for line in table.read_text().splitlines()[1:] if table.exists() else ():
            fields = line.split()
            if fields[3] == _LISTEN:
                # rx_queue, proc_net_tcp(5).
                listening[f"socket:[{fields[9]}]"] = int(fields[4].partition(":")[2], 16)
    return listening


def _unix(pid):
    """The sockets of the system's own in the network of `pid`, such as a pair that carries signals."""
    lines = Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:]
    return {f"socket:[{line.split()[6]}]" for line in lines}


def _sockets(pid):
    sockets = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(entry)
        except OSError:  # closed meanwhile
            continue
        if target.startswith("socket:"):
            sockets.append(target)
    return sockets


def resident_bytes(pid):
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def own_bytes(pid):
    """The resident memory that `pid` shares with no other process and no file: its heap and its stacks."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"^RssAnon:\s+(\d+) kB$", status, re.MULTILINE)[1]) * 1024


@contextlib.contextmanager
def many_descriptors(needed):
    """Raises the number of descriptors that this process and its servers may have to `needed`."""
    before = soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        pytest.skip(f"RLIMIT_NOFILE allows {hard} descriptors; this needs {needed}")
    if soft != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
