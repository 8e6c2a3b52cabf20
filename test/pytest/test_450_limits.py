"""WebSocketMaxConnections: who is one too many, what that client is told, and when a place is free again.

prefork's children hold one WebSocket each, so that the limit has nothing to limit there.
"""

import re
import threading

import pytest

from harness import settings
from harness.conf import location, plugin
from harness.hosts import TLS_MODULES, tls_host
from harness.httpd import Httpd
from harness.rawclient import CLOSE, TEXT, close_frame
from harness.waiting import eventually

MPMS = ("event", "worker")
MODULES = TLS_MODULES
WORKERS = 40
MOST = 3


def configuration(server):
    return (
        f"WebSocketMaxConnections {MOST}\nWebSocketDrainTimeout 500ms\n"
        + location("/one", plugin("recorder"), "WebSocketPingInterval 0")
        + location("/another", plugin("rpc"))
        + location("/brief", plugin("recorder"),
                   "WebSocketPingInterval 100ms", "WebSocketPongTimeout 100ms")
        + location("/panic", plugin("panic", "panic_connect_init"))
        + tls_host(server)
    )


@pytest.fixture
def serve(make_httpd, mpm):
    """Starts a server with one child for good: the limit is each child's."""

    def start(most=MOST):
        lines = f"WebSocketMaxConnections {most}\nMaxRequestWorkers {WORKERS}\n"
        lines += f"ServerLimit 2\nMaxSpareThreads {WORKERS}\nWebSocketDrainTimeout 500ms\n"
        return make_httpd(mpm, lines + location("/one", plugin("recorder")), workers=WORKERS).start()

    return start


@pytest.fixture
def full(httpd):
    """As many WebSockets as there may be, of two locations, plain and TLS."""
    context = httpd.certificates.client_context()
    clients = [
        eventually(lambda open_one=open_one: try_to(open_one), "a place")
        for open_one in (
            lambda: httpd.open("/one"),
            lambda: httpd.open("/another"),
            lambda: httpd.open("/one", tls=context),
        )
    ]
    assert len(clients) == MOST
    yield clients
    for client in clients:
        client.vanish()


def try_to(open_one):
    """What it opens; None when there is no place (of a test before this one) yet."""
    try:
        return open_one()
    except AssertionError as refused:
        assert str(refused).startswith("503 "), refused
        return None


def refusal(httpd, path, headers=(), *, tls=None, **changes):
    """The response to a handshake that is refused; the connection ends behind it."""
    with httpd.client(tls=tls) as client:
        response = client.upgrade(path, headers, **changes)
        assert response.status != 101
        assert client.receive_to_eof() == b"", "kept alive after a refused upgrade"
        return response


def test_ws_450_01_one_too_many_is_told_to_come_back(httpd, full, error_log):
    recorder = httpd.recorder()
    context = httpd.certificates.client_context()
    for path, tls in (("/one", None), ("/another", None), ("/one", context)):
        response = refusal(httpd, path, tls=tls)
        assert response.status == 503
        assert int(response.get("Retry-After")) > 0
        assert response.get("Connection") == "close"
        assert response.get("Upgrade") is None
    lines = error_log.find("WS0209")
    assert len(lines) == 3, "one line for each"
    for line in lines:
        assert line.level == "notice"
        assert f"the child holds {MOST} WebSockets already (WebSocketMaxConnections)" in line.text
    assert recorder.lines() == [], "the plugin is not asked"


def refused_in_log(server):
    """How many refusals the log of a server has, which ends: those that have a line, and those that are counted."""
    server.stop()
    counted = server.error_log.find(
        r"WS0209: \d+ more WebSockets were refused \(WebSocketMaxConnections\) in the last \d+ s, in this child$"
    )
    numbers = [int(re.search(r"WS0209: (\d+) more", line.text)[1]) for line in counted]
    return len(server.error_log.find("WS0209: no WebSocket")) + sum(numbers)


def test_ws_450_02_the_others_and_http_are_not_concerned(httpd, full):
    assert refusal(httpd, "/one").status == 503
    assert httpd.ask("/index.html").status == 200
    # Not an upgrade, and not a good one.
    assert httpd.ask("/one").status == 426
    assert refusal(httpd, "/one", version="12").status == 400
    full[0].echo("undisturbed")
    full[2].echo("undisturbed")


