"""Filters of other modules on the connection see what a WebSocket carries."""

import pytest

from harness.conf import ECHO, example, location
from harness.rawclient import BINARY, TEXT

MODULES = ("dumpio", "ssl", "socache_shmcb")


def configuration(server):
    certificates = server.certificates
    return location("/echo", example(ECHO)) + f"""
LogLevel dumpio:trace7
DumpIOInput On
DumpIOOutput On
{server.listen(server.tls_port)}
SSLSessionCache shmcb:run/ssl(512000)
<VirtualHost *:{server.tls_port}>
  SSLEngine on
  SSLCertificateFile "{certificates.server}"
  SSLCertificateKeyFile "{certificates.server_key}"
</VirtualHost>
"""


@pytest.mark.parametrize("kind", ["plain", "tls"])
def test_ws_540_01_mod_dumpio_sees_frames_in_both_directions(httpd, kind):
    tls = httpd.certificates.client_context() if kind == "tls" else None
    with httpd.open("/echo", tls=tls) as client:
        client.echo("first message")
        client.echo(b"z" * 100_000, BINARY)
        client.send_frame(TEXT, "second message")
        assert client.receive_message().text == "second message"
        client.close_properly()
    httpd.error_log.wait_for(r"\[dumpio:trace7\].*dumpio_in ")
    if kind == "plain":
        # A masked text cannot be read in the log, an answer can.
        httpd.error_log.wait_for(r"dumpio_out .*first message")
        httpd.error_log.wait_for(r"dumpio_out .*second message")
