"""TLS 1.3 records that a usual client library does not send: rekeying in the middle of everything, records without
data, broken ones.

A record without data (a KeyUpdate) has the TLS layer answer "would block" while the next record has been taken from
the socket already, so that no poller tells of it. No test sends anything to wake the server, and there is no heartbeat.
"""

import struct
from contextlib import ExitStack

import pytest

from harness.conf import ECHO, example, location
from harness.rawclient import BINARY, CONTINUATION, PING, PONG, TEXT, close_frame, frame
from harness.records import (
    BAD_RECORD_MAC, KEY_UPDATE, NEW_SESSION_TICKET, UNEXPECTED_MESSAGE, RecordClient,
)
from harness.waiting import eventually

MODULES = ("ssl", "socache_shmcb")
THREADS = 4
# More than the threads of the event driver.
STUCK = 10
# Where each client has one of its own.
WORKERS = 20
MANY_ECHOES = 50
UNREAD = 4 << 20
ENDS = 40


def configuration(server):
    certificates = server.certificates
    return (
        f"WebSocketThreads 2 {THREADS}\n"
        + location("/echo", example(ECHO))
        + location("/pinged", example(ECHO), "WebSocketPingInterval 200ms")
        + f"""
SSLSessionCache shmcb:run/ssl(512000)
{server.listen(server.tls_port)}
<VirtualHost *:{server.tls_port}>
  SSLEngine on
  SSLProtocol TLSv1.3
  SSLCertificateFile "{certificates.server}"
  SSLCertificateKeyFile "{certificates.server_key}"
</VirtualHost>
"""
    )


@pytest.fixture
def client(httpd):
    with RecordClient(httpd) as client:
        yield client.open("/echo")


@pytest.mark.parametrize("is_requested", [False, True], ids=["alone", "request"])
@pytest.mark.parametrize("count", [1, 3, 200])
@pytest.mark.parametrize("piece", [None, 40, 7], ids=lambda piece: f"pieces-{piece}")
def test_ws_505_01_a_message_behind_key_updates_is_answered_at_once(client, piece, count, is_requested):
    tls = client.socket
    for _ in range(3):
        tls.send_records(
            *(tls.key_update(is_requested) for _ in range(count)),
            tls.data(frame(TEXT, "after new keys")),
            piece=piece,
        )
        assert client.receive_message().text == "after new keys"
    client.close_properly()
    assert (KEY_UPDATE in tls.messages) == is_requested


@pytest.mark.parametrize("is_requested", [False, True], ids=["alone", "request"])
def test_ws_505_02_new_keys_between_the_fragments_of_a_message_and_within_frames(client, is_requested):
    tls = client.socket
    first, second = frame(BINARY, b"a" * 20_000, fin=False), frame(CONTINUATION, b"b" * 300)
    ping = frame(PING, b"between")
    for piece in (None, 1000, 13):
        tls.send_records(
            tls.data(first[:3]), tls.key_update(is_requested), tls.data(first[3:10_000]),
            tls.key_update(is_requested), tls.key_update(), tls.data(first[10_000:]),
            tls.key_update(is_requested), tls.data(ping), tls.key_update(), tls.data(second[:1]),
            tls.key_update(is_requested), tls.data(second[1:]),
            piece=piece,
        )
        pong = client.receive_frame()
        assert (pong.opcode, pong.payload) == (PONG, b"between")
        assert client.receive_message().payload == b"a" * 20_000 + b"b" * 300
    client.close_properly()


def test_ws_505_03_key_updates_with_the_opening_handshake(httpd):
    with RecordClient(httpd) as client:
        tls = client.socket
        client.open("/echo")
        tls.send_records(tls.key_update(True), tls.data(frame(TEXT, "early")))
        assert client.receive_message().text == "early"
        client.close_properly()


@pytest.mark.parametrize("count", [1, 3, 20])
def test_ws_505_04_a_message_behind_records_without_data_is_answered_at_once(client, count):
    tls = client.socket
    for _ in range(3):
        tls.send_records(*(tls.data() for _ in range(count)), tls.data(frame(TEXT, "at last")))
        assert client.receive_message().text == "at last"
    client.close_properly()


@pytest.mark.parametrize("count", [1, 40])
def test_ws_505_05_a_close_or_the_end_behind_key_updates_is_seen_at_once(httpd, count):
    with RecordClient(httpd) as client:
        tls = client.open("/echo").socket
        tls.send_records(*(tls.key_update() for _ in range(count)), tls.data(close_frame(1000)))
        client.expect_close(1000)
    with RecordClient(httpd) as client:
        tls = client.open("/echo").socket
        tls.send_records(*(tls.key_update() for _ in range(count)))
        client.vanish()
    httpd.error_log.wait_for("WS0302: .*the peer vanished without a Close frame", level="info")


def test_ws_505_06_key_updates_without_end_keep_nobody_waiting(httpd):
    with RecordClient(httpd) as client, RecordClient(httpd) as other:
        tls = client.open("/echo").socket
        other.open("/echo")
        for _ in range(20):
            tls.send_records(*(tls.key_update() for _ in range(500)))
            other.echo("meanwhile")
        client.echo("through all of them")


