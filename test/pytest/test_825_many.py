"""One message to many: it arrives once at each, in its order, unchanged, whatever each has agreed on."""

import threading
import zlib
from contextlib import ExitStack
from functools import lru_cache

import pytest

from harness.conf import location, plugin
from harness.hosts import TLS_MODULES, tls_host
from harness.rawclient import BINARY, TEXT, frame

MODULES = TLS_MODULES
WORKERS = 24
RSV1 = 4  # of the three bits
TAIL = b"\x00\x00\xff\xff"
MISUSE = "WS0401"
THREADS, COUNT, SIZE, LARGE = 4, 48, 3000, 70_000
SLOW = 2  # members that read nothing before others have got something
PATIENCE = 60

# What each member asks for, and then whether its inflater keeps its window.
PLAIN = ("/plain", None)
OFFERS = [
    PLAIN,
    ("/compressed", "permessage-deflate"),
    ("/compressed", "permessage-deflate; server_max_window_bits=9"),
    PLAIN,
    ("/compressed", "permessage-deflate; server_no_context_takeover"),
    ("/compressed", "permessage-deflate; server_max_window_bits=12"),
    ("/fast", "permessage-deflate"),
    ("/compressed", "permessage-deflate"),
]


def configuration(server):
    on = ("WebSocketCompression On", "WebSocketCompressionMinSize 30")
    many = plugin("many")
    return (
        location("/plain", many, "WebSocketSendBuffer 64K")
        + location("/compressed", many, "WebSocketSendBuffer 64K", *on)
        + location("/fast", many, *on, "WebSocketCompressionLevel 1")
        + tls_host(server)
    )


@pytest.fixture(params=["plain", "tls"])
def tls(request, httpd):
    return httpd.certificates.client_context() if request.param == "tls" else None


@lru_cache(maxsize=None)
def composed(thread, number, size=SIZE):
    """As `compose` in test/plugins/c/many.c."""
    size = 40 if number % 4 == 0 else LARGE if number % 16 == 7 else size
    state = thread * 7919 + number
    text = bytearray(f"{thread} {number} ".encode())
    for _ in range(size - len(text)):
        if number % 3 == 0:
            state = (state * 1664525 + 1013904223) % (1 << 32)
            text.append(97 + (state >> 24) % 26)
        else:
            state += 1
            text.append(97 + state % 26)
    return bytes(text)


class Member:
    """A client, and its inflater: zlib's own, with no more window than was agreed on."""

    def __init__(self, keep, httpd, offer, tls, slow):
        path, extensions = offer
        headers = [("Sec-WebSocket-Extensions", extensions)] if extensions else []
        options = {"receive_buffer": 4096} if slow else {}
        self.client = keep(httpd.open(path, headers, tls=tls, **options))
        self.client.socket.settimeout(PATIENCE)
        agreed = self.client.response.get("Sec-WebSocket-Extensions") or ""
        assert bool(extensions) == agreed.startswith("permessage-deflate")
        bits = [part.partition("=")[2] for part in agreed.split(";") if "server_max_window" in part]
        self.bits = int(bits[0]) if bits else 15
        self.has_context = "server_no_context_takeover" not in agreed
        self.inflater = None
        self.compressed = 0

    def receive(self):
        received = self.client.receive_frame()
        assert received.fin and not received.masked
        if received.rsv == 0:
            return received.opcode, received.payload
        assert received.rsv == RSV1
        self.compressed += 1
        if self.inflater is None or not self.has_context:
            self.inflater = zlib.decompressobj(wbits=-self.bits)
        payload = self.inflater.decompress(received.payload + TAIL)
        assert not self.inflater.unconsumed_tail
        return received.opcode, payload

    def ask(self, question):
        self.client.send_frame(TEXT, question)
        return self.receive()[1].decode()

    def receive_all(self, has_begun):
        """What the threads send: each of them in its order."""
        next_of = dict.fromkeys(range(THREADS), 0)
        for count in range(THREADS * COUNT):
            opcode, payload = self.receive()
            assert opcode == BINARY
            thread, number = (int(word) for word in payload.split(b" ", 2)[:2])
            assert number == next_of[thread]
            next_of[thread] += 1
            assert payload == composed(thread, number)
            if count == 10:
                has_begun.set()


