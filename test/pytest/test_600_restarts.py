"""Restarts and stops with open WebSockets, and what they promise.

A graceful restart or stop closes open WebSockets with 1001 within WebSocketDrainTimeout; with 0 it
lets them go on in the old generation until their clients leave. A hard restart or stop ends them.
The server itself always comes back, or goes, in time and without killing a child.
"""

import os
import threading

import pytest

from harness.conf import ECHO, example, location, plugin
from harness.rawclient import TEXT
from harness.waiting import eventually

SMALL, LARGE = "WebSocketMaxMessageSize 10", "WebSocketMaxMessageSize 1000"


# No drain: the old generation waits for its clients.
PATIENT = "WebSocketDrainTimeout 0\n"
# Everybody is told to go, soon.
BRISK = "WebSocketDrainTimeout 500ms\n"


def echo_and_recorder(*lines, drain=PATIENT):
    return drain + location("/echo", example(ECHO), *lines) + location(
        "/recorder", plugin("recorder")
    )


@pytest.fixture
def server(make_httpd, mpm):
    return make_httpd(mpm, echo_and_recorder(SMALL)).start()


def takes(server, size):
    """Whether a new connection takes a message of `size` bytes."""
    with server.open("/echo") as client:
        client.send_frame(TEXT, "x" * size)
        return client.receive_frame().opcode == TEXT


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def ends(client):
    """Reads until the end of the stream, whatever form that takes."""
    try:
        client.receive_to_eof()
    except OSError:
        pass


def test_ws_600_01_a_graceful_restart_leaves_open_websockets_alone(server):
    with server.open("/recorder") as one, server.open("/echo") as other:
        one.echo("before")
        other.send_frame(TEXT, "in two", fin=False)
        server.graceful()
        for _ in range(3):
            one.echo("after")
        other.send_frame(0, " p")
        assert other.receive_message().text == "in two p"
        other.close_properly()
        one.close_properly()


def test_ws_600_02_a_graceful_restart_makes_a_changed_configuration_effective(server):
    with server.open("/echo") as old:
        assert not takes(server, 100)
        server.configure(echo_and_recorder(LARGE))
        server.graceful()
        eventually(lambda: takes(server, 100), "the new configuration")
        # What was opened before keeps the configuration that it was opened with.
        old.send_frame(TEXT, "x" * 100)
        old.expect_close(1009)


def test_ws_600_03_the_old_generation_leaves_with_its_last_websocket(server):
    old = server.children()
    with server.open("/recorder") as client:
        client.echo("before")
        server.graceful()
        client.echo("after")
        client.close_properly()
    eventually(lambda: not any(is_alive(pid) for pid in old), "the old children to leave")


def test_ws_600_04_on_disconnect_comes_once_after_a_graceful_restart(server):
    recorder = server.recorder()
    ways = ["close_properly", "vanish", "reset"]
    clients = [server.open("/recorder") for _ in ways]
    server.graceful()
    for client, way in zip(clients, ways):
        client.echo("after")
        getattr(client, way)()
        client.vanish()
    recorder.wait_for_ends(len(ways))


def test_ws_600_05_several_graceful_restarts_in_a_row_are_survived(server):
    clients = []
    try:
        for generation in range(3):
            clients.append(server.open("/echo"))
            server.graceful()
            for client in clients:
                client.echo(f"gen {generation}")
        with server.open("/echo") as client:
            client.echo("newest")
        for client in clients:
            client.close_properly()
    finally:
        for client in clients:
            client.vanish()


def test_ws_600_06_a_graceful_restart_changes_the_plugin_of_new_connections(server):
    with server.open("/echo") as old:
        old.echo("echo")
        server.configure(PATIENT + location("/echo", plugin("rpc")))
        server.graceful()

        def is_new():
            with server.open("/echo") as client:
                client.send_frame(TEXT, "version")
                return client.receive_message().text == "result 1"

        eventually(is_new, "the new plugin")
        old.echo("version")


def test_ws_600_07_a_hard_restart_ends_open_websockets_and_comes_back(server):
    recorder = server.recorder()
    old = server.children()
    with server.open("/recorder") as one, server.open("/echo") as other:
        one.echo("before")
        other.echo("before")
        server.configure(echo_and_recorder(LARGE))
        server.restart()
        ends(one)
        ends(other)
    assert takes(server, 100)
    eventually(lambda: not any(is_alive(pid) for pid in old), "the old children to leave")
    # Prefork's children end at once, in the middle of whatever they do; at most once it is.
    for callbacks in recorder.connections().values():
        assert callbacks.count("disconnect") <= 1
        if server.mpm != "prefork":
            assert callbacks[-1] == "disconnect"


def test_ws_600_08_a_stop_with_open_websockets_is_prompt(server):
    recorder = server.recorder()
    with server.open("/recorder") as one, server.open("/echo") as other:
        one.echo("before")
        other.echo("before")
        server.stop()
        for client in (one, other):
            if server.mpm != "prefork":
                assert client.receive_frame().close_code == 1001
            ends(client)
    for callbacks in recorder.connections().values():
        assert callbacks.count("disconnect") <= 1
        if server.mpm != "prefork":
            assert callbacks[-1] == "disconnect"
    with pytest.raises(OSError):
        server.client()


