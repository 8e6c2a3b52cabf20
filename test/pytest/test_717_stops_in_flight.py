"""Stops while handshakes, ends and pages are under way, and WebSockets talk in both directions: nobody crashes.

httpd itself may, seldom (docs/operations.md, "A child that crashes at a stop"), so that this is not of `make check`: rounds are as many as
WEBSOCKET_STOP_ROUNDS says, best under `scripts/sanitize address`, which tells whose memory it was.
"""

import contextlib
import os
import signal
import threading

import pytest

from harness.conf import ECHO, example, location, plugin
from harness.rawclient import TEXT, frame
from harness.waiting import eventually

MPMS = ("event", "worker")
ROUNDS = int(os.environ.get("WEBSOCKET_STOP_ROUNDS", "0"))
MODULES = ("ssl", "socache_shmcb")
CLIENTS = 4


def configuration(server):
    certificates = server.certificates
    return (
        "SSLSessionCache shmcb:run/ssl(512000)\n"
        + location("/echo", example(ECHO))
        + location("/threads", plugin("threads"))
        + f"""
{server.listen(server.tls_port)}
<VirtualHost *:{server.tls_port}>
  SSLEngine on
  SSLCertificateFile "{certificates.server}"
  SSLCertificateKeyFile "{certificates.server_key}"
</VirtualHost>
"""
    )


class Traffic:
    """Clients that go on until the server is gone; what they meet then is not looked at."""

    def __init__(self, server):
        self.server = server
        self.tls = server.certificates.client_context()
        self.is_over = threading.Event()
        self.done = 0
        jobs = [self.come_and_go, self.ask, self.stay, self.be_told]
        self.threads = [
            threading.Thread(target=self.repeat, args=(job, number), daemon=True) for job in jobs for number in range(CLIENTS)
        ]
        for thread in self.threads:
            thread.start()

    def repeat(self, job, number):
        while not self.is_over.is_set():
            with contextlib.suppress(OSError, EOFError, AssertionError, ValueError):
                job(self.tls if number % 2 else None)
                self.done += 1

    def come_and_go(self, tls):
        with self.server.open("/echo", tls=tls) as client:
            client.close_properly()

    def ask(self, tls):
        self.server.ask("/index.html", [("Connection", "close")], tls=tls)

    def stay(self, tls):
        with self.server.open("/echo", tls=tls) as client:
            for _ in range(50):
                client.echo("x" * 2000)

    def be_told(self, tls):
        with self.server.open("/threads", tls=tls) as client:
            client.send(frame(TEXT, b"start 100"))
            for _ in range(50):
                client.receive_frame()

    def end(self):
        self.is_over.set()
        for thread in self.threads:
            thread.join(30)


@pytest.mark.timeout(60 + 30 * ROUNDS)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("how", ["stop", "drained"])
def test_ws_717_01_no_stop_crashes(make_httpd, mpm, how):
    for _ in range(ROUNDS):
        server = make_httpd(mpm, configuration, modules=MODULES, workers=32).start()
        # A child that is slow to end, under a sanitizer, is no crash.
        server.error_log.tolerate("AH00045")
        traffic = Traffic(server)
        eventually(lambda: traffic.done > 4 * CLIENTS, "traffic", 60)
        if how == "drained":
            server.graceful_stop()
        server.signal(signal.SIGTERM)
        server.wait_for_exit()
        traffic.end()
        text = server.error_log.path.read_text()
        assert "exit signal" not in text and "WS0003" not in text, server.error_log.tail(100)