@pytest.fixture
def members(httpd, mpm, tls):
    """Of one process: under prefork each has one of its own."""
    with ExitStack() as stack:
        made = []

        def make(count=len(OFFERS), slow=SLOW):
            for place in range(count if mpm != "prefork" else 1):
                offer = OFFERS[place % len(OFFERS)] if mpm != "prefork" else OFFERS[2]
                made.append(
                    Member(stack.enter_context, httpd, offer, tls, count - place <= slow)
                )
            return made

        yield make


def all_are_well(members):
    """Nothing comes behind what was sent, and each still answers."""
    for member in members:
        assert member.ask("many") == str(len(members))
    for member in members:
        member.client.close_properly()


def test_ws_825_01_what_threads_send_to_many_arrives_once_in_order_and_unchanged(members, mpm):
    everybody = members()
    has_begun, failures = threading.Event(), []

    def run(member, is_slow):
        try:
            if is_slow:
                assert has_begun.wait(PATIENCE)
            member.receive_all(has_begun)
        except Exception as failure:  # told below, on the test's own thread
            failures.append((member.bits, member.has_context, repr(failure)))
            member.client.vanish()

    slow = everybody[-SLOW:] if len(everybody) > SLOW else []
    readers = [
        threading.Thread(target=run, args=(member, member in slow)) for member in everybody
    ]
    everybody[0].client.send_frame(TEXT, f"threads {THREADS} {COUNT} {SIZE}")
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert not failures
    for member, (_path, extensions) in zip(everybody, OFFERS if mpm != "prefork" else [OFFERS[2]]):
        assert bool(extensions) == (member.compressed > 0)
    all_are_well(everybody)


def test_ws_825_02_a_callbacks_messages_reach_everybody_in_their_order(members):
    everybody = members(slow=0)
    texts = [f"{number} " + "what is said to all " * (number % 40) for number in range(60)]
    speaker = everybody[-1].client
    # In one write, so that more input is at hand behind most of them.
    speaker.send(b"".join(frame(TEXT, f"say {text}".encode()) for text in texts))
    for member in everybody:
        assert [member.receive() for _ in texts] == [(TEXT, text.encode()) for text in texts]
    all_are_well(everybody)


def test_ws_825_03_who_leaves_meanwhile_keeps_nobody_else_from_anything(members, mpm):
    everybody = members(slow=0)
    if len(everybody) > 4:
        everybody[0].client.send_frame(TEXT, f"threads {THREADS} {COUNT} {SIZE}")
        for member in everybody[4:]:
            member.receive()
            member.client.reset()
    else:
        assert mpm == "prefork"
        everybody[0].client.send_frame(TEXT, f"threads {THREADS} {COUNT} {SIZE}")
    for member in everybody[:4]:
        member.receive_all(threading.Event())
    for member in everybody[:4]:
        member.client.close_properly()


@pytest.mark.parametrize("what, answer", [
    ("text", "0 -2 -2"), ("type", "0 -2 -2"), ("buffer", "0 -2 -2"),
])
def test_ws_825_04_a_mistake_goes_to_nobody(httpd, what, answer):
    httpd.error_log.expect(MISUSE)
    with httpd.open("/plain") as client:
        client.send_frame(TEXT, f"bad {what}")
        assert client.receive_message().text == answer
        client.close_properly()
    assert len(httpd.error_log.wait_for(MISUSE, count=1)) == 1


@pytest.mark.parametrize("what, answer, reached", [
    ("receiver", "1 1 -1", 1), ("process", "1 1 -1", 1), ("nothing", "2 1 1", 2),
    ("server", "0 7 7", 0), ("receivers", "0 7 7", 0),
])
def test_ws_825_05_who_cannot_be_reached_is_told_of(httpd, what, answer, reached):
    with httpd.open("/plain") as client:
        client.send_frame(TEXT, f"bad {what}")
        for _ in range(reached):
            assert client.receive_message().text == "bad"
        assert client.receive_message().text == answer
        client.close_properly()
