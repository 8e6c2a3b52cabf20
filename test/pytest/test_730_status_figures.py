"""The figures of the status handler: right after traffic that is known.

What is counted is asked for over HTTP. Under prefork a connection and the status are in different
processes, so that each of these tests is about shared memory too.
"""

import pytest

from harness.conf import ECHO, example, location, plugin, bare
from harness.rawclient import BINARY, PING, PONG, TEXT, close_frame, frame
from harness.status import LOCATION, Status
from harness.waiting import eventually


def configuration(server):
    return (
        LOCATION
        + location("/echo", example(ECHO))
        + location("/other", example(ECHO))
        + location("/rpc", plugin("rpc"))
        + location("/sleep", plugin("sleep"))
        + location("/pinged", example(ECHO), "WebSocketPingInterval 50ms")
        + location("/few", example(ECHO), "WebSocketMaxConnectionsPerClient 2")
        + location("/strict", example(ECHO), "WebSocketOriginCheck Same")
        + bare("/none")
        + location("/(paren)|pipe", example(ECHO))
    )


@pytest.fixture
def status(httpd):
    return Status(httpd)


class Growth:
    """How much the figures of a Location have grown since this was made."""

    def __init__(self, status, path):
        self._status, self._path = status, path
        self._before = status.location(path)

    def of(self, *keys):
        before = _at(self._before, keys)
        return _at(self._status.location(self._path), keys) - before

    def wait_for(self, count, *keys):
        eventually(lambda: self.of(*keys) == count, f"{'.'.join(keys)} of {self._path} to grow by {count}")


def _at(figures, keys):
    for key in keys:
        figures = (figures or {}).get(key, {})
    return figures or 0


def test_ws_730_01_a_websocket_is_open_until_it_is_closed(httpd, status):
    accepted, closed = Growth(status, "/echo"), Growth(status, "/echo")
    with httpd.open("/echo") as one, httpd.open("/echo") as other:
        assert status.location("/echo")["open"] == 2
        assert accepted.of("accepted") == 2
        one.close_properly()
        closed.wait_for(1, "closes", "1000")
        assert status.location("/echo")["open"] == 1
        other.close_properly(4000)
    closed.wait_for(1, "closes", "4000-4999")
    assert status.location("/echo")["open"] == 0
    assert closed.of("closes", "1000") == 1
    assert accepted.of("accepted") == 2


def test_ws_730_02_messages_and_bytes_are_counted_both_ways(httpd, status):
    growth = Growth(status, "/rpc")
    with httpd.open("/rpc") as client:
        sent = received = 0
        for size in (0, 1, 125, 126, 70000):
            message = frame(BINARY, b"x" * size)
            client.send(message)
            answer = client.receive_message()
            sent += len(message)
            received += len(answer.header) + len(answer.payload)
        growth.wait_for(received, "bytes", "out")
        assert growth.of("messages", "in") == growth.of("messages", "out") == 5
        assert growth.of("bytes", "in") == sent
        client.close_properly()
    # The Close frames count as bytes, and as no message.
    growth.wait_for(sent + len(close_frame(1000)), "bytes", "in")
    growth.wait_for(received + 4, "bytes", "out")
    assert growth.of("messages", "in") == growth.of("messages", "out") == 5


def test_ws_730_03_each_location_is_counted_for_itself_and_all_are_summed_up(httpd, status):
    before = status.total["accepted"]
    echo, other = Growth(status, "/echo"), Growth(status, "/other")
    with httpd.open("/echo"), httpd.open("/other"), httpd.open("/other"):
        document = status.read()
        opened = {each["location"]: each["open"] for each in document["locations"]}
        assert (opened[status.name_of("/echo")], opened[status.name_of("/other")]) == (1, 2)
        assert (echo.of("accepted"), other.of("accepted")) == (1, 2)
        assert document["total"]["open"] == sum(opened.values())
        assert document["total"]["accepted"] == before + 3
        plugins = {each["location"]: each["plugin"] for each in document["locations"]}
        assert plugins[status.name_of("/echo")] == "mod_websocket_echo"
    status.wait_for_open(0)


def test_ws_730_04_refusals_are_counted_by_their_reason(httpd, status):
    growth = {path: Growth(status, path) for path in ("/echo", "/strict", "/rpc", "/few")}
    nowhere = Growth(status, "")
    with httpd.client() as client:
        assert client.upgrade("/echo", version="99").status == 400
    with httpd.client() as client:
        assert client.upgrade("/strict", origin="http://other.example").status == 403
    with httpd.client() as client:
        assert client.upgrade("/rpc", [("X-Refuse", "1")]).status == 403
    httpd.error_log.expect("WS0206")
    with httpd.client() as client:
        assert client.upgrade("/rpc", [("X-Connect-Error", "1")]).status == 500
    httpd.error_log.expect("WS0204")
    with httpd.client() as client:
        assert client.upgrade("/none").status == 500
    with httpd.open("/few"), httpd.open("/few"), httpd.client() as client:
        response = client.upgrade("/few")
        assert (response.status, response.get("Retry-After") is not None) == (429, True)
    assert growth["/echo"].of("refused", "bad_handshake") == 1
    assert growth["/strict"].of("refused", "origin") == 1
    assert growth["/rpc"].of("refused", "plugin") == 2
    assert nowhere.of("refused", "no_plugin") == 1
    assert growth["/few"].of("refused", "too_many_of_client") == 1
    assert growth["/few"].of("accepted") == 2
    assert all(growth[path].of("accepted") == 0 for path in ("/echo", "/strict", "/rpc"))
    status.wait_for_open(0)


