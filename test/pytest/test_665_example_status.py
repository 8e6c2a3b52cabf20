"""The example status: updates, how often they come, and what they say."""

import json
import os
import time

import pytest

from harness.conf import example, location
from harness.processes import descriptors, resident_bytes, thread_names
from harness.rawclient import BINARY, TEXT, RawClient
from harness.waiting import eventually

STATUS = ("mod_websocket_rust_status", "status_init")
MEMBERS = {
    "time", "pid", "uptime", "load", "memory", "threads", "descriptors", "connections", "sent",
}


def configuration(_server):
    return (
        location("/status", example(STATUS))
        + location("/often", example(STATUS), "WebSocketPluginOption update-ms 100")
        + location("/seldom", example(STATUS), "WebSocketPluginOption update-ms 60000")
    )


def receive_update(client):
    return json.loads(client.receive_message().text)


def end(client):
    """The closing handshake, among updates."""
    client.send_close(1000)
    client.receive_to_eof()
    client.vanish()


def test_ws_665_01_an_update_describes_the_process(httpd):
    before = time.time()
    with httpd.open("/status") as client:
        update = receive_update(client)
        assert set(update) == MEMBERS
        assert before - 1 < update["time"] < time.time() + 1
        pid = update["pid"]
        assert pid in httpd.children()
        assert update["uptime"] >= 0
        assert len(update["load"]) == 3 and all(load >= 0 for load in update["load"])
        assert update["connections"] >= 1 and update["sent"] == 1
        # These change as one looks; so does what one sees.
        here = resident_bytes(pid)
        assert set(update["memory"]) == {"rss"} and here / 2 < update["memory"]["rss"] < here * 2
        threads = len(thread_names(pid))
        assert abs(update["threads"] - threads) <= threads / 2
        assert 0 < update["descriptors"] <= descriptors(pid) + 16
        end(client)


def test_ws_665_02_updates_go_on_and_are_counted(httpd):
    with httpd.open("/status?update-ms=100") as client:
        updates = [receive_update(client) for _ in range(10)]
        assert [update["sent"] for update in updates] == list(range(1, 11))
        for earlier, later in zip(updates, updates[1:]):
            assert earlier["uptime"] < later["uptime"]
            assert earlier["pid"] == later["pid"]
        end(client)


@pytest.mark.parametrize(("often", "seldom"), [
    ("/status?update-ms=100", "/status?update-ms=60000"),
    ("/often", "/seldom"),
    ("/seldom?update-ms=100", "/often?update-ms=60000"),
    ("/often", "/status?update-ms=60000"),
])
def test_ws_665_03_the_option_and_the_query_say_how_often(httpd, often, seldom):
    with httpd.open(seldom) as slow, httpd.open(often) as fast:
        assert receive_update(slow)["sent"] == 1
        while receive_update(fast)["sent"] < 12:
            pass
        assert not slow.has_input()
        slow.close_properly()
        end(fast)


@pytest.mark.parametrize("value", [
    "", "0", "99", "60001", "-100", "1e3", "100.0", "100ms", "%2000", "99999999999999999999",
])
def test_ws_665_04_another_query_is_refused(httpd, value):
    with httpd.client() as client:
        assert client.upgrade(f"/status?update-ms={value}").status == 400


def test_ws_665_05_connections_come_and_go(httpd, mpm):
    with httpd.open("/status?update-ms=100") as client:

        def wait_for(count):
            if mpm == "prefork":
                count = 1  # of this process
            eventually(lambda: receive_update(client)["connections"] == count, f"{count} connections")

        wait_for(1)
        others = [httpd.open("/seldom") for _ in range(3)]
        wait_for(4)
        for remaining, leave in ((3, end), (2, RawClient.vanish), (1, RawClient.reset)):
            leave(others.pop())
            wait_for(remaining)
        end(client)


def test_ws_665_06_messages_of_the_client_are_ignored(httpd):
    with httpd.open("/seldom") as client:
        assert receive_update(client)["sent"] == 1
        client.send_frame(TEXT, "hello")
        client.send_frame(BINARY, os.urandom(1000))
        client.close_properly()
