"""Children that leave with many open WebSockets: restarts and stops, and what retires a child.

Each of 40 clients, and the server, must see its WebSocket end in the way the configuration says, once.
What 600 shows for a few connections on each MPM is shown here for many.
"""

import asyncio
import hashlib
import select
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.asyncclient import AsyncClient, gather, run
from harness.crowd import GOING_AWAY, TLS, Crowd, configuration, wait_until_gone
from harness.rawclient import BINARY, CLOSE, TEXT, close_frame, frame
from harness.waiting import eventually

# prefork's children hold one WebSocket each; 600 is about them.
MPMS = ("event", "worker")
CROWD = 40
WORKERS = 3 * CROWD
# Of those who are told to go some are busy with something else first.
ANSWERED_LATE = "WebSocketCloseTimeout 1min"


@pytest.fixture
def serve(make_httpd, mpm):
    """Starts a server that drains for so long."""

    def start(drain, *lines, **options):
        options = {"workers": WORKERS, **options}
        return make_httpd(mpm, configuration(drain, *lines), modules=TLS, **options).start()

    return start


def test_ws_710_01_a_graceful_restart_closes_one_after_the_other(serve):
    server = serve("4s")
    old = server.children()
    with Crowd(server) as crowd, ThreadPoolExecutor() as beside:
        clients = crowd.open(CROWD)
        # It takes a while, in which the first are told to go.
        restart = beside.submit(server.graceful)
        # Computing something takes longer than to close everybody at once would.
        moments = crowd.drain(clients, lambda: hashlib.sha256(bytes(8 << 20)))
        restart.result()
        assert len(moments) >= 10, f"all closed in {len(moments)} moments"
        newest = crowd.open(5)
        assert not {crowd.pids[client] for client in newest} & set(old)
        wait_until_gone(old)
        crowd.echo(newest, "undisturbed")
        crowd.leave(newest)
        crowd.verify()


def test_ws_710_02_a_graceful_stop_closes_all_and_ends(serve):
    server = serve("2s")
    with Crowd(server) as crowd:
        clients = crowd.open(CROWD)
        server.graceful_stop()
        moments = crowd.drain(clients)
        assert sum(map(len, moments)) == CROWD
        server.wait_for_exit()
        crowd.verify()


