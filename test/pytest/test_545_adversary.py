"""Filters and hooks of a module that does whatever a module may do, above TLS and below it.

The module is `test/modules/adversary.c`; its head says what each of its words does.
"""

import contextlib
import os

import pytest

from harness import settings
from harness.conf import ECHO, example, location, plugin
from harness.rawclient import BINARY, PING, PONG, TEXT, close_frame, frame

MODULES = ("ssl", "socache_shmcb")
ADVERSARY = settings.TEST_PLUGINS / "modules" / "adversary.so"

# Who changes how bytes arrive, or what is said about them, loses none.
HARMLESS = (
    "in-bytes", "in-hold", "in-excess", "in-eagain", "in-eintr", "in-incomplete", "in-metadata",
    "in-flush", "in-remove", "in-late", "out-bytes", "out-hold", "out-flush", "keepalive", "log",
    "in-hold in-flush in-metadata out-hold out-bytes",
    "in-excess in-eagain in-flush out-flush",
)
PLACES = ("", "low")
CASES = [
    (kind, mode, place)
    for kind in ("plain", "tls")
    for mode in HARMLESS
    for place in PLACES
    # Below it, mod_ssl itself takes these for an end or an error.
    if (kind, place) != ("tls", "low") or not ("in-incomplete" in mode or "in-metadata" in mode)
]
# Who ends the connection in its own way.
FATAL = {
    "in-error": "a filter's error bucket with HTTP status 413",
    "in-fatal": "Internal error",
    "out-fatal": "Internal error",
}
# Who has httpd close the connection, or not suspend it.
CLOSERS = ("aborted", "clogging")


def path(*modes):
    return "/" + "-".join(" ".join(modes).split())


def configuration(server):
    server.document_root.joinpath("page.html").write_text("a page\n")
    certificates = server.certificates
    scopes = [
        location(path(mode, place), example(ECHO), f"Adversary {mode} {place}")
        for mode in (*HARMLESS, *FATAL)
        for place in PLACES
    ]
    return f"""
KeepAliveTimeout 1
LoadModule adversary_module "{ADVERSARY}"
SSLSessionCache shmcb:run/ssl(512000)
{server.listen(server.tls_port)}
<VirtualHost *:{server.tls_port}>
  SSLEngine on
  SSLCertificateFile "{certificates.server}"
  SSLCertificateKeyFile "{certificates.server_key}"
</VirtualHost>
{"".join(scopes)}
{location("/recorder", plugin("recorder"), "Adversary in-fatal")}
{"".join(location(path(mode), plugin("recorder"), f"Adversary {mode}") for mode in CLOSERS)}
{location("/clean", example(ECHO))}
"""


@pytest.fixture(params=["plain", "tls"])
def tls(request, httpd):
    return context(httpd, request.param)


def context(httpd, kind):
    return httpd.certificates.client_context() if kind == "tls" else None


@pytest.mark.parametrize(
    ("kind", "mode", "place"), CASES, ids=lambda part: part.replace(" ", "+") or "high"
)
def test_ws_545_01_nothing_is_lost_or_late(httpd, kind, mode, place):
    tls = context(httpd, kind)
    with httpd.client(tls=tls) as client:
        client.open(path(mode, place), then=frame(TEXT, "with the handshake"))
        assert client.receive_message().text == "with the handshake"
        client.echo("a message")
        for size in (0, 1, 125, 2000, 60_000):
            client.echo(b"z" * size, BINARY)
        # More than is asked for at once, so that it is gathered from several reads.
        client.send_while_receiving(
            b"".join(frame(TEXT, f"{n:03}" + "x" * 5000) for n in range(40)) + frame(PING, "p")
        )
        for n in range(40):
            assert client.receive_message().text == f"{n:03}" + "x" * 5000
        pong = client.receive_frame()
        assert (pong.opcode, pong.payload) == (PONG, b"p")
        if mode != "keepalive":
            client.close_properly(1000)
            return
        # What httpd does with a connection that is kept for it is between the two.
        client.send_close(1000)
        assert client.receive_frame().close_code == 1000


