"""permessage-deflate (RFC 7692): negotiated, limited, and off unless configured."""

import asyncio
import json
import zlib
from contextlib import contextmanager

import pytest
from websockets.asyncio.client import connect as connect_async
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.sync.client import connect

from harness.conf import ECHO, example, location, plugin
from harness.rawclient import BINARY, CONTINUATION, PING, PONG, TEXT, frame

MODULES = ("ssl", "socache_shmcb")
RSV1 = 4  # of the three bits
TAIL = b"\x00\x00\xff\xff"
MESSAGES = ["", "a", "grüß " * 1000, json.dumps({"key": list(range(5000))}), bytes(300_000)]


def configuration(server):
    certificates = server.certificates
    on = "\nWebSocketCompression On\nWebSocketCompressionMinSize 0\n"
    return (
        location("/off", example(ECHO))
        + location("/echo", example(ECHO) + on)
        + location("/alone", example(ECHO) + on + "WebSocketCompressionContextTakeover Off\n")
        + location("/safari", example(ECHO) + on + "WebSocketCompressionContextTakeover Off\n")
        + """
<If "%{HTTP_USER_AGENT} =~ m#Version/15[.].* Safari/#">
  WebSocketCompressionContextTakeover On
</If>
"""
        + location("/narrow", example(ECHO) + on + "WebSocketCompressionWindowBits 9\n")
        + location("/large", example(ECHO) + "\nWebSocketCompression On\n")
        + location("/limited", example(ECHO) + on + "WebSocketMaxMessageSize 64K\n")
        + location("/rpc", plugin("rpc") + on)
        + f"""
{server.listen(server.tls_port)}
SSLSessionCache shmcb:run/ssl(512000)
<VirtualHost *:{server.tls_port}>
  SSLEngine on
  SSLCertificateFile "{certificates.server}"
  SSLCertificateKeyFile "{certificates.server_key}"
</VirtualHost>
"""
    )


def deflate(message, flush=zlib.Z_SYNC_FLUSH):
    compressor = zlib.compressobj(wbits=-15)
    data = compressor.compress(message) + compressor.flush(flush)
    return data[:-4] if flush == zlib.Z_SYNC_FLUSH else data


def inflate(payload):
    return zlib.decompressobj(wbits=-15).decompress(payload + TAIL)


def compressed(opcode, payload, fin=True):
    return frame(opcode, payload, fin=fin, rsv=RSV1)


@contextmanager
def offer(httpd, path, extensions):
    """A client that has offered, and what the server answered."""
    with httpd.client() as client:
        response = client.upgrade(path, headers=[("Sec-WebSocket-Extensions", extensions)])
        assert response.status == 101, response
        yield client, response.get("Sec-WebSocket-Extensions")


@pytest.mark.parametrize("path, offered, agreed", [
    ("/off", "permessage-deflate", None),
    ("/echo", "permessage-deflate", "permessage-deflate"),
    ("/echo", "permessage-deflate; client_max_window_bits", "permessage-deflate"),
    ("/echo", "x-webkit-deflate-frame", None),
    ("/echo", "permessage-deflate; unknown=1, permessage-deflate", "permessage-deflate"),
    ("/echo", 'permessage-deflate; server_max_window_bits="10"',
     "permessage-deflate; server_max_window_bits=10"),
    ("/echo", "permessage-deflate; server_max_window_bits=16", None),
    ("/echo", "permessage-deflate; server_no_context_takeover",
     "permessage-deflate; server_no_context_takeover"),
    ("/alone", "permessage-deflate",
     "permessage-deflate; server_no_context_takeover; client_no_context_takeover"),
    ("/narrow", "permessage-deflate; client_max_window_bits",
     "permessage-deflate; client_max_window_bits=9"),
])
def test_ws_260_01_the_response_says_what_was_agreed(httpd, path, offered, agreed):
    with offer(httpd, path, offered) as (client, said):
        parts = said and sorted(part.strip() for part in said.split(";"))
        assert parts == (agreed and sorted(part.strip() for part in agreed.split(";")))
        client.send(frame(BINARY, b"and it echoes"))
        answer = client.receive_frame()
        assert (inflate(answer.payload) if answer.rsv else answer.payload) == b"and it echoes"
        client.close_properly()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("path", ["/echo", "/alone", "/narrow", "/large"])
def test_ws_260_02_pythons_websockets_and_we_understand_each_other(httpd, path, tls):
    async def talk():
        # Not the client with threads: until Python 3.13, ssl lets one read and one write a connection at once,
        # and a session ticket that comes meanwhile can swallow the request.
        context = httpd.certificates.client_context() if tls else None
        async with connect_async(
            httpd.uri(path, tls=tls), ssl=context, compression="deflate", max_size=None,
        ) as socket:
            names = [type(one).__name__ for one in socket.protocol.extensions]
            assert names == ["PerMessageDeflate"]
            for message in MESSAGES:
                for _ in range(2):
                    await socket.send(message)
                    assert await socket.recv() == message

    asyncio.run(talk())


