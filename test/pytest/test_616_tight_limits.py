"""A server that may have hardly more than httpd itself needs: its threads come first.

The limits of threads are a user's, so that the children run as one of the system's users that has no other process.
"""

import contextlib
import os
import pwd
import re
from pathlib import Path

import pytest

from harness.conf import ECHO, example, location
from harness.processes import reactor_threads, thread_names
from harness.rawclient import TEXT
from harness.waiting import eventually

MPMS = ("event", "worker")
WORKERS = 8
# Beside its workers a child has its main thread, the listener, and in the beginning one that makes the others.
HTTPD_THREADS = WORKERS + 3
# An address space is full when not even a thread's stack has room.
SPARE_ADDRESSES = 6 << 20
STACK = 8 << 20


@pytest.fixture
def start(make_httpd, mpm):
    """Starts a server with one child under the limits that prlimit is given."""

    def serve(*limits):
        user = idle_user()

        def configuration(_server):
            return (
                f'User {user}\nMaxRequestWorkers {WORKERS}\nThreadStackSize {STACK}\n'
                + location("/echo", example(ECHO))
            )

        wrapper = ("prlimit", *limits) if limits else ()
        return make_httpd(mpm, configuration, workers=WORKERS, wrapper=wrapper).start()

    return serve


def idle_user():
    """One of those that stand beside root in any system, each of pytest's workers another."""
    if os.geteuid() != 0:
        pytest.skip("only root gives a server's children a user of their own")
    busy = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(FileNotFoundError):  # it has ended meanwhile
            busy.add(Path(f"/proc/{pid}").stat().st_uid)
    idle = [user.pw_name for user in pwd.getpwall() if user.pw_uid not in busy and user.pw_name != "nobody"]
    number = int(re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", "0")))
    if len(idle) <= number:
        pytest.skip("every user of this system has a process")
    return idle[number]


def is_complete(pid):
    """Its worker threads are there, and the one that has made them has gone."""
    return len([name for name in thread_names(pid) if not name.startswith("websocket")]) == HTTPD_THREADS - 1


def addresses(pid):
    return int(re.search(r"VmSize:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[1]) << 10


def serve_all(server, mpm):
    """Pages and WebSockets are served, the latter by httpd's threads when there is no room for ours. Says whether there was."""
    (child,) = server.children()
    eventually(lambda: is_complete(child), "httpd's threads")
    assert server.ask("/index.html").status == 200
    clients = [server.open("/echo") for _ in range(3)]
    for client in clients:
        client.echo("x" * 10_000, TEXT)
    has_room = reactor_threads(child) > 0
    if mpm == "event" and not has_room:
        server.error_log.expect(r"WS0002: no reactor in this child, so that each WebSocket takes a worker thread")
    assert server.ask("/index.html").status == 200
    for client in clients:
        client.close_properly()
        client.vanish()
    assert server.children() == [child]
    return has_room


def test_ws_616_01_threads_for_httpd_only(start, mpm):
    assert not serve_all(start(f"--nproc={HTTPD_THREADS}"), mpm)


def test_ws_616_02_addresses_for_httpd_only(start, mpm):
    server = start()
    (child,) = server.children()
    eventually(lambda: is_complete(child), "httpd's threads")
    needed = addresses(child)
    server.stop()
    # What malloc takes for each thread differs from run to run: there may be room.
    serve_all(start(f"--as={needed + SPARE_ADDRESSES}"), mpm)


def test_ws_616_03_without_a_websocket_there_is_no_thread_of_ours(start):
    server = start()
    (child,) = server.children()
    eventually(lambda: is_complete(child), "httpd's threads")
    assert server.ask("/index.html").status == 200
    assert not [name for name in thread_names(child) if name.startswith("websocket")]
    with server.open("/echo") as client:
        client.echo("hello")
        assert [name for name in thread_names(child) if name.startswith("websocket")]