ENDS = {
    "a close of the client": lambda client: client.close_properly(),
    "a close of the server": lambda client: (
        client.send_frame(TEXT, "close"), client.receive_frame(),
        client.send(close_frame()), client.receive_to_eof(),
    ),
    "a protocol error": lambda client: (
        client.send_frame(TEXT, "x", rsv=1), client.receive_to_eof()
    ),
    "an end of the stream": lambda client: client.vanish(),
    "a reset": lambda client: client.reset(),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_ws_450_03_every_end_frees_a_place(httpd, full, end):
    for number in range(2 * MOST):
        assert refusal(httpd, "/one").status == 503
        index = (0, 2)[number % 2]
        end(full[index])
        full[index].vanish()
        full[index] = eventually(lambda: try_to(lambda: httpd.open("/one")), "the place")
        full[index].echo("in the other's place")
    assert refusal(httpd, "/one").status == 503


def test_ws_450_04_clients_that_are_given_up_free_their_places(httpd):
    clients = []
    try:
        for _ in range(2 * MOST):
            clients.append(eventually(lambda: try_to(lambda: httpd.open("/brief")), "the place"))
    finally:
        for client in clients:
            client.vanish()


def test_ws_450_05_who_is_refused_or_fails_takes_no_place(httpd, error_log):
    error_log.expect("panicked at|on purpose|panic in")
    error_log.expect("WS0206")
    # The places of tests before this one are free.
    eventually(lambda: refusal(httpd, "/another", [("X-Refuse", "1")]).status == 403, "a place")
    for _ in range(2 * MOST):
        assert refusal(httpd, "/another", [("X-Refuse", "1")]).status == 403
        assert refusal(httpd, "/another", version="12").status == 400
        assert refusal(httpd, "/panic").status == 500
    clients = []
    try:
        for _ in range(MOST):
            clients.append(eventually(lambda: try_to(lambda: httpd.open("/one")), "the place"))
    finally:
        for client in clients:
            client.vanish()


def test_ws_450_06_of_many_at_once_just_so_many_are_taken(serve):
    most, count = 7, 32
    server = serve(most)
    barrier = threading.Barrier(count)
    clients, statuses = [server.client() for _ in range(count)], [None] * count

    def knock(number):
        barrier.wait(30)
        statuses[number] = clients[number].upgrade("/one").status

    threads = [threading.Thread(target=knock, args=(number,)) for number in range(count)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(statuses, key=str) == [101] * most + [503] * (count - most)
        for status, client in zip(statuses, clients):
            if status == 101:
                client.echo("taken")
                client.close_properly()
    finally:
        for client in clients:
            client.vanish()
    assert refused_in_log(server) == count - most


def test_ws_450_07_a_new_generation_begins_with_all_its_places(serve):
    server = serve()
    # As long as the old child has WebSockets, worker may find no place for the new one, and says so each second.
    server.error_log.tolerate(r"\[mpm_worker:error\].* AH00288: scoreboard is full")
    clients = []
    try:
        for is_new in (False, True):
            if is_new:
                server.graceful()
            clients += [server.open("/one") for _ in range(MOST)]
            assert refusal(server, "/one").status == 503
        for client in clients[:MOST]:
            assert client.receive_frame().opcode == CLOSE
        for client in clients[MOST:]:
            client.echo("undisturbed")
    finally:
        for client in clients:
            client.vanish()


# What `httpd -t` says

@pytest.fixture(scope="module")
def tester():
    server = Httpd(settings.mpms()[0])
    yield server
    server.remove()


@pytest.mark.parametrize("value", ["many", "-1", "+1", "1.5", '" 1"', "1K", "10000001",
                                   "99999999999999999999"])
def test_ws_450_08_a_wrong_number_is_told_what_is_right(tester, value):
    result, base = tester.configtest(f"\nWebSocketMaxConnections {value}\n")
    assert result.returncode != 0, "accepted"
    assert f"Syntax error on line {base + 2} of " in result.stderr
    assert "is not a number from 0 to 10000000" in result.stderr


@pytest.mark.parametrize("section", ["<Location /x>", "<VirtualHost *:1>", '<Directory "/x">'])
def test_ws_450_09_it_counts_for_whole_children(tester, section):
    name = section[1:].split()[0]
    result, _ = tester.configtest(f"{section}\nWebSocketMaxConnections 5\n</{name}>\n")
    assert result.returncode != 0, "accepted"
    assert "it counts for whole processes" in result.stderr


@pytest.mark.parametrize("value", ["0", "1", "10000000"])
def test_ws_450_10_a_right_number_is_taken(tester, value):
    result, _ = tester.configtest(f"WebSocketMaxConnections {value}\n")
    assert result.returncode == 0, result.stderr


def test_ws_450_11_a_crowd_that_is_refused_is_counted_and_does_not_fill_the_log(serve):
    server = serve(1)
    with server.open("/one") as client:
        for _ in range(25):
            assert refusal(server, "/one").status == 503
        client.close_properly()
    assert refused_in_log(server) == 25
    # httpd shows this level whatever LogLevel says.
    assert {line.level for line in server.error_log.find("WS0209: ")} == {"notice"}
    assert 10 <= len(server.error_log.find("WS0209: no WebSocket")) < 25
