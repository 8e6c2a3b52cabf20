"""Processor time and memory: nothing spins, nothing grows."""

import pytest

from harness.conf import ECHO, RUST_ECHO, example, location, plugin
from harness.processes import connections
from harness.rawclient import BINARY, TEXT, close_frame, frame
from harness.waiting import eventually

MODULES = ("ssl", "socache_shmcb")
WORKERS = 24
KILOBYTE, MEGABYTE = 1 << 10, 1 << 20


def configuration(server):
    certificates = server.certificates
    return (
        location("/echo", example(ECHO))
        + location("/rust/echo", example(RUST_ECHO))
        + location("/rpc", plugin("rpc"))
        + location("/recorder", plugin("recorder"))
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


def test_ws_610_01_idle_websockets_take_no_processor_time(httpd, burns_no_cpu):
    context = httpd.certificates.client_context()
    clients = []

    def client(path="/echo", **options):
        clients.append(httpd.open(path, **options))
        return clients[-1]

    try:
        for _ in range(3):
            client().echo("idle")
            client(tls=context).echo("idle under TLS")
        # In the middle of a header, of a payload, of a message.
        client().send(frame(TEXT, "x" * 200)[:3])
        client().send(frame(TEXT, "x" * 200)[:50])
        client(tls=context).send(frame(TEXT, "x" * 200)[:50])
        client().send_frame(TEXT, "unfinished", fin=False)
        # Closed, with a client that does not close its side.
        lingering = client()
        lingering.send(close_frame(1000))
        lingering.receive_to_eof()
        # Output that the client does not take.
        for each in (client("/rpc", receive_buffer=4096), client("/rpc", tls=context)):
            each.send_frame(TEXT, f"send-big {8 * MEGABYTE}")
            each.receive_exactly(10)
        burns_no_cpu(httpd)
        clients[0].echo("and alive")
    finally:
        for each in clients:
            each.vanish()


def test_ws_610_02_websockets_that_are_gone_take_no_processor_time(httpd, burns_no_cpu):
    context = httpd.certificates.client_context()
    recorder = httpd.recorder()
    for tls in (None, context):
        for way in ("vanish", "reset"):
            client = httpd.open("/recorder", tls=tls)
            client.send(frame(TEXT, "x" * 200)[:50])
            getattr(client, way)()
        with httpd.open("/recorder", tls=tls) as client:
            client.send_frame(TEXT, "x", rsv=1)
            client.expect_close(1002)
    recorder.wait_for_ends(6)
    burns_no_cpu(httpd)


@pytest.mark.parametrize("path", ["/echo", "/rust/echo"])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_ws_610_03_memory_stays_flat_while_messages_are_echoed(httpd, path, opcode):
    batch = frame(opcode, b"x" * KILOBYTE) * 100
    with httpd.open(path) as client:
        def echo(batches):
            for _ in range(batches):
                client.send(batch)
                for _ in range(100):
                    assert len(client.receive_frame().payload) == KILOBYTE

        echo(10)
        before = httpd.resident_bytes()
        echo(100)  # 10 MiB in, 10 MiB out
        assert httpd.resident_bytes() - before < 2 * MEGABYTE


def test_ws_610_04_memory_of_large_messages_is_given_back_or_used_again(httpd):
    with httpd.open("/echo") as client:
        payload = b"x" * (4 * MEGABYTE)
        for _ in range(3):
            client.echo(payload, BINARY)
        before = httpd.resident_bytes()
        for _ in range(20):
            client.echo(payload, BINARY)
        assert httpd.resident_bytes() - before < 16 * MEGABYTE


def test_ws_610_05_memory_follows_fragments_received(httpd):
    with httpd.open("/echo") as client:
        before = httpd.resident_bytes()
        client.send_frame(BINARY, fin=False)
        # Empty fragments are free of charge, however many.
        for _ in range(50):
            client.send(frame(0, fin=False) * 1000)
        client.send_frame(0, b"end")
        assert client.receive_message().payload == b"end"
        assert httpd.resident_bytes() - before < 2 * MEGABYTE


def test_ws_610_06_memory_stays_flat_while_connections_come_and_go(httpd):
    def come_and_go(count):
        for _ in range(count):
            with httpd.open("/echo") as client:
                client.echo("x" * KILOBYTE)
                client.close_properly()
        # Under event, what a connection took is given back some time after its end.
        eventually(lambda: not any(map(connections, httpd.children())), "no connection")

    come_and_go(400)
    before = httpd.resident_bytes()
    for _ in range(2):
        come_and_go(400)
    assert httpd.resident_bytes() - before < 4 * MEGABYTE
