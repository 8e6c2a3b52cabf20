"""WebSockets under mod_ssl, also with client certificates."""

import asyncio
import random
import socket
import ssl

import pytest
from websockets.asyncio.client import connect

from harness.conf import ECHO, example, location, plugin
from harness.rawclient import BINARY, CONTINUATION, PING, PONG, TEXT, close_frame, frame

MODULES = ("ssl", "socache_shmcb")
WORKERS = 48
CLIENTS = 20


def configuration(server):
    certificates = server.certificates
    tls = f"""
  SSLEngine on
  SSLCertificateFile "{certificates.server}"
  SSLCertificateKeyFile "{certificates.server_key}"
  SSLCACertificateFile "{certificates.ca}"
"""
    return (
        location("/echo", example(ECHO))
        + location("/rpc", plugin("rpc"))
        + location("/small", example(ECHO), "WebSocketMaxMessageSize 100")
        + f"""
SSLSessionCache shmcb:run/ssl(512000)
{server.listen(server.tls_port)}
<VirtualHost *:{server.tls_port}>{tls}
  <Location /certified>
    SetHandler websocket-handler
    {example(ECHO)}
    SSLVerifyClient require
  </Location>
</VirtualHost>
# Here every client has to show a certificate.
{server.listen(server.spare_port)}
<VirtualHost *:{server.spare_port}>{tls}
  SSLVerifyClient require
  <Location /tester>
    SetHandler websocket-handler
    {example(ECHO)}
    Require expr %{{SSL_CLIENT_S_DN_CN}} == "tester"
  </Location>
  <Location /somebody-else>
    SetHandler websocket-handler
    {example(ECHO)}
    Require expr %{{SSL_CLIENT_S_DN_CN}} == "somebody else"
  </Location>
</VirtualHost>
"""
    )


def context_of(httpd, version, **options):
    context = httpd.certificates.client_context(**options)
    context.minimum_version = context.maximum_version = version
    return context


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_ws_500_01_messages_of_every_form_of_length_are_echoed(httpd, version):
    with httpd.open("/echo", tls=context_of(httpd, version)) as client:
        assert client.socket.version() == version.name.replace("_", ".")
        for size in (0, 1, 125, 126, 16383, 16384, 16385, 65535, 65536, 200_000, 1 << 20):
            client.echo(bytes([size % 251]) * size, BINARY)
        client.send_frame(PING, "ping")
        assert client.receive_frame().opcode == PONG
        client.close_properly(1000)


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
@pytest.mark.parametrize("count", [1, 5])
def test_ws_500_02_frames_in_the_record_of_the_handshake_are_not_lost(httpd, version, count):
    early = b"".join(frame(TEXT, f"early {n}") for n in range(count))
    with httpd.client(tls=context_of(httpd, version)) as client:
        client.open("/echo", then=early)
        for n in range(count):
            assert client.receive_message().text == f"early {n}"
        client.echo("later")
        client.close_properly()


def test_ws_500_03_frames_cut_at_any_place_of_records_are_put_together(httpd):
    data = frame(TEXT, "first") + frame(BINARY, b"z" * 300) + frame(TEXT, "a", fin=False) + frame(
        CONTINUATION, "b"
    )
    with httpd.open("/echo", tls=httpd.certificates.client_context()) as client:
        client.send_in_pieces(data, 1)
        assert client.receive_message().text == "first"
        assert client.receive_message().payload == b"z" * 300
        assert client.receive_message().text == "ab"


def test_ws_500_04_twenty_clients_with_messages_of_random_sizes(httpd):
    context = httpd.certificates.client_context()

    async def client(seed):
        choose = random.Random(seed)
        async with connect(httpd.uri("/echo", tls=True), ssl=context, max_size=None) as websocket:
            for _ in range(20):
                payload = choose.randbytes(choose.randrange(200_001))
                await websocket.send(payload)
                assert await asyncio.wait_for(websocket.recv(), 30) == payload

    async def everybody():
        await asyncio.gather(*(client(seed) for seed in range(CLIENTS)))

    asyncio.run(everybody())


def test_ws_500_05_both_sides_send_at_once_without_waiting(httpd):
    size, count = 100_000, 60
    with httpd.open("/echo", tls=httpd.certificates.client_context()) as client:
        client.send_while_receiving(
            b"".join(frame(BINARY, bytes([n]) * size) for n in range(count))
        )
        for n in range(count):
            assert client.receive_message().payload == bytes([n]) * size
        client.close_properly()


