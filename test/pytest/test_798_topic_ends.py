"""Topics where children come and go, and through what lies between: TLS, compression, reloads, stops."""

import os
import zlib
from contextlib import ExitStack

import pytest

from harness.hosts import TLS_MODULES, tls_host
from harness.processes import is_alive, thread_names
from harness.rawclient import TEXT
from harness.status import LOCATION
from harness.topics import (
    Subscriber, on_several_children, publish, publishing, several_children, topics,
)
from harness.waiting import eventually

MODULES = TLS_MODULES
WORKERS = 40
GOING_AWAY = 1001


def configuration(server):
    return (
        several_children(server)
        + LOCATION
        + topics("/topics")
        + topics("/compressed", "WebSocketCompression On", "WebSocketCompressionMinSize 0",
                 "WebSocketTopic /topics")
        + publishing("/publish", "WebSocketTopic /topics")
        + tls_host(server)
    )


LINES = (
    "WebSocketDrainTimeout {drain}\n" + LOCATION + topics("/topics") + publishing("/publish")
)


@pytest.fixture
def keep():
    """Enters what it is given, until the test's end."""
    with ExitStack() as stack:
        yield stack.enter_context


def test_ws_798_01_tls_and_compression_are_delivered_to_as_well(httpd, keep):
    context = httpd.certificates.client_context()
    plain = keep(httpd.open("/compressed"))
    tls = keep(httpd.open("/compressed", tls=context))
    offer = [("Sec-WebSocket-Extensions", "permessage-deflate; server_no_context_takeover")]
    packed = keep(httpd.open("/compressed", offer))
    assert "permessage-deflate" in packed.response.get("Sec-WebSocket-Extensions")
    for size in 1, 100, 5_000, 200_000:
        text = ("all work and no play " * (size // 20 + 1))[:size]
        assert publish(httpd, "/publish", text).document["subscribers"] == 3
        assert plain.receive_message().text == text
        assert tls.receive_message().text == text
        frame = packed.receive_frame()
        assert frame.rsv == 4
        inflater = zlib.decompressobj(-15)
        assert inflater.decompress(frame.payload + b"\0\0\xff\xff").decode() == text
    for client in plain, tls, packed:
        client.close_properly()


def test_ws_798_02_a_draining_child_goes_on_delivering(make_httpd, mpm, keep):
    server = make_httpd(mpm, LINES.format(drain=0)).start()
    old = server.children()
    subscribers = [keep(Subscriber(server, "/topics/long")) for _ in range(3)]
    for reload in range(2):
        server.graceful()
        newest = keep(Subscriber(server, "/topics/long"))
        subscribers.append(newest)
        for number in range(5):
            response = publish(server, "/publish/long", f"{reload}:{number}")
            assert response.document["subscribers"] == len(subscribers)
        for each in subscribers:
            assert each.data(5) == [f"{reload}:{number}" for number in range(5)]
    for each in subscribers:
        each.leave()
    eventually(lambda: not any(map(is_alive, old)), "the end of the first children")


def test_ws_798_03_a_stop_closes_subscribers_like_any_other(make_httpd, mpm, keep):
    server = make_httpd(mpm, LINES.format(drain="1s")).start()
    subscribers = [keep(Subscriber(server, "/topics/stop")) for _ in range(5)]
    publish(server, "/publish/stop", "before")
    for each in subscribers:
        assert each.data(1) == ["before"]
    server.stop()
    for each in subscribers:
        try:
            assert each.client.receive_frame().close_code == GOING_AWAY
        except EOFError:
            # worker closes the sockets of its threads under them.
            assert mpm == "worker"


def test_ws_798_04_a_graceful_stop_tells_them(make_httpd, mpm, keep):
    server = make_httpd(mpm, LINES.format(drain="300ms")).start()
    subscribers = [keep(Subscriber(server, "/topics/stop")) for _ in range(5)]
    server.graceful_stop()
    for each in subscribers:
        each.client.be_closed(GOING_AWAY)
    server.wait_for_exit()


def test_ws_798_05_another_memory_counts_from_a_start_on(make_httpd, mpm):
    lines = LINES.format(drain=0)
    server = make_httpd(mpm, "WebSocketTopicMemory 64K\n" + lines).start()
    with Subscriber(server, "/topics/x") as subscriber:
        since = subscriber.id
    publish(server, "/publish/x", "kept")
    server.configure("WebSocketTopicMemory 128K\n" + lines)
    server.error_log.expect("WS0115: .*65536 bytes.*WebSocketTopicMemory 131072")
    server.graceful()
    with Subscriber(server, "/topics/x", since) as back:
        assert back.hello["recovered"] is True and back.data(1) == ["kept"]
    server.stop()
    server.start()
    with Subscriber(server, "/topics/x", since) as back:
        assert back.hello["recovered"] is False and "begun anew" in back.hello["reason"]


def test_ws_798_06_only_a_child_with_subscribers_has_the_thread(make_httpd, mpm, keep):
    server = make_httpd(mpm, several_children_lines(mpm) + LINES.format(drain=0)).start()

    def having():
        return [pid for pid in server.children() if "websocket-topic" in thread_names(pid)]

    publish(server, "/publish/x", "nobody hears")
    assert having() == []
    keep(server.open("/topics/x"))
    assert len(having()) == 1
    on_several_children(server, lambda: keep(server.open("/topics/x")), least=2)
    assert len(having()) >= 2
    assert os.getpid() not in having()


def several_children_lines(mpm):
    class Named:
        pass

    server = Named()
    server.mpm = mpm
    return several_children(server, threads=8)


def test_ws_798_07_a_message_as_large_as_may_be_comes_whole(httpd, keep):
    clients = on_several_children(httpd, lambda: keep(httpd.open("/topics/big")), least=2)
    most = (16 << 20) // 8 - 344
    big = keep(httpd.open("/compressed"))
    assert publish(httpd, "/publish", "x" * (most + 1)).status == 413
    assert publish(httpd, "/publish", "x" * most).status == 201
    received = big.receive_message()
    assert (received.opcode, len(received.payload)) == (TEXT, most)
    assert clients


def test_ws_798_08_a_handler_alone_has_the_mpm_take_many(make_httpd, mpm):
    """Without it, a child of event would take some tens of subscribers."""
    server = make_httpd(mpm, topics("/topics")).start()
    with server.open("/topics/x"):
        told = bool(server.error_log.find("WS0107: a child accepts up to"))
        assert told == (mpm == "event")
