"""A stop, or a restart without grace, in the middle of a drain: nobody is killed, and everybody is told at once.

The MPM does not listen to SIGTERM any more in a child that drains; httpd's parent kills what is still there after some
nine seconds, and says so at three. The error log, which must be clean, is what shows that it did not have to.
"""

import os
import signal

import pytest

from harness.crowd import GOING_AWAY, TLS, Crowd, configuration, wait_until_gone
from harness.processes import thread_names
from harness.rawclient import CLOSE, TEXT
from harness.waiting import eventually

# A child of prefork is told by a signal whatever it does: 605.
MPMS = ("event", "worker")
CROWD = 40
ROUNDS = 5


@pytest.fixture
def serve(make_httpd, mpm):
    """Starts a server that would drain for ten minutes."""

    def start(*lines, drain="10min", **options):
        options = {"workers": 3 * CROWD, **options}
        return make_httpd(mpm, configuration(drain, *lines), modules=TLS, **options).start()

    return start


def begin_to_drain(server, children):
    """A graceful restart, which the children have heard of."""
    server.graceful()
    wait_for_drain(children)


def wait_for_drain(children):
    """Until each has begun; one without WebSockets may have ended at once."""
    eventually(lambda: all(map(drains, children)), "the drain to begin")


def drains(pid):
    try:
        return "websocket-haste" in thread_names(pid)
    except OSError:  # it has ended
        return True


def test_ws_715_01_everybody_is_told_at_once(serve):
    """Restarts without grace; the last end is a stop."""
    server = serve()
    with Crowd(server) as crowd:
        for number in range(ROUNDS):
            old = server.children()
            clients = crowd.open(CROWD)
            begin_to_drain(server, old)
            crowd.echo(clients[-4:], "not yet")
            all_there = {*old, *server.children()}
            is_last = number == ROUNDS - 1
            server.signal(signal.SIGTERM if is_last else signal.SIGHUP)
            crowd.drain(clients)
            if is_last:
                server.wait_for_exit()
            wait_until_gone(all_there)
        crowd.verify()


def test_ws_715_02_a_graceful_stop_is_cut_short(serve):
    server = serve()
    children = server.children()
    with Crowd(server) as crowd:
        clients = crowd.open(CROWD)
        server.graceful_stop()
        wait_for_drain(children)
        crowd.echo(clients[-4:], "not yet")
        server.signal(signal.SIGTERM)
        crowd.drain(clients)
        server.wait_for_exit()
        wait_until_gone(children)
        crowd.verify()


def test_ws_715_03_children_that_were_to_wait_for_ever(serve):
    """WebSocketDrainTimeout 0: two generations are there when the stop comes."""
    server = serve(drain="0")
    with Crowd(server) as crowd:
        first = server.children()
        old = crowd.open(CROWD // 2)
        begin_to_drain(server, first)
        second = set(server.children()) - set(first)
        middle = crowd.open(CROWD // 2)
        begin_to_drain(server, second)
        crowd.echo(old + middle, "still there")
        server.signal(signal.SIGTERM)
        crowd.drain(old + middle)
        server.wait_for_exit()
        wait_until_gone({*first, *second})
        crowd.verify()


def test_ws_715_04_who_does_not_answer_is_not_waited_for(serve):
    """Clients that are silent, and some that read nothing while ten threads of a plugin's send to each."""
    server = serve()
    children = server.children()
    context = server.certificates.client_context()
    silent = [server.open("/recorder", tls=context if number % 2 else None) for number in range(8)]
    deaf = [
        server.open("/threads", tls=context if number % 2 else None, receive_buffer=4096) for number in range(4)
    ]
    for client in deaf:
        client.send_frame(TEXT, "start 100000000")
        client.receive_frame()
    begin_to_drain(server, children)
    server.stop()
    for client in silent:
        received = client.receive_frame()
        assert (received.opcode, received.close_code) == (CLOSE, GOING_AWAY), received
    wait_until_gone(children)
    for client in silent + deaf:
        client.vanish()


def test_ws_715_05_a_signal_to_one_child(serve):
    """As a supervisor sends it that knows nothing of parents: the others drain on."""
    server = serve()
    children = server.children()
    with Crowd(server) as crowd:
        clients = crowd.open(CROWD // 2)
        begin_to_drain(server, children)
        newest = crowd.open(4)
        for pid in children:
            os.kill(pid, signal.SIGTERM)
        crowd.drain(clients)
        wait_until_gone(children)
        crowd.echo(newest, "undisturbed")
        crowd.leave(newest)
        crowd.verify()