@pytest.mark.parametrize("place", PLACES, ids=["above", "below"])
def test_ws_545_02_a_message_larger_than_a_read_comes_whole_from_a_filter_that_gives_all(httpd, tls, place):
    payload = os.urandom(1 << 20)
    with httpd.open(path("in-excess", place), tls=tls) as client:
        for _ in range(5):
            client.send_while_receiving(frame(BINARY, payload))
            assert client.receive_message().payload == payload
        client.close_properly()


def what_is_left(client):
    """What comes up to the end, which may be a reset: something of what was sent has not been read."""
    try:
        return client.receive_to_eof()
    except ConnectionResetError:
        return b""


@pytest.mark.parametrize("mode", FATAL)
def test_ws_545_03_what_came_before_an_error_is_handled_and_the_error_is_in_the_log(httpd, tls, mode):
    with httpd.open(path(mode, ""), tls=tls) as client, httpd.open("/clean", tls=tls) as other:
        client.send_frame(TEXT, "last words")
        if mode != "out-fatal":
            assert client.receive_message().text == "last words"
            if mode == "in-fatal":
                client.send_frame(TEXT, "unheard")
        assert what_is_left(client) == b""
        other.echo("untouched")
    httpd.error_log.wait_for(f"WS0302: .*the connection broke: {FATAL[mode]}", level="info")


def test_ws_545_04_the_plugin_is_told_of_the_end_once(httpd, tls):
    recorder = httpd.recorder()
    with httpd.open("/recorder", tls=tls) as client:
        client.echo("heard")
        client.send_frame(TEXT, "unheard")
        assert what_is_left(client) == b""
    recorder.wait_for_ends()


@pytest.mark.parametrize("mode", CLOSERS)
def test_ws_545_07_who_has_httpd_close_the_connection_ends_the_websocket_and_no_other(httpd, tls, mode):
    recorder = httpd.recorder()
    with httpd.open("/clean", tls=tls) as other:
        for _ in range(5):
            with httpd.client(tls=tls) as client:
                client.open(path(mode), then=close_frame(1000))
                with contextlib.suppress(ConnectionError):
                    client.receive_to_eof()
            other.echo("untouched")
    recorder.wait_for_ends(5)


def test_ws_545_05_many_flushes_behind_unread_echoes_stop_nobody(httpd, tls):
    stuck = []
    try:
        for _ in range(10):
            stuck.append(httpd.open(path("in-flush", ""), tls=tls, receive_buffer=4096))
            for _ in range(64):
                stuck[-1].send_frame(BINARY, b"x" * 60_000)
        with httpd.open("/clean", tls=tls) as healthy:
            for _ in range(50):
                healthy.echo("meanwhile")
            healthy.close_properly()
    finally:
        for client in stuck:
            client.vanish()


def test_ws_545_08_who_has_httpd_keep_the_connection_gets_no_answer_behind_the_close(httpd, tls):
    with httpd.open(path("keepalive", ""), tls=tls) as client:
        client.send_close(1000)
        assert client.receive_frame().close_code == 1000
        # For httpd it would be the next request, if it read one.
        with contextlib.suppress(ConnectionError):
            client.send(b"GET /page.html HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert what_is_left(client) == b""


@pytest.mark.preload
@pytest.mark.skipif("event" not in settings.mpms(), reason="about the event driver")
def test_ws_545_06_a_socket_that_the_system_does_not_watch_is_an_error_that_says_what_it_means(make_httpd):
    preloaded = settings.TEST_PLUGINS / "modules" / "no_epoll.so"
    server = make_httpd(
        "event", location("/echo", example(ECHO)), environment={"LD_PRELOAD": str(preloaded)}
    )
    server.start()
    server.error_log.expect(r"WS0311: .*No space left on device.*fs\.epoll\.max_user_watches")
    with server.open("/echo") as client:
        assert client.receive_to_eof() == b""
    with server.client() as client:
        assert client.request("/index.html").status == 200