def test_ws_260_03_a_client_without_context_takeover_is_understood(httpd):
    factory = ClientPerMessageDeflateFactory(
        server_no_context_takeover=True, client_no_context_takeover=True, client_max_window_bits=9
    )
    with connect(httpd.uri("/echo"), compression=None, extensions=[factory]) as socket:
        for number in range(20):
            message = f"message {number} " * 50
            socket.send(message)
            assert socket.recv() == message


def test_ws_260_04_fragments_and_control_frames_between_them(httpd):
    with offer(httpd, "/alone", "permessage-deflate") as (client, _):
        message = b"in pieces " * 500
        payload = deflate(message)
        third = len(payload) // 3
        client.send(compressed(TEXT, payload[:third], fin=False))
        client.send(frame(PING, b"between"))
        client.send(frame(CONTINUATION, payload[third:2 * third], fin=False))
        client.send(frame(CONTINUATION, payload[2 * third:]))
        assert client.receive_frame().opcode == PONG
        answer = client.receive_frame()
        assert answer.rsv == RSV1 and inflate(answer.payload) == message
        client.close_properly()


@pytest.mark.parametrize("wrong", [
    compressed(PING, b"x"),
    compressed(TEXT, b"x", fin=False) + compressed(CONTINUATION, b"x"),
], ids=["a control frame", "a continuation frame"])
def test_ws_260_05_rsv1_elsewhere_is_a_protocol_error(httpd, wrong):
    with offer(httpd, "/echo", "permessage-deflate") as (client, _):
        client.send(wrong)
        client.expect_close(1002)


def test_ws_260_06_rsv1_without_agreement_is_a_protocol_error(httpd):
    with httpd.open("/echo") as client:
        client.send(compressed(TEXT, deflate(b"x")))
        client.expect_close(1002)


@pytest.mark.parametrize("payload", [b"\xff" * 50, b"\x07" + b"x" * 50], ids=["bits", "block type"])
def test_ws_260_07_data_that_is_no_deflate_fails_the_connection(httpd, payload):
    with offer(httpd, "/echo", "permessage-deflate") as (client, _):
        client.send(compressed(BINARY, payload))
        client.expect_close(1007)


def test_ws_260_08_text_is_checked_when_it_is_inflated(httpd):
    with offer(httpd, "/echo", "permessage-deflate") as (client, _):
        client.send(compressed(TEXT, deflate(b"\xc3\x28")))
        client.expect_close(1007)


def test_ws_260_09_a_bomb_ends_at_the_limit(httpd):
    with offer(httpd, "/limited", "permessage-deflate") as (client, _):
        # A thousandth of what it inflates to, 64 MiB: a thousand times the limit.
        client.send(compressed(BINARY, deflate(b"\0" * (64 << 20))))
        client.expect_close(1009)


def test_ws_260_10_a_final_block_of_the_sender_is_understood(httpd):
    with offer(httpd, "/alone", "permessage-deflate") as (client, _):
        for message in (b"first", b"second"):
            client.send(compressed(TEXT, deflate(message, zlib.Z_FINISH) + b"\x00"))
            answer = client.receive_frame()
            assert inflate(answer.payload) == message
        client.close_properly()


def test_ws_260_11_short_messages_go_uncompressed_by_default(httpd):
    with offer(httpd, "/large", "permessage-deflate") as (client, _):
        for length, is_compressed in [(255, False), (256, True)]:
            client.send(frame(TEXT, b"a" * length))
            assert bool(client.receive_frame().rsv) == is_compressed
        client.close_properly()


SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 15_6 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/15.6 Mobile/15E148 Safari/604.1"
)


@pytest.mark.parametrize("path, agent, is_understood", [
    ("/echo", "anybody", True), ("/safari", "anybody", False), ("/safari", SAFARI, True),
])
def test_ws_260_40_a_client_that_keeps_its_context_is_understood_where_it_may(
    httpd, path, agent, is_understood
):
    compressor = zlib.compressobj(wbits=-15)
    message = bytes(range(256)) * 2
    offered = [("Sec-WebSocket-Extensions", "permessage-deflate"), ("User-Agent", agent)]
    decompressor = zlib.decompressobj(wbits=-15)
    with httpd.open(path, offered) as client:
        for is_first in (True, False):
            data = compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH)
            client.send(compressed(BINARY, data[:-4]))
            if not is_first and not is_understood:
                closed = client.expect_close(1007)
                assert closed.payload[2:] == b"a compressed message is not DEFLATE data"
                return
            answer = client.receive_frame()
            if path == "/safari" and agent != SAFARI:
                decompressor = zlib.decompressobj(wbits=-15)
            assert decompressor.decompress(answer.payload + TAIL) == message
        client.close_properly()