def test_ws_505_07_a_session_ticket_from_a_client_ends_its_connection_only(httpd):
    with RecordClient(httpd) as client, RecordClient(httpd) as other:
        tls = client.open("/echo").socket
        other.open("/echo")
        content = struct.pack("!II", 60, 0) + b"\x01n" + struct.pack("!H", 1) + b"t" + b"\0\0"
        message = bytes([NEW_SESSION_TICKET]) + len(content).to_bytes(3, "big") + content
        tls.send_records(tls.handshake(message), tls.data(frame(TEXT, "unheard")))
        assert client.receive_to_eof() == b""
        assert tls.alerts == [UNEXPECTED_MESSAGE]
        other.echo("untouched")


def test_ws_505_08_a_message_of_the_handshake_that_never_ends_stops_nobody(httpd):
    # TLS wants its end before it writes anything, such as the ping that is due: it would wait for it.
    with ExitStack() as opened:
        healthy = opened.enter_context(RecordClient(httpd)).open("/echo")
        stuck = [opened.enter_context(RecordClient(httpd)).open("/pinged") for _ in range(STUCK)]
        for client in stuck:
            client.socket.send_records(client.socket.handshake(bytes([KEY_UPDATE, 0, 0, 1])))
        for client in stuck:
            while not ended(client):
                healthy.echo("meanwhile")


@pytest.mark.parametrize("answers", ["echoes", "pongs"])
def test_ws_505_09_a_broken_record_behind_unread_answers_stops_nobody(httpd, answers):
    # TLS sends an alert for it, with a demand to flush, while it is being read from.
    with ExitStack() as opened:
        stuck = [
            opened.enter_context(RecordClient(httpd, receive_buffer=4096)).open("/echo")
            for _ in range(STUCK)
        ]
        for client in stuck:
            send_unread(client, answers)
        healthy = opened.enter_context(RecordClient(httpd)).open("/echo")
        healthy.echo("before")
        for client in stuck:
            client.socket.send_records(client.socket.broken())
        for _ in range(MANY_ECHOES):
            healthy.echo("meanwhile")
        healthy.close_properly()


def test_ws_505_10_records_that_come_together_are_answered_one_after_the_other(client):
    # Of what is read from the socket at once, more is left each time than the record that is being answered.
    tls = client.socket
    client.echo("before")
    sizes = (0, 1, 125, 7_986, 7_992, 8_000, 8_186, 8_192, 16_000, 50, 3)
    for piece in (None, 5, 1_000, 16_406):
        payloads = [bytes([97 + index]) * size for index, size in enumerate(sizes)]
        tls.send_records(*(tls.data(frame(BINARY, payload)) for payload in payloads), piece=piece)
        for payload in payloads:
            assert client.receive_message().payload == payload
    client.close_properly()


def test_ws_505_11_what_came_before_a_broken_record_is_answered(client):
    tls = client.socket
    client.echo("before")
    tls.send_records(
        tls.data(frame(TEXT, "first")), tls.data(frame(BINARY, b"b" * 12_000)), tls.data(frame(TEXT, "last")),
        tls.broken(),
    )
    assert client.receive_message().text == "first"
    assert client.receive_message().payload == b"b" * 12_000
    assert client.receive_message().text == "last"
    assert client.receive_to_eof() == b""
    assert tls.alerts == [BAD_RECORD_MAC]


def test_ws_505_12_a_message_of_many_records_comes_whole_with_what_is_behind_it(client):
    tls = client.socket
    client.echo("before")
    message = bytes(range(256)) * 2_000
    framed = frame(BINARY, message)
    for piece in (None, 40_000, 16_411):
        tls.send_records(
            *(tls.data(framed[at:at + 16_384]) for at in range(0, len(framed), 16_384)), tls.key_update(True),
            tls.data(frame(TEXT, "behind it")), piece=piece,
        )
        assert client.receive_message().payload == message
        assert client.receive_message().text == "behind it"
    client.close_properly()


def test_ws_505_13_what_is_left_of_a_read_stays_while_others_are_served(httpd):
    # Threads read into buffers of their own, whosever turn it is.
    with ExitStack() as opened:
        clients = [opened.enter_context(RecordClient(httpd)).open("/echo") for _ in range(WORKERS)]
        for client in clients:
            client.echo("before")
        payloads = [
            [b"%d %d " % (number, index) * 200 for index in range(40)] for number in range(len(clients))
        ]
        for _ in range(5):
            # Encrypted before the first is sent: all are to be served at a time.
            records = [
                [client.socket.data(frame(BINARY, payload)) for payload in own]
                for client, own in zip(clients, payloads)
            ]
            for client, sealed in zip(clients, records):
                client.socket.send_records(*sealed)
            for client, own in zip(clients, payloads):
                for payload in own:
                    assert client.receive_message().payload == payload
        for client in clients:
            client.close_properly()


def test_ws_505_14_an_end_that_comes_with_a_key_update_is_seen(httpd):
    # No edge follows: what is read first is the record, and it has no data.
    for _ in range(ENDS):
        with RecordClient(httpd) as client:
            tls = client.open("/echo").socket
            tls.send_records(tls.key_update())
            client.vanish()
    vanished = "WS0302: .*the peer vanished without a Close frame"
    eventually(lambda: len(httpd.error_log.find(vanished)) >= ENDS, "a line for each")


def ended(client):
    """Whether the server has ended a connection on which nothing is to be read."""
    return client.has_input() and client.receive_to_eof() == b""


def send_unread(client, answers):
    """Sends what the client will read no answer to: more than the kernel keeps of those, less than the module does."""
    one = frame(BINARY, b"x" * 60_000) if answers == "echoes" else frame(PING, b"p" * 125) * 450
    for _ in range(UNREAD // len(one)):
        client.send(one)