def test_ws_730_05_a_client_that_has_left_may_come_again(httpd, status):
    for _ in range(5):
        with httpd.open("/few") as one, httpd.open("/few") as other:
            one.close_properly()
            other.vanish()
        status.wait_for_open(0)


def test_ws_730_06_pings_tell_the_round_trip(httpd, status):
    growth = Growth(status, "/pinged")
    with httpd.open("/pinged") as client:
        for _ in range(3):
            ping = client.receive_frame()
            assert ping.opcode == PING
            client.send_frame(PONG, ping.payload)
        eventually(lambda: growth.of("ping_round_trip", "count") >= 3, "three round trips")
        figures = status.location("/pinged")["ping_round_trip"]
        assert 0 <= figures["p50"] <= figures["p99"]
        (connection,) = [
            each for each in status.read()["connections"] if each["location"] == status.name_of("/pinged")
        ]
        assert connection["ping_round_trip"] > 0


def test_ws_730_07_the_longest_callback_is_known(httpd, status):
    with httpd.open("/sleep") as client:
        for milliseconds in ("20", "120", "0"):
            client.echo(milliseconds)
        client.close_properly()
    eventually(lambda: status.location("/sleep")["longest_callback"] >= 0.12, "the longest callback")


@pytest.mark.parametrize(
    "end, code",
    [
        (lambda client: client.close_properly(1001), "1001"),
        (lambda client: client.close_properly(3999), "3000-3999"),
        (lambda client: client.send(close_frame()), "1005"),
        (lambda client: client.vanish(), "1006"),
        (lambda client: client.reset(), "1006"),
        (lambda client: client.send_frame(TEXT, "x", rsv=1), "1002"),
        (lambda client: client.send_frame(TEXT, b"\xff"), "1007"),
    ],
    ids=["1001", "3999", "none", "vanish", "reset", "reserved bit", "not UTF-8"],
)
def test_ws_730_08_ends_are_counted_by_their_code(httpd, status, end, code):
    growth = Growth(status, "/echo")
    with httpd.open("/echo") as client:
        client.echo("open")
        end(client)
        growth.wait_for(1, "closes", code)
    status.wait_for_open(0)


def test_ws_730_09_what_waits_for_a_client_is_seen(httpd, status):
    with httpd.open("/rpc", receive_buffer=4096) as client:
        client.send_frame(TEXT, "send-big 20000000")

        def waiting():
            return status.location("/rpc")["queued_bytes"]

        eventually(lambda: waiting() > 1000000, "bytes that wait")
        (connection,) = status.read()["connections"]
        assert connection["queued_bytes"] > 1000000
        received = 0
        while received < 20000000:
            received += len(client.receive_some())
        eventually(lambda: waiting() == 0, "no bytes that wait")
    status.wait_for_open(0)


def test_ws_730_10_open_connections_are_listed(httpd, status):
    with httpd.open("/echo") as client, httpd.open("/other"):
        client.echo("hello")
        # Bytes are counted when they have been written, which the client may see before.
        document = status.wait_for(
            lambda document: document["connections"][0]["bytes"] == {"in": 11, "out": 7}, "the message"
        )
        one, other = document["connections"]
        assert one["id"] < other["id"]
        assert [each["location"] for each in (one, other)] == [status.name_of("/echo"), status.name_of("/other")]
        assert one["client"] == "127.0.0.1"
        assert one["state"] == "open"
        assert one["messages"] == {"in": 1, "out": 1}
        assert document["since"] <= one["since"] <= other["since"] <= document["now"]
        assert {each["pid"] for each in (one, other)} <= set(httpd.children())
        assert {each["pid"] for each in (one, other)} <= {
            child["pid"] for child in document["children"]
        }
    status.wait_for_open(0)


def test_ws_730_11_the_list_comes_page_by_page(httpd, status):
    clients = [httpd.open("/echo") for _ in range(5)]
    try:
        seen, begin, pages = [], 0, 0
        while begin is not None:
            document = status.read(f"{begin},2")
            assert len(document["connections"]) <= 2
            seen += [each["id"] for each in document["connections"]]
            begin = document["next"]
            pages += 1
        assert (len(seen), pages) == (5, 3)
        assert seen == sorted(set(seen))
        assert status.read("0,0")["connections"] == []
    finally:
        for client in clients:
            client.vanish()
    status.wait_for_open(0)


def test_ws_730_12_threads_are_counted(httpd, status):
    with httpd.open("/sleep") as client:
        client.send_frame(TEXT, "1000")
        document = status.wait_for(
            lambda document: document["threads"]["busy"] >= 1, "a thread that is busy"
        )
        if httpd.mpm == "event":
            assert document["threads"]["busy"] + document["threads"]["idle"] >= 1
        client.receive_message()
        client.close_properly()
    status.wait_for(lambda document: document["threads"]["busy"] == 0, "no thread to be busy")


def test_ws_730_13_threads_come_with_the_first_websocket(make_httpd, mpm):
    server = make_httpd(mpm, LOCATION + location("/echo", example(ECHO))).start()
    least = 1 if mpm == "event" else 0
    status = Status(server)
    threads = status.read()["threads"]
    assert threads["busy"] == threads["idle"] == 0, threads
    with server.open("/echo") as client:
        client.echo("hello")
        status.wait_for(lambda document: document["threads"]["idle"] >= least, "threads to be idle")
        client.close_properly()


def test_ws_730_14_a_name_with_signs_is_a_name(httpd, status):
    with httpd.open("/(paren)|pipe") as client:
        assert status.location("/(paren)|pipe")["open"] == 1
        client.close_properly()