@pytest.mark.parametrize(("data", "code"), [
    (frame(TEXT, "x", rsv=4), 1002),
    (frame(TEXT, b"\xff"), 1007),
    (frame(TEXT, "x" * 101), 1009),
    (close_frame(1001), 1001),
])
def test_ws_500_06_a_close_arrives_and_nothing_follows_it(httpd, data, code):
    context = httpd.certificates.client_context()
    with httpd.open("/small", tls=context) as client:
        client.send(data)
        client.expect_close(code)
    with httpd.open("/small", tls=context) as client:
        client.send(data + b"\x00" * 30000)
        client.expect_close(code)


def test_ws_500_07_the_end_of_the_stream_is_announced(httpd):
    # Without TLS's close_notify Python reports a truncated stream, when it is told to.
    context = httpd.certificates.client_context()
    with httpd.client(tls=context, suppress_ragged_eofs=False) as client:
        client.open("/echo")
        client.close_properly()


def test_ws_500_08_a_large_message_to_a_client_that_reads_late_arrives(httpd):
    size = 8 << 20
    context = httpd.certificates.client_context()
    with httpd.open("/rpc", tls=context, receive_buffer=8192) as client:
        client.send_frame(TEXT, f"send-big {size}")
        with httpd.open("/echo", tls=context) as other:
            other.echo("meanwhile")
        assert client.receive_message().payload == b"x" * size
        assert client.receive_message().text == f"result {size}"
        client.close_properly()


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_ws_500_09_with_a_client_certificate_that_the_host_requires(httpd, version):
    context = context_of(httpd, version, identify=True)
    with httpd.open("/echo", tls=context, port=httpd.spare_port) as client:
        client.echo("identified")
    with httpd.open("/tester", tls=context, port=httpd.spare_port) as client:
        client.echo("identified by name")
    with httpd.client(tls=context, port=httpd.spare_port) as client:
        httpd.error_log.expect(r"\[authz_core:error\].* AH01630: ")
        assert client.upgrade("/somebody-else").status == 403


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_ws_500_10_without_the_client_certificate_that_the_host_requires(httpd, version):
    context = context_of(httpd, version)
    with pytest.raises((ssl.SSLError, OSError, EOFError)):
        with httpd.client(tls=context, port=httpd.spare_port) as client:
            client.open("/echo")


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_ws_500_11_with_a_client_certificate_that_the_location_requires(httpd, version):
    # mod_ssl asks for it in the middle of the connection: post-handshake authentication in
    # TLS 1.3, renegotiation before that.
    context = context_of(httpd, version, identify=True)
    context.post_handshake_auth = True
    with httpd.open("/certified", tls=context) as client:
        for size in (10, 100_000):
            client.echo("x" * size)
        client.close_properly()


def test_ws_500_12_without_the_client_certificate_that_the_location_requires(httpd):
    context = context_of(httpd, ssl.TLSVersion.TLSv1_3)
    httpd.error_log.expect(r"\[ssl:error\].* AH10158: |\[ssl:error\].* SSL Library Error: ")
    with httpd.client(tls=context) as client:
        assert client.upgrade("/certified").status == 403
    httpd.error_log.expect(r"\[ssl:error\].* AH02263: ")
    context.post_handshake_auth = True
    with httpd.client(tls=context) as client:
        with pytest.raises((OSError, EOFError)):
            client.upgrade("/certified")


def test_ws_500_13_plain_http_on_the_tls_port_is_no_websocket(httpd):
    with httpd.client(port=httpd.tls_port) as client:
        assert client.upgrade("/echo").status == 400


@pytest.mark.parametrize("way", ["vanish", "reset"])
def test_ws_500_14_leaving_in_the_middle_of_a_record_disturbs_nobody(httpd, way):
    context = httpd.certificates.client_context()
    with httpd.open("/echo", tls=context) as other:
        for _ in range(5):
            client = httpd.open("/echo", tls=context)
            client.send(frame(BINARY, b"x" * 40000)[:20000])
            getattr(client, way)()
            other.echo("undisturbed")


def test_ws_500_15_garbage_instead_of_a_record_ends_the_connection(httpd):
    context = httpd.certificates.client_context()
    client = httpd.open("/echo", tls=context)
    with socket.socket(fileno=client.socket.detach()) as plain:
        plain.settimeout(15)
        plain.sendall(b"this is no TLS record at all" * 10)
        try:
            while plain.recv(65536):
                pass
        except ConnectionResetError:
            pass
    with httpd.open("/echo", tls=context) as other:
        other.echo("still serving")
