"""Plugins that end a whole child: the error log says which, and the figures count what was lost."""

import os
import signal
from collections import Counter

import pytest

from harness.compiler import build
from harness.conf import ECHO, example, location
from harness.errorlog import died
from harness.rawclient import TEXT
from harness.status import LOCATION, Status

# Each way by the word that asks for it. C++, because only that has exceptions.
WAYS = """
#include <cstdlib>
#include <csignal>
#include <cstring>
#include <stdexcept>
#include <pthread.h>
#include <unistd.h>
#include "websocket_plugin.h"

static volatile int *volatile nowhere;

static void end(const char *way, size_t length)
{
    auto is = [&](const char *word) { return length == std::strlen(word) && std::memcmp(way, word, length) == 0; };
    if (is("throw"))
        throw std::runtime_error("an exception of the plugin's");
    if (is("pthread_exit"))
        pthread_exit(nullptr);
    if (is("exit"))
        std::exit(0);
    if (is("_exit"))
        _exit(0);
    if (is("abort"))
        std::abort();
    if (is("segv"))
        *nowhere = 1;
    if (is("kill"))
        kill(getpid(), SIGKILL);
}

static void *CALLBACK on_connect(const WebSocketServer *server)
{
    const char *way = server->header_get(server, "X-Way");
    if (way != nullptr)
        end(way, std::strlen(way));
    return (void *)server;
}

static size_t CALLBACK on_message(void *, const WebSocketServer *server, const int type, unsigned char *buffer,
                                  const size_t buffer_size)
{
    end(reinterpret_cast<const char *>(buffer), buffer_size);
    return server->send(server, type, buffer, buffer_size);
}

static void CALLBACK child_start(WebSocketPlugin *, const WebSocketServer *server)
{
    const char *way = server->option_get(server, "way");
    if (way != nullptr && access(way, F_OK) == 0)
        end("segv", 4);
}

static WebSocketPlugin plugin;
extern "C" EXPORT WebSocketPlugin *CALLBACK ways_init(void)
{
    websocket_plugin_version_1(&plugin, on_message);
    plugin.on_connect = on_connect;
    plugin.child_start = child_start;
    return &plugin;
}
"""

ALL = ["throw", "pthread_exit", "exit", "_exit", "abort", "segv", "kill"]



def configuration(server):
    ways = build(server.directory / "ways.so", WAYS, language="c++", flags=("-std=c++20",))
    return (
        "WebSocketDrainTimeout 1s\n"
        + LOCATION
        + location("/ways", f'WebSocketHandler "{ways}" ways_init')
        + location("/echo", example(ECHO))
        + f'WebSocketProcessOption ways_init way "{server.directory}/way"\n'
    )


def abnormal(document):
    return document["total"]["closes"].get("1006", 0)


@pytest.mark.parametrize("way", ALL)
def test_ws_879_01_a_callback_that_ends_its_process_is_named(httpd, way):
    status = Status(httpd)
    with httpd.open("/ways") as client:
        client.echo("hello")
        before = status.wait_for_open(1)
        (connection,) = before["connections"]
        which = (connection["pid"], 1, rf"it was calling on_message of ways \(WebSocket {connection['id']}\)$")
        httpd.error_log.expect_death(*which)
        client.send_frame(TEXT, way)
        httpd.error_log.wait_for(died(*which))
        client.vanish()
    after = status.wait_for_open(0)
    assert after["children_died"] == before["children_died"] + 1
    assert abnormal(after) == abnormal(before) + 1


@pytest.mark.parametrize("way", ALL)
def test_ws_879_02_so_is_one_that_has_accepted_nobody_yet(httpd, way):
    status = Status(httpd)
    before = status.read()
    calls = r"it was calling on_connect of ways \(WebSocket \d+\)"
    httpd.error_log.expect_death(lost=0, calls=calls)
    with httpd.client() as client:
        client.send_request("/ways", [
            ("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="), ("X-Way", way),
        ])
        httpd.error_log.wait_for(died(lost=0, calls=calls))
        client.vanish()
    after = status.read()
    assert after["children_died"] == before["children_died"] + 1
    assert abnormal(after) == abnormal(before)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL])
def test_ws_879_03_what_is_lost_with_a_child_is_counted(httpd, number):
    status = Status(httpd)
    before = status.read()
    clients = [httpd.open("/echo") for _ in range(20)]
    try:
        for client in clients:
            client.echo("hello")
        # Each child has some: all under event, one under prefork.
        had = Counter(each["pid"] for each in status.wait_for_open(20)["connections"])
        for pid, count in had.items():
            httpd.error_log.expect_death(pid, count, "it was not calling any plugin$")
        for pid in had:
            os.kill(pid, number)
        for pid in had:
            assert len(httpd.error_log.wait_for(died(pid))) == 1
    finally:
        for client in clients:
            client.vanish()
    after = status.wait_for_open(0)
    assert after["children_died"] == before["children_died"] + len(had)
    assert abnormal(after) == abnormal(before) + 20
    metrics = status.get("?format=openmetrics").body.decode()
    assert f"\nwebsocket_children_died_total {after['children_died']}\n" in metrics


def test_ws_879_04_so_is_one_that_begins(httpd):
    """Those of the next generation crash in their child_start, until they do not."""
    calls = r"it was calling child_start of ways$"
    httpd.error_log.expect_death(lost=0, calls=calls)
    way = httpd.directory / "way"
    way.touch()
    httpd.signal(signal.SIGUSR1)
    httpd.error_log.wait_for(died(lost=0, calls=calls))
    way.unlink()
    with httpd.open("/echo") as client:
        client.echo("hello")
        client.close_properly()


def test_ws_879_05_a_stop_is_no_death(make_httpd, mpm):
    server = make_httpd(mpm, configuration, workers=4)
    server.start()
    status = Status(server)
    for go_on in (server.graceful, server.restart):
        with server.open("/ways") as client:
            client.echo("hello")
            go_on()
            client.be_closed(1001)
        assert status.wait_for_open(0)["children_died"] == 0
