"""However a connection ends, on_disconnect is called exactly once and nothing is left behind."""

import os
import threading

import pytest

from harness.conf import location, plugin
from harness.rawclient import (
    BINARY, CLOSE, CONTINUATION, PING, TEXT, close_frame, frame, handshake_headers,
)
from harness.waiting import eventually

MODULES = ("ssl", "socache_shmcb")
WORKERS = 24

WHOLE = (
    frame(TEXT, "a message")
    + frame(BINARY, b"z" * 200)
    + frame(TEXT, "frag", fin=False)
    + frame(PING, "ping")
    + frame(CONTINUATION, "ment")
    + frame(BINARY, b"y" * 65536)[:20]
)
# Every byte of the headers and some of the payloads.
CUTS = [
    *range(0, 24), 100, 220, 223, 224, 230, 232, 236, 240, 243, 248, 250, *range(253, len(WHOLE)),
]


def configuration(server):
    certificates = server.certificates
    return location("/recorder", plugin("recorder")) + location("/recorder/brief", "WebSocketCloseTimeout 500ms") + f"""
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


@pytest.mark.parametrize("code", [None, 1000, 1001, 3000, 4999])
def test_ws_240_01_by_a_close_of_the_peer(httpd, tls, code):
    recorder = httpd.recorder()
    with httpd.open("/recorder", tls=tls) as client:
        client.echo("hello")
        client.close_properly(code)
    (callbacks,) = recorder.wait_for_ends().values()
    assert callbacks == ["connect", "message 5", "disconnect"]


def test_ws_240_02_by_a_close_of_the_peer_that_never_ends_its_side(httpd):
    recorder = httpd.recorder()
    with httpd.open("/recorder") as client:
        client.close_properly(1000)
        # The client's socket is still open: the plugin need not wait for it.
        recorder.wait_for_ends()


@pytest.mark.parametrize("command", ["close", "close-later"])
def test_ws_240_03_by_a_close_of_the_plugin(httpd, tls, command):
    recorder = httpd.recorder()
    with httpd.open("/recorder", tls=tls) as client:
        client.send_frame(TEXT, command)
        assert client.receive_frame().opcode == CLOSE
        client.send_close(1000)
        assert client.receive_to_eof() == b""
    recorder.wait_for_ends()


@pytest.mark.parametrize("command", ["close", "close-later"])
def test_ws_240_04_by_a_close_of_the_plugin_that_the_peer_answers_by_vanishing(httpd, command):
    recorder = httpd.recorder()
    with httpd.open("/recorder") as client:
        client.send_frame(TEXT, command)
        assert client.receive_frame().opcode == CLOSE
    recorder.wait_for_ends()


def test_ws_240_05_by_a_close_of_the_plugin_that_the_peer_ignores(httpd):
    recorder = httpd.recorder()
    with httpd.open("/recorder/brief") as client:
        client.send_frame(TEXT, "close")
        assert client.receive_frame().opcode == CLOSE
        # The peer neither answers nor leaves; the server's patience is bounded.
        recorder.wait_for_ends()


def test_ws_240_06_by_a_protocol_error(httpd, tls):
    recorder = httpd.recorder()
    with httpd.open("/recorder", tls=tls) as client:
        client.send_frame(TEXT, "x", rsv=2)
        client.expect_close(1002)
    recorder.wait_for_ends()


@pytest.mark.parametrize("cut", CUTS)
def test_ws_240_07_by_vanishing_at_any_byte(httpd, cut):
    recorder = httpd.recorder()
    with httpd.open("/recorder") as client:
        client.send(WHOLE[:cut])
    recorder.wait_for_ends()


@pytest.mark.parametrize("cut", CUTS)
def test_ws_240_08_by_a_reset_at_any_byte(httpd, cut):
    recorder = httpd.recorder()
    client = httpd.open("/recorder")
    client.send(WHOLE[:cut])
    client.reset()
    recorder.wait_for_ends()


@pytest.mark.parametrize("cut", CUTS[::8])
def test_ws_240_09_by_vanishing_or_reset_under_tls(httpd, cut):
    recorder = httpd.recorder()
    context = httpd.certificates.client_context()
    with httpd.open("/recorder", tls=context) as client:
        client.send(WHOLE[:cut])
    client = httpd.open("/recorder", tls=context)
    client.send(WHOLE[:cut])
    client.reset()
    recorder.wait_for_ends(2)


@pytest.mark.parametrize("way", ["vanish", "reset"])
def test_ws_240_10_by_leaving_with_the_handshake(httpd, way):
    recorder = httpd.recorder()
    for _ in range(10):
        client = httpd.client()
        client.send_request("/recorder", handshake_headers())
        getattr(client, way)()
    with httpd.open("/recorder") as client:
        client.echo("still serving")
    ended = recorder.wait_until_all_ended()
    # A reset may overtake the request.
    assert len(ended) == 11 or way == "reset"


def test_ws_240_11_by_leaving_with_answers_unread(httpd):
    recorder = httpd.recorder()
    client = httpd.open("/recorder")
    client.send(frame(BINARY, b"x" * 30000) * 10)
    client.reset()
    with httpd.open("/recorder") as client:
        client.send(frame(BINARY, b"x" * 30000) * 10)
    recorder.wait_for_ends(2)


def test_ws_240_12_by_closing_half_the_connection(httpd):
    recorder = httpd.recorder()
    with httpd.open("/recorder") as client:
        client.echo("hello")
        client.socket.shutdown(1)
        # The end of the client's stream is the end of the connection; no Close is due.
        rest = client.receive_to_eof()
        assert rest[:1] in (b"", b"\x88"), rest
    recorder.wait_for_ends()


def test_ws_240_13_when_many_end_at_once_in_different_ways(httpd):
    recorder = httpd.recorder()
    count = 20

    def run(number):
        client = httpd.open("/recorder")
        client.echo(f"client {number}")
        if number % 4 == 0:
            client.close_properly()
            client.vanish()
        elif number % 4 == 1:
            client.vanish()
        elif number % 4 == 2:
            client.send(frame(TEXT, "half")[:5])
            client.reset()
        else:
            client.send(close_frame(1005))
            client.expect_close(1002)
            client.vanish()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recorder.wait_for_ends(count)


@pytest.mark.parametrize("refusal", ["on_connect", "key", "origin"])
def test_ws_240_14_a_refused_handshake_has_no_on_disconnect(httpd, refusal):
    recorder = httpd.recorder()
    with httpd.client() as client:
        response = client.upgrade(
            "/recorder",
            [("X-Refuse", "1")] if refusal == "on_connect" else [],
            key="bad" if refusal == "key" else None,
            origin="http://evil.example" if refusal == "origin" else None,
        )
        assert response.status == {"on_connect": 403, "key": 400, "origin": 403}[refusal]
        assert client.receive_to_eof() == b""
    with httpd.open("/recorder") as client:
        client.close_properly()
    assert len(recorder.wait_for_ends(1)) == 1


def test_ws_240_15_no_socket_is_left_open_behind_the_connections(httpd):
    def sockets():
        count = 0
        for pid in httpd.children():
            for name in os.listdir(f"/proc/{pid}/fd"):
                try:
                    count += os.readlink(f"/proc/{pid}/fd/{name}").startswith(
                        ("socket:", "anon_inode:", "pipe:")
                    )
                except OSError:
                    pass
        return count

    recorder = httpd.recorder()
    for _ in range(3):  # let every kind of descriptor that lasts come into being
        with httpd.open("/recorder") as client:
            client.close_properly()
    recorder.wait_for_ends(3)
    with httpd.client() as client:
        client.request("/index.html")
    before = eventually(sockets, "the children's descriptors")
    for number in range(40):
        client = httpd.open("/recorder")
        client.echo("x")
        if number % 2:
            client.reset()
        else:
            client.vanish()
    recorder.wait_for_ends(43)
    eventually(lambda: sockets() <= before + 2, f"no more descriptors than {before} before")
