"""The `websockets` package as a client: what a library expects of a server."""

import asyncio

import pytest
from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK, InvalidStatus
from websockets.sync.client import connect

from harness import settings
from harness.conf import ECHO, RUST_ECHO, example, location, plugin

MODULES = ("ssl", "socache_shmcb")
WORKERS = 32


def configuration(server):
    certificates = server.certificates
    return (
        location("/echo", example(ECHO))
        + location("/rust/echo", example(RUST_ECHO))
        + location("/rpc", plugin("rpc"))
        + location("/small", example(ECHO), "WebSocketMaxMessageSize 100")
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


@pytest.mark.parametrize("path", ["/echo", "/rust/echo"])
def test_ws_250_01_text_and_binary_are_echoed(httpd, path):
    with connect(httpd.uri(path)) as websocket:
        for message in ("", "text", "κόσμε", b"", b"\x00\xff", "x" * 100_000):
            websocket.send(message)
            assert websocket.recv(timeout=15) == message
        assert websocket.protocol.extensions == []


def test_ws_250_02_a_ping_is_answered(httpd):
    with connect(httpd.uri("/echo")) as websocket:
        assert websocket.ping(b"payload").wait(15)


def test_ws_250_03_a_close_of_the_client_is_answered(httpd):
    with connect(httpd.uri("/echo")) as websocket:
        websocket.close(4001, "reason")
        assert websocket.protocol.close_code == 4001
        assert websocket.protocol.close_exc.rcvd.code == 4001


def test_ws_250_04_a_close_of_the_plugin_ends_the_connection(httpd):
    with connect(httpd.uri("/rpc")) as websocket:
        websocket.send("send-close 4002 enough")
        with pytest.raises((ConnectionClosedError, ConnectionClosedOK)) as closed:
            websocket.recv(timeout=15)
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4002, "enough")
        assert closed.value.rcvd_then_sent


def test_ws_250_05_a_message_too_large_is_reported(httpd):
    with connect(httpd.uri("/small")) as websocket:
        websocket.send("x" * 101)
        with pytest.raises(ConnectionClosedError) as closed:
            websocket.recv(timeout=15)
        assert closed.value.rcvd.code == 1009


def test_ws_250_06_a_subprotocol_is_agreed_on(httpd):
    with connect(
        httpd.uri("/rpc"), subprotocols=["one", "two"],
        additional_headers={"X-Choose-Protocol": "two"},
    ) as websocket:
        assert websocket.subprotocol == "two"


def test_ws_250_07_a_refusal_is_reported_with_its_status(httpd):
    with pytest.raises(InvalidStatus) as refused:
        connect(httpd.uri("/rpc"), additional_headers={"X-Refuse": "1"})
    assert refused.value.response.status_code == 403
    with pytest.raises(InvalidStatus) as refused:
        connect(httpd.uri("/echo"), origin="http://evil.example")
    assert refused.value.response.status_code == 403


@pytest.mark.skipif(not settings.ipv6(), reason="no IPv6 on loopback")
@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_ws_250_08_over_ipv6(httpd, scheme):
    tls = scheme == "wss"
    port = httpd.tls_port if tls else httpd.port
    context = httpd.certificates.client_context() if tls else None
    origin = f"{'https' if tls else 'http'}://[::1]:{port}"

    async def client():
        uri = f"{scheme}://[::1]:{port}/echo"
        async with connect_async(uri, ssl=context, origin=origin) as websocket:
            await websocket.send("six")
            assert await asyncio.wait_for(websocket.recv(), 15) == "six"

    asyncio.run(client())


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_ws_250_09_twenty_asynchronous_clients_at_once(httpd, tls):
    context = httpd.certificates.client_context() if tls else None

    async def client(number):
        async with connect_async(httpd.uri("/echo", tls=tls), ssl=context) as websocket:
            for turn in range(30):
                message = f"{number}: {turn} " * (turn * 20)
                await websocket.send(message)
                assert await asyncio.wait_for(websocket.recv(), 15) == message

    async def everybody():
        await asyncio.gather(*(client(number) for number in range(20)))

    asyncio.run(everybody())


def test_ws_250_10_a_fragmented_message_of_a_library_is_put_together(httpd):
    with connect(httpd.uri("/echo")) as websocket:
        websocket.send(["Hel", "lo, ", "world"])
        assert websocket.recv(timeout=15) == "Hello, world"
