"""What the access log counts, on a server with as few modules as possible and with TLS."""

import re

import pytest

from harness.conf import ECHO, example, location, plugin
from harness.lines import whole_lines
from harness.rawclient import BINARY, PING, PONG, TEXT
from harness.waiting import eventually

MODULES = ("logio", "ssl", "socache_shmcb")
SLACK = 3000


def configuration(server):
    certificates = server.certificates
    return location("/echo", example(ECHO)) + location("/rpc", plugin("rpc")) + f"""
LogFormat "%>s %I %O %B \\"%r\\"" counted
CustomLog "counted.log" counted
{server.listen(server.tls_port)}
SSLSessionCache shmcb:run/ssl(512000)
<VirtualHost *:{server.tls_port}>
  SSLEngine on
  SSLCertificateFile "{certificates.server}"
  SSLCertificateKeyFile "{certificates.server_key}"
</VirtualHost>
"""


@pytest.fixture(params=["plain", "tls"])
def tls(request, httpd):
    return httpd.certificates.client_context() if request.param == "tls" else None


def counts(httpd, name):
    """Bytes received and sent on the wire, and bytes of the response, from the only line."""
    path = httpd.directory / "counted.log"

    def lines():
        return [line for line in whole_lines(path) if f"?{name} " in line]

    (line,) = eventually(lines, f"the access log's line for {name}")
    match = re.match(r"101 (\d+) (\d+) (\d+) ", line)
    assert match, line
    return tuple(int(number) for number in match.groups())


def test_ws_550_01_bytes_are_counted_in_both_directions(httpd, tls, request):
    name = f"both-{request.node.callspec.id}"
    size = 300_000
    with httpd.open(f"/echo?{name}", tls=tls) as client:
        for _ in range(3):
            client.echo(b"x" * size, BINARY)
        client.close_properly()
    received, sent, body = counts(httpd, name)
    # Under TLS each record of 16 KiB adds a little.
    most = 3 * size + SLACK + (3 * size // 16384 + 10) * 40 * (tls is not None)
    assert 3 * size < received < most
    assert 3 * size < sent < most
    assert 3 * size < body < 3 * size + SLACK


def test_ws_550_02_small_messages_are_counted_too(httpd, tls, request):
    name = f"small-{request.node.callspec.id}"
    count = 200
    with httpd.open(f"/echo?{name}", tls=tls) as client:
        for number in range(count):
            client.echo(f"{number:98}")
        client.send_frame(PING)
        assert client.receive_frame().opcode == PONG
        client.close_properly()
    received, sent, body = counts(httpd, name)
    most = count * 100 + SLACK + count * 40 * (tls is not None)
    assert count * 100 < sent < most
    assert count * 100 < body < count * 100 + SLACK
    assert count * 104 < received < most + count * 4


def test_ws_550_03_output_without_input_is_counted_when_the_client_vanishes(httpd, tls, request):
    name = f"out-{request.node.callspec.id}"
    size = 500_000
    with httpd.open(f"/rpc?{name}", tls=tls) as client:
        client.send_frame(TEXT, f"send-big {size}")
        assert len(client.receive_message().payload) == size
        client.receive_message()
    received, sent, body = counts(httpd, name)
    assert received < SLACK * 2
    assert size < sent < size + SLACK + (size // 16384 + 10) * 40 * (tls is not None)
    assert size < body < size + SLACK