def test_ws_600_09_a_graceful_stop_waits_for_open_websockets(server):
    with server.open("/recorder") as client:
        client.echo("before")
        server.graceful_stop()

        def refuses():
            try:
                server.client().vanish()
            except OSError:
                return True
            return False

        eventually(refuses, "the listening sockets to be closed")
        for _ in range(3):
            client.echo("after")
        assert server.running
        client.close_properly()
    server.wait_for_exit()


@pytest.mark.parametrize("how", ["graceful", "restart", "stop"])
def test_ws_600_10_with_ten_threads_sending(make_httpd, mpm, how):
    server = make_httpd(mpm, PATIENT + location("/threads", plugin("threads"))).start()
    with server.open("/threads") as client:
        client.send_frame(TEXT, "start 1000000")
        client.receive_frame()
        stop = threading.Event()

        def read():
            try:
                while not stop.is_set() and client.receive_some():
                    pass
            except OSError:
                pass

        reader = threading.Thread(target=read)
        reader.start()
        try:
            getattr(server, how)()
        finally:
            stop.set()
            reader.join()
    if how != "stop":
        with server.open("/threads") as client:
            client.echo("still serving")


@pytest.mark.parametrize("how", ["restart", "stop"])
def test_ws_600_11_with_a_client_that_does_not_read(make_httpd, mpm, how):
    server = make_httpd(mpm, PATIENT + location("/rpc", plugin("rpc"))).start()
    with server.open("/rpc", receive_buffer=4096) as client:
        client.send_frame(TEXT, f"send-big {20 << 20}")
        client.receive_exactly(10)
        getattr(server, how)()


def test_ws_600_12_each_plugin_is_loaded_once_for_each_configuration(make_httpd, mpm):
    text = (
        location("/one", plugin("recorder")) + location("/two", plugin("recorder"))
        + f"<VirtualHost *:1>\n{location('/three', plugin('recorder'))}</VirtualHost>\n"
    )
    server = make_httpd(mpm, text)
    recorder = server.recorder()
    server.start()
    parent = server.pid

    def destroyed():
        return recorder.destroyed().count(parent)

    # httpd reads its configuration twice when it starts and throws the first one away.
    assert destroyed() == 1
    server.graceful()
    eventually(lambda: destroyed() == 2, "the second configuration to go")
    server.restart()
    eventually(lambda: destroyed() == 3, "the third configuration to go")
    server.stop()
    assert destroyed() == 4
    # A child ends without it.
    assert set(recorder.destroyed()) == {parent}


def test_ws_600_13_restarts_do_not_make_the_parent_grow(server):
    def resident():
        with open(f"/proc/{server.pid}/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    for _ in range(3):
        server.graceful()
    before = resident()
    for _ in range(9):
        server.graceful()
    old = set(server.children())
    server.graceful()
    # A child that has not seen the signal yet would still take the client, and close it with 1001.
    eventually(lambda: old.isdisjoint(server.children()), "the last generation but one to go")
    with server.open("/echo") as client:
        client.echo("hello")
    assert resident() - before < 4 << 20


@pytest.mark.parametrize("how", ["graceful", "graceful_stop"])
def test_ws_600_14_a_child_that_stops_gracefully_closes_its_websockets_with_1001(
    make_httpd, mpm, how
):
    server = make_httpd(mpm, echo_and_recorder(drain=BRISK)).start()
    recorder = server.recorder()
    old = server.children()
    clients = [server.open("/recorder") for _ in range(6)]
    try:
        for number, client in enumerate(clients):
            client.echo(f"client {number}")
        getattr(server, how)()
        for client in clients:
            received = client.receive_frame()
            assert received.close_code == 1001
            client.send_close(1001)
            assert client.receive_to_eof() == b""
    finally:
        for client in clients:
            client.vanish()
    recorder.wait_for_ends(len(clients))
    if how == "graceful":
        eventually(lambda: not any(is_alive(pid) for pid in old), "the old children to leave")
        with server.open("/echo") as client:
            client.echo("the new generation")
    else:
        server.wait_for_exit()


def test_ws_600_15_a_client_that_ignores_the_1001_is_not_waited_for(make_httpd, mpm):
    drain = f"{BRISK}WebSocketCloseTimeout 1s\n"
    server = make_httpd(mpm, echo_and_recorder(drain=drain)).start()
    recorder = server.recorder()
    with server.open("/recorder") as deaf, server.open("/recorder") as busy:
        deaf.echo("hello")
        busy.send_frame(TEXT, "in the middle", fin=False)
        server.graceful()
        recorder.wait_for_ends(2)
        for client in (deaf, busy):
            assert client.receive_frame().close_code == 1001


def test_ws_600_16_a_drain_disturbs_no_message(make_httpd, mpm):
    server = make_httpd(mpm, BRISK + location("/threads", plugin("threads"))).start()
    with server.open("/threads") as client:
        client.send_frame(TEXT, "start 1000000")
        client.receive_frame()
        server.graceful()
        numbers = {}
        while (received := client.receive_frame()).opcode == TEXT:
            _thread, thread, _message, number = received.text.split()
            assert int(number) > numbers.get(thread, -1)
            numbers[thread] = int(number)
        assert received.close_code == 1001
        client.send_close(1001)
        assert client.receive_to_eof() == b""
