"""How many connections a child takes: what the module sets under the event MPM, and what it warns of at start-up."""

import contextlib
import re
import resource

import pytest

from harness import settings
from harness.conf import ECHO, example, location
from harness.processes import many_descriptors

MPMS = ("event",)
WORKERS = 25
# httpd's own default factor stops at 73.
MORE_THAN_DEFAULT = 120


def configuration(server):
    return location("/echo", example(ECHO))


@pytest.fixture(scope="module", autouse=True)
def descriptors():
    with many_descriptors(1024):
        yield


@contextlib.contextmanager
def descriptor_limit(most):
    """Servers that start meanwhile may have so many descriptors."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_ws_420_01_the_warning_has_the_numbers_and_the_directive(make_httpd, mpm):
    server = make_httpd(mpm, "AsyncRequestWorkerFactor 1.5\n" + location("/echo", example(ECHO)), workers=WORKERS)
    # ThreadsPerChild, and one less times the factor, whose fraction httpd drops.
    server.error_log.expect(
        r"WS0102: a child accepts at most 49 connections, .*ThreadsPerChild 25, AsyncRequestWorkerFactor 1\.5\); "
        r"AsyncRequestWorkerFactor 41 would allow 1009"
    )
    server.start()
    log = server.error_log.tail()
    assert log.count("WS0102") == 1 and "WS0107" not in log, log
    with server.open("/echo") as client:
        client.echo("and it works")


def test_ws_420_02_without_the_directive_a_child_takes_what_its_descriptors_allow(httpd):
    (found,) = re.findall(r"\[websocket:info\].*WS0107: .*up to (\d+) connections, .* is (\d+)$",
                          httpd.error_log.tail(), re.MULTILINE)
    most, factor = map(int, found)
    assert most == WORKERS + (WORKERS - 1) * factor
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert most < min(limit, 1 << 16)
    clients = []
    try:
        clients += (httpd.open("/echo") for _ in range(MORE_THAN_DEFAULT))
        for client in clients:
            client.echo("served")
        assert len(httpd.children()) == 1
    finally:
        for client in clients:
            client.vanish()


def test_ws_420_03_a_reload_sets_it_again(make_httpd, mpm):
    server = make_httpd(mpm, "WebSocketDrainTimeout 100ms\n" + location("/echo", example(ECHO)), workers=WORKERS).start()
    server.graceful()
    assert len(server.error_log.find("WS0107")) == 2
    clients = []
    try:
        clients += (server.open("/echo") for _ in range(MORE_THAN_DEFAULT))
        clients[-1].echo("served")
    finally:
        for client in clients:
            client.vanish()


def test_ws_420_04_fewer_descriptors_than_connections_are_warned_of(make_httpd, mpm):
    text = "AsyncRequestWorkerFactor 400\n" + location("/echo", example(ECHO))
    with descriptor_limit(1024):
        server = make_httpd(mpm, text, workers=WORKERS)
        # 25 + 24 × 400, 64 for other things, and one for each thread.
        server.error_log.expect(r"WS0108: .*may need 9714 and has 1024 \(RLIMIT_NOFILE\)")
        server.start()
        server.stop()
        # WebSocketMaxConnections keeps it within them.
        server = make_httpd(mpm, "WebSocketMaxConnections 800\n" + text, workers=WORKERS).start()
        assert server.error_log.find("WS0108") == []
        server.stop()


@pytest.mark.parametrize("of", [m for m in ("worker", "event") if m in settings.mpms()])
def test_ws_420_05_retired_children_without_a_slot_left_are_warned_of(make_httpd, of):
    text = "MaxConnectionsPerChild 1000\n" + location("/echo", example(ECHO))
    server = make_httpd(of, text)
    server.error_log.expect("WS0109: MaxConnectionsPerChild 1000 .*ServerLimit 4 may leave none .*ServerLimit 8 has room")
    server.start()
    server.stop()
    server = make_httpd(of, "ServerLimit 8\n" + text).start()
    assert server.error_log.find("WS0109") == []