def test_ws_710_03_without_a_drain_each_generation_waits_for_its_clients(serve):
    server = serve("0")
    generations = []
    with Crowd(server) as crowd:
        for number in range(3):
            if number:
                server.graceful()
            clients = crowd.open(CROWD // 2)
            generations.append((clients, {crowd.pids[client] for client in clients}))
            crowd.echo(crowd.clients, f"in generation {number}")
        for (_, one), (_, other) in zip(generations, generations[1:]):
            assert not one & other, "a new connection came to an old child"
        # The one in the middle leaves first; the others stay.
        for index in (1, 0, 2):
            clients, pids = generations[index]
            crowd.echo(clients, "still there")
            crowd.leave(clients)
            if index < 2:
                wait_until_gone(pids)
        crowd.verify()


def test_ws_710_04_a_second_graceful_restart_during_the_drain(serve):
    server = serve("3s", ANSWERED_LATE)
    first = server.children()
    with Crowd(server) as crowd:
        waiting = crowd.open(CROWD)
        server.graceful()
        # It has begun.
        ready, _, _ = select.select([client.socket for client in waiting], [], [], 15)
        assert ready
        crowd.open(10)
        second = set(crowd.pids.values()) - set(first)
        server.graceful()
        newest = crowd.open(5)
        assert not {crowd.pids[client] for client in newest} & {*first, *second}
        crowd.drain(crowd.of(*first, *second))
        wait_until_gone({*first, *second})
        crowd.echo(newest, "undisturbed")
        crowd.leave(newest)
        crowd.verify()


@pytest.mark.parametrize("how", ["restart", "stop"])
def test_ws_710_05_a_hard_end_ends_each_once(serve, how):
    server = serve("30s")
    old = server.children()
    with Crowd(server) as crowd:
        clients = crowd.open(CROWD)
        getattr(server, how)()
        for client in clients:
            try:
                client.receive_to_eof()
            except OSError:
                pass
        wait_until_gone(old)
        crowd.verify()


def test_ws_710_06_clients_that_vanish_during_the_drain(serve):
    server = serve("2s")
    old = server.children()
    with Crowd(server) as crowd:
        clients = crowd.open(CROWD)
        server.graceful()
        for number, client in enumerate(clients):
            if number % 4 == 1:
                client.vanish()
            elif number % 4 == 2:
                client.reset()
            elif number % 4 == 3:
                client.send(close_frame(1000))  # may cross the server's
        crowd.drain(clients[::4])
        for client in clients[3::4]:
            received = client.receive_frame()
            assert received.close_code in (1000, GOING_AWAY), received
            assert client.receive_to_eof() == b""
        wait_until_gone(old)
        crowd.verify()


def test_ws_710_07_messages_come_back_until_the_close_and_clients_may_come_again(serve):
    """Clients that echo without a pause, through three graceful restarts."""
    server = serve("500ms")
    context = server.certificates.client_context()
    recorder = server.recorder()
    restarts = 3
    # The generation in which each client has had its first echo.
    arrived = [-1] * CROWD

    async def talk(number):
        tls = context if number % 2 else None
        for generation in range(restarts + 1):
            client = await AsyncClient.open(server, "/recorder", tls=tls)
            turn = 0
            while True:
                payload = b"%d/%d/%d " % (number, generation, turn) * (turn % 50 + 1)
                client.write(frame(BINARY, payload))
                received = await client.receive_frame()
                if received.opcode == CLOSE:
                    break
                assert received.payload == payload
                arrived[number] = generation
                turn += 1
                if min(arrived) == restarts:
                    await client.close_properly()
                    return
            assert received.close_code == GOING_AWAY
            client.write(close_frame(GOING_AWAY))
            assert await client.reader.read() == b""
            client.vanish()
        pytest.fail("closed more often than the server was restarted")

    async def main():
        talks = asyncio.ensure_future(gather(*map(talk, range(CROWD))))
        for generation in range(restarts):
            while min(arrived) < generation:
                done, _ = await asyncio.wait([talks], timeout=0.02)
                if done:
                    await talks
            await asyncio.to_thread(server.graceful)
        await talks

    run(main())
    recorder.wait_for_ends(CROWD * (restarts + 1))


def test_ws_710_08_peers_and_plugins_that_hold_out_do_not_keep_the_child(serve):
    """Peers that read nothing while ten threads send to each, and a plugin that is asleep."""
    server = serve("1s")
    context = server.certificates.client_context()
    old = server.children()
    with Crowd(server) as crowd:
        clients = crowd.open(10)
        stuck = [
            server.open(path, tls=tls, receive_buffer=4096)
            # The brief ones are given up before they would have had to answer the Close.
            for path in ("/threads", "/threads/brief") for tls in [None, context] * 3
        ]
        sleepers = [server.open("/sleep", tls=tls) for tls in [None, context] * 3]
        try:
            for client in stuck:
                client.send_frame(TEXT, "start 100000000")
                client.receive_frame()
            for client in sleepers:
                client.send_frame(TEXT, "3000")
            server.graceful()
            crowd.drain(clients)
            for client in sleepers:
                received = client.receive_frame()
                if received.opcode == TEXT:  # unless the Close has come before the message
                    assert received.text == "3000"
                    received = client.receive_frame()
                assert received.opcode == CLOSE and received.close_code == GOING_AWAY
                client.send_close(GOING_AWAY)
                assert client.receive_to_eof() == b""
                client.vanish()
            wait_until_gone(old)
        finally:
            for client in stuck + sleepers:
                client.vanish()
        crowd.verify()


def test_ws_710_09_a_child_that_has_had_its_connections_retires(serve):
    """Event counts a connection when it comes, worker when it has gone: so some of each."""
    server = serve("2s", f"MaxConnectionsPerChild {CROWD + 10}", "ServerLimit 8")
    old = server.children()
    with Crowd(server) as crowd:
        clients = crowd.open(CROWD)
        assert set(crowd.pids.values()) == set(old)

        def has_another_child():
            assert server.ask("/index.html").status == 200
            return set(server.children()) - set(old)

        eventually(has_another_child, "the child to have had enough")
        crowd.drain(clients)
        wait_until_gone(old)
        newest = crowd.open(5)
        assert not {crowd.pids[client] for client in newest} & set(old)
        crowd.echo(newest, "undisturbed")
        crowd.leave(newest)
        crowd.verify()


def test_ws_710_10_who_comes_during_the_drain_comes_to_the_new_generation(serve):
    server = serve("3s", ANSWERED_LATE)
    old = server.children()
    with Crowd(server) as crowd:
        clients = crowd.open(CROWD)
        server.graceful()
        ready, _, _ = select.select([client.socket for client in clients], [], [], 15)
        assert ready
        newest = crowd.open(CROWD // 2)
        assert not {crowd.pids[client] for client in newest} & set(old)
        crowd.echo(newest, "undisturbed")
        crowd.drain(clients)
        crowd.echo(newest, "undisturbed")
        wait_until_gone(old)
        crowd.leave(newest)
        crowd.verify()
