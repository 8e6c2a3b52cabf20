"""The example fraggle: messages in fragments and their checksums, both ways."""

import json
import os
import random
import zlib

import pytest

from harness.conf import example, location
from harness.hosts import TLS_MODULES, tls_host
from harness.rawclient import BINARY, CLOSE, CONTINUATION, TEXT, frame

MODULES = TLS_MODULES
FRAGGLE = ("mod_websocket_rust_fraggle", "fraggle_init")
POLICY_VIOLATION, MESSAGE_TOO_BIG = 1008, 1009
LARGEST = 2 << 20


def configuration(server):
    return location("/fraggle", example(FRAGGLE)) + tls_host(server)


def crc32(data):
    return f"{zlib.crc32(data):08x}"


def receive_fragmented(client):
    """The fragments of the next message, after what the server says about it was checked."""
    fragments = [client.receive_frame()]
    assert fragments[0].opcode == BINARY
    while not fragments[-1].fin:
        fragments.append(client.receive_frame())
        assert fragments[-1].opcode == CONTINUATION
    payloads = [each.payload for each in fragments]
    assert all(1 <= len(payload) <= 2001 for payload in payloads)
    whole = b"".join(payloads)
    assert json.loads(client.receive_message().text) == {
        "bytes": len(whole), "fragments": len(payloads), "crc32": crc32(whole),
    }
    return payloads


def ask(client, claim):
    client.send_frame(TEXT, json.dumps({"crc32": claim}))
    return json.loads(client.receive_message().text)


def be_closed(client, code, reason):
    """The closing handshake that the server begins."""
    received = client.receive_frame()
    assert (received.opcode, received.close_code) == (CLOSE, code)
    assert received.payload[2:].decode() == reason
    client.send_close(code)
    assert client.receive_to_eof() == b""


@pytest.mark.parametrize("scheme", ["plain", "tls"])
@pytest.mark.parametrize(("query", "count"), [
    ("?fragments=1", 1), ("?fragments=2", 2), ("?fragments=100", 100), ("?fragments=1024", 1024),
    ("", 1024),
])
def test_ws_675_01_the_server_sends_fragments_and_their_checksum(httpd, scheme, query, count):
    tls = httpd.certificates.client_context() if scheme == "tls" else None
    with httpd.open(f"/fraggle{query}", tls=tls) as client:
        assert len(receive_fragmented(client)) == count
        client.close_properly()


def test_ws_675_02_the_lengths_of_fragments_are_spread_over_all(httpd):
    with httpd.open("/fraggle?seed=1") as client:
        lengths = [len(fragment) for fragment in receive_fragmented(client)]
        assert min(lengths) < 100 and max(lengths) > 1900
        client.close_properly()


def test_ws_675_03_a_seed_makes_the_messages(httpd):
    def messages(query):
        with httpd.open(f"/fraggle?fragments=5{query}") as client:
            both = []
            for _ in range(2):
                both.append(receive_fragmented(client))
                client.send_frame(TEXT, "again")
            receive_fragmented(client)
            client.close_properly()
            return both

    seven = messages("&seed=7")
    assert seven == messages("&seed=7")
    assert seven[0] != seven[1]
    assert seven != messages("&seed=8")
    assert messages(f"&seed={2**64 - 1}") != seven
    assert messages("") != messages("")


@pytest.mark.parametrize("query", [
    "fragments=", "fragments=0", "fragments=1025", "fragments=-1", "fragments=x", "fragments=1.0",
    "seed=", "seed=-1", "seed=x", f"seed={2**64}",
])
def test_ws_675_04_another_query_is_refused(httpd, query):
    with httpd.client() as client:
        assert client.upgrade(f"/fraggle?{query}").status == 400


@pytest.mark.parametrize("fragments", [1, 2, 1000])
@pytest.mark.parametrize("size", [0, 1, 100_000, LARGEST])
def test_ws_675_05_the_server_checks_what_it_gets(httpd, size, fragments):
    choose = random.Random(size + fragments)
    data = os.urandom(size)
    cuts = sorted(choose.randrange(size + 1) for _ in range(fragments - 1))
    pieces = [data[start:end] for start, end in zip([0, *cuts], [*cuts, size])]
    with httpd.open("/fraggle?fragments=1") as client:
        receive_fragmented(client)
        for claim, ok in ((crc32(data), True), (crc32(data + b"x"), False), ("", False)):
            client.send(b"".join(
                frame(CONTINUATION if number else BINARY, piece, fin=number == fragments - 1)
                for number, piece in enumerate(pieces)
            ))
            assert ask(client, claim) == {"ok": ok, "bytes": size, "crc32": crc32(data)}
        client.close_properly()


def test_ws_675_06_what_the_server_has_sent_can_be_sent_back(httpd):
    with httpd.open("/fraggle") as client:
        for _ in range(3):
            whole = b"".join(receive_fragmented(client))
            client.send_frame(BINARY, whole)
            assert ask(client, crc32(whole).upper())["ok"]
            client.send_frame(TEXT, "again")
        receive_fragmented(client)
        client.close_properly()


def test_ws_675_07_the_last_message_counts(httpd):
    with httpd.open("/fraggle?fragments=1") as client:
        receive_fragmented(client)
        client.send_frame(BINARY, "first")
        client.send_frame(BINARY, "second")
        assert ask(client, crc32(b"second"))["ok"]
        client.close_properly()


def test_ws_675_08_a_message_that_is_too_long_closes(httpd):
    with httpd.open("/fraggle?fragments=1") as client:
        receive_fragmented(client)
        client.send_frame(BINARY, bytes(LARGEST + 1))
        be_closed(client, MESSAGE_TOO_BIG, "a message has at most 2 MiB")


@pytest.mark.parametrize("text", [
    "", "Again", "again\n", "null", "{}", '{"crc32":0}', '{"ok":true}', '{"crc32":"00000000"',
])
def test_ws_675_09_any_other_text_closes(httpd, text):
    with httpd.open("/fraggle?fragments=1") as client:
        receive_fragmented(client)
        client.send_frame(BINARY, "message")
        client.send_frame(TEXT, text)
        be_closed(client, POLICY_VIOLATION, 'neither "again" nor a checksum')


@pytest.mark.parametrize("messages", [0, 1])
def test_ws_675_10_a_checksum_without_a_message_closes(httpd, messages):
    with httpd.open("/fraggle?fragments=1") as client:
        receive_fragmented(client)
        for _ in range(messages):
            client.send_frame(BINARY, "message")
            assert ask(client, crc32(b"message"))["ok"]
        client.send_frame(TEXT, '{"crc32":"00000000"}')
        be_closed(client, POLICY_VIOLATION, "a checksum without a message")


def test_ws_675_11_a_client_that_leaves_in_the_middle_harms_nobody(httpd):
    for way in ("vanish", "reset"):
        client = httpd.open("/fraggle", receive_buffer=4096)
        assert client.receive_frame().opcode == BINARY
        getattr(client, way)()
    with httpd.open("/fraggle") as client:
        receive_fragmented(client)
        client.close_properly()
