"""The figures when children die, and through reloads: counters stay, what is gone is not open."""

import os
import signal
from pathlib import Path

import pytest

from harness.conf import ECHO, example, location
from harness.status import LOCATION, Status, wait_until_quiet
from harness.waiting import eventually

PATIENT = "WebSocketDrainTimeout 0\n"


def text(*paths):
    return PATIENT + LOCATION + "".join(location(path, example(ECHO)) for path in paths)


FEW = PATIENT + LOCATION + location("/few", example(ECHO), "WebSocketMaxConnectionsPerClient 2")


@pytest.fixture
def server(request, make_httpd, mpm):
    configuration = getattr(request, "param", None) or text("/echo", "/other")
    server = make_httpd(mpm, configuration).start()
    yield server
    wait_until_quiet(server)


@pytest.fixture
def status(server):
    return Status(server)


def counters(status):
    """What must never grow less."""
    total = status.total
    return [
        total["accepted"], total["messages"]["in"], total["messages"]["out"], total["bytes"]["in"],
        total["bytes"]["out"], sum(total["closes"].values()), sum(total["refused"].values()),
    ]


def stopping(document):
    """Whether the child of each connection is stopping."""
    children = {each["pid"]: each["stopping"] for each in document["children"]}
    return [children[each["pid"]] for each in document["connections"]]


def kill(pid):
    """Kills a child, and waits until it is dead; its parent may not know yet."""
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: is_dead(pid), f"the end of {pid}")


def is_dead(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state in "ZX"


def test_ws_770_01_what_a_killed_child_had_is_not_open_and_stays_counted(server, status):
    server.error_log.expect_death()
    with server.open("/echo") as one, server.open("/echo") as gone:
        one.echo("hello")
        one.close_properly()
        gone.echo("hello")
        status.wait_for_open(1)
        document = status.wait_for(
            # Two messages of five bytes each way, and the Close frames, masked when they come.
            lambda document: document["total"]["bytes"] == {"in": 2 * 11 + 8, "out": 2 * 7 + 4}
            and document["total"]["closes"] == {"1000": 1},
            "what was done",
        )
        before = counters(status)
        (connection,) = document["connections"]
        kill(connection["pid"])
        # Whichever child answers: the dead one's connections are gone at once.
        document = status.read()
        assert document["total"]["open"] == 0
        assert document["connections"] == []
        assert connection["pid"] not in [child["pid"] for child in document["children"]]
        # But for the end of the WebSocket, which its parent counts when it knows.
        after = counters(status)
        assert [now - then for now, then in zip(after, before)] in ([0] * 7, [0, 0, 0, 0, 0, 1, 0])
    with server.open("/echo") as client:
        client.echo("hello")
        document = status.wait_for_open(1)
        assert document["total"]["accepted"] == 3
        client.close_properly()


def test_ws_770_02_counters_only_grow_however_many_children_die(server, status):
    server.error_log.expect_death()
    accepted = messages = 0
    last = counters(status)
    for round_number in range(6):
        clients = [server.open("/echo") for _ in range(3)]
        try:
            for client in clients:
                client.echo("hello")
            accepted += 3
            messages += 3
            document = status.wait_for(
                lambda document: document["total"]["messages"]["out"] == messages, "the messages"
            )
            now = counters(status)
            assert all(one <= other for one, other in zip(last, now)), (last, now)
            last = now
            for pid in {each["pid"] for each in document["connections"]}:
                kill(pid)
            assert status.total["open"] == 0
        finally:
            for client in clients:
                client.vanish()
        if round_number == 3:
            server.graceful()
    total = status.total
    assert (total["accepted"], total["messages"]["in"]) == (accepted, messages)


def test_ws_770_03_a_graceful_restart_shows_both_generations(server, status):
    with server.open("/echo") as old:
        old.echo("hello")
        before = counters(status)
        server.graceful()
        with status.open_in_new_generation("/echo") as new:
            document = status.wait_for_open(2)
            assert [each["location"] for each in document["connections"]] == [status.name_of("/echo")] * 2
            generations = [
                status.generation_of(each["id"]) for each in document["connections"]
            ]
            assert generations[1] == generations[0] + 1
            if server.mpm != "prefork":
                status.wait_for(lambda document: stopping(document) == [True, False], "the old child to be stopping")
            old.echo("hello")
            new.echo("hello")
            status.wait_for(
                lambda document: document["total"]["messages"]["out"] == 3, "all messages"
            )
            after = counters(status)
            assert all(one <= other for one, other in zip(before, after))
            old.close_properly()
            status.wait_for_open(1)
            new.close_properly()
    status.wait_for_open(0)


def test_ws_770_04_a_location_keeps_its_figures_whatever_else_changes(server, status):
    with server.open("/other") as old:
        old.echo("hello")
        # The Locations of the new configuration have another order.
        server.configure(text("/new", "/echo"))
        server.graceful()
        eventually(lambda: server.ask("/other").status == 404, "the new configuration")
        with server.open("/new") as client:
            old.echo("hello")
            client.echo("hello")
            status.wait_for(
                lambda document: document["total"]["messages"]["out"] == 3, "all messages"
            )
            assert status.location("/other")["messages"] == {"in": 2, "out": 2}
            assert status.location("/new")["messages"] == {"in": 1, "out": 1}
            client.close_properly()
        old.close_properly()
    status.wait_for_open(0)
    assert status.location("/other")["closes"] == {"1000": 1}


def test_ws_770_05_a_hard_restart_ends_what_is_open_and_counts_on(server, status):
    with server.open("/echo") as client:
        client.echo("hello")
        before = counters(status)
        wait_until_quiet(server, websockets=1)
        server.restart()
    document = status.wait_for_open(0)
    assert document["total"]["accepted"] == 1
    after = counters(status)
    assert all(one <= other for one, other in zip(before, after))
    with server.open("/echo") as client:
        client.echo("hello")
        assert status.wait_for_open(1)["total"]["accepted"] == 2
        client.close_properly()


@pytest.mark.parametrize("server", [FEW], indirect=True, ids=["few"])
def test_ws_770_06_a_client_of_a_killed_child_may_come_again(server, status):
    server.error_log.expect_death()
    for _ in range(3):
        with server.open("/few"), server.open("/few"), server.client() as third:
            assert third.upgrade("/few").status == 429
            for pid in {each["pid"] for each in status.read()["connections"]}:
                kill(pid)
        # Its parent may not know yet.
        with server.open("/few") as one, server.open("/few") as other, server.client() as third:
            assert third.upgrade("/few").status == 429
            one.close_properly()
            other.close_properly()
        status.wait_for_open(0)


@pytest.mark.parametrize("server", [FEW], indirect=True, ids=["few"])
def test_ws_770_07_a_client_is_counted_across_generations(server, status):
    with server.open("/few") as old:
        server.graceful()
        with status.open_in_new_generation("/few"), server.client() as third:
            assert third.upgrade("/few").status == 429
            old.close_properly()
    status.wait_for_open(0)
