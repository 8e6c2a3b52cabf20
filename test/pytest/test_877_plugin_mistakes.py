"""Mistakes of plugins that somebody has to tell, and what was appended to the tables."""

import re

import pytest

from harness.compiler import build
from harness.conf import location, plugin
from harness.rawclient import PING, PONG, TEXT
from harness.scripted import Records, ask, scripts
from harness.waiting import eventually

MISUSE = r"\[websocket:warn\].* WS0401: "
UNREAD = r"\[websocket:warn\].* WS0112: "

PLUGIN = """
#include "websocket_plugin.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const WebSocketServer *process;
%s
static size_t CALLBACK on_message(void *plugin_private, const WebSocketServer *server, const int type,
                                  unsigned char *buffer, const size_t buffer_size)
{
    (void)plugin_private, (void)type, (void)process;
    %s
    return server->send(server, MESSAGE_TYPE_TEXT, buffer, buffer_size);
}
static WebSocketPlugin plugin;
extern EXPORT WebSocketPlugin *CALLBACK %s(void)
{
    websocket_plugin_version_1(&plugin, on_message);
    %s
    return &plugin;
}
"""


def source(*, head="", message="", init="mine_init", table=""):
    return PLUGIN % (head, message, init, table)


def handler(file, init="mine_init"):
    return f'WebSocketHandler "{file}" {init}'


def compiled(folder):
    """The plugins of this suite's own, by their paths."""
    pong = build(folder / "pong.so", source(
        head="""
        static void CALLBACK on_pong(void *plugin_private, const WebSocketServer *server,
                                     const unsigned char *payload, size_t size, unsigned long round_trip)
        {
            char text[200];
            int length = snprintf(text, sizeof text, "%.*s %d", (int)size, (const char *)payload,
                                  round_trip == WEBSOCKET_ROUND_TRIP_UNKNOWN ? -1
                                  : round_trip < 60000000UL ? 1 : 0);
            (void)plugin_private;
            server->send(server, MESSAGE_TYPE_TEXT, (const unsigned char *)text, (size_t)length);
        }""",
        message="if (buffer_size == 4) return server->send(server, MESSAGE_TYPE_PING, buffer, buffer_size);",
        table="plugin.on_pong = on_pong;",
    ))
    body = build(folder / "body.so", source(
        head="""
        static void *CALLBACK on_connect(const WebSocketServer *server)
        {
            const char *kind = server->header_get(server, "X-Kind");
            server->header_set(server, "X-Reason", "yes");
            server->reject_with(server, 409, kind, "{\\"error\\": \\"taken\\"}", 18);
            return NULL;
        }""",
        table="plugin.on_connect = on_connect;",
    ))
    protocol = build(folder / "protocol.so", source(
        head="""
        static void *CALLBACK on_connect(const WebSocketServer *server)
        {
            server->protocol_set(server, "mine");
            return (void *)server;
        }""",
        table="plugin.on_connect = on_connect;",
    ))
    return {"/pong": pong, "/body": body, "/protocol": protocol}


def configuration(server):
    files = compiled(server.directory)
    return (
        location("/scripted", plugin("scripted"))
        + location("/pong", handler(files["/pong"]), "WebSocketPingInterval 0")
        + location("/body", handler(files["/body"]))
        + location("/protocol", handler(files["/protocol"]))
    )


def test_ws_877_01_a_subprotocol_that_is_not_offered_is_not_chosen(httpd):
    httpd.error_log.expect(MISUSE + ".*protocol_set with a protocol that the client does not offer")
    with httpd.open("/protocol", protocol="other, mine2") as client:
        assert client.response.get("Sec-WebSocket-Protocol") is None
        client.echo("alive")
        client.close_properly()
    with httpd.open("/protocol", protocol="other, mine") as client:
        assert client.response.get("Sec-WebSocket-Protocol") == "mine"
        client.close_properly()


@pytest.mark.parametrize("field", [
    "Content-Length 5", "transfer-encoding chunked", "Connection close", "Upgrade h2c", "Trailer Forged",
    "Sec-WebSocket-Accept forged", "Sec-WebSocket-Extensions permessage-deflate",
    "sec-websocket-protocol forged",
])
def test_ws_877_02_a_field_that_is_the_servers_is_not_set(httpd, field):
    name, value = field.split()
    httpd.error_log.expect(MISUSE + f".*header_set of {name}")
    with httpd.open("/scripted", scripts(on_connect=f"header_set {field}")) as client:
        assert value not in (client.response.get(name) or "")
        assert ask(client, "echo alive") == "alive"
        client.close_properly()


def test_ws_877_03_a_refusal_holds_when_a_connection_is_returned(httpd):
    httpd.error_log.expect(MISUSE + ".*reject, and then a connection is accepted")
    records = Records(httpd)
    with httpd.client() as client:
        response = client.upgrade("/scripted", scripts(on_connect="reject 404"))
        assert response.status == 404
    # What the plugin keeps for it is given back.
    assert [what for what in records.wait_for_end() if not what.startswith("does")] == [
        "connect", "disconnect"
    ]


def test_ws_877_04_each_kind_of_mistake_is_said_once(httpd):
    httpd.error_log.expect(MISUSE)
    with httpd.open("/scripted") as client:
        for _ in range(2):
            ask(client, "send text hex:ff; reject 401; set_timer 86400001; send binary null:5")
        client.close_properly()
    assert len(httpd.error_log.wait_for(MISUSE, count=4)) == 4


# What was appended


def test_ws_877_10_a_refusal_has_the_plugins_own_body(httpd):
    with httpd.client() as client:
        response = client.upgrade("/body", [("X-Kind", "application/json")])
        assert (response.status, response.get("Content-Type")) == (409, "application/json")
        assert response.get("X-Reason") == "yes"
        assert response.body == b'{"error": "taken"}'
        assert client.receive_to_eof() == b""


def test_ws_877_11_without_a_content_type_the_body_is_httpds(httpd):
    httpd.error_log.expect(MISUSE + ".*reject_with")
    with httpd.client() as client:
        assert client.upgrade("/body").status == 403


def test_ws_877_12_a_pong_comes_with_its_round_trip(httpd):
    with httpd.open("/pong") as client:
        client.send_frame(TEXT, "ping")
        received = client.receive_frame()
        assert (received.opcode, received.payload) == (PING, b"ping")
        client.send_frame(PONG, "unasked")
        assert client.receive_message().text == "unasked -1"
        client.send_frame(PONG, "ping")
        assert client.receive_message().text == "ping 1"
        client.send_frame(PONG, "ping")
        assert client.receive_message().text == "ping -1"
        client.close_properly()


# Options of a process

OPTIONS = source(
    head="""
    static char found[100];
    static void CALLBACK child_start(WebSocketPlugin *plugin, const WebSocketServer *server)
    {
        const char *value = server->option_get(server, "source");
        (void)plugin;
        snprintf(found, sizeof found, "%s", value != NULL ? value : "none");
    }
    static const char *CALLBACK configure(WebSocketPlugin *plugin, const WebSocketOption *options,
                                          size_t count)
    {
        (void)plugin;
        while (count-- > 0)
            if (strcmp(options[count].name, "source") != 0)
                return "there is only source";
        return NULL;
    }""",
    message="buffer = (unsigned char *)found; (void)buffer_size;"
            "return server->send(server, MESSAGE_TYPE_TEXT, buffer, strlen(found));",
    table="plugin.child_start = child_start; plugin.configure = configure;",
)


def answer(server):
    with server.open("/mine") as client:
        client.send_frame(TEXT, "what")
        text = client.receive_message().text
        client.close_properly()
        return text


def test_ws_877_20_an_option_of_the_process_reaches_its_plugin_and_no_other(make_httpd, mpm):
    server = make_httpd(mpm, lambda server: (
        "WebSocketProcessOption mine_init source there\n"
        "WebSocketProcessOption other_init wanted here\n"
        + location("/mine", handler(build(server.directory / "mine.so", OPTIONS)))
        + location("/other", handler(build(
            server.directory / "other.so", source(init="other_init")), "other_init"))
    ), workers=3)
    server.start()
    assert answer(server) == "there"


def test_ws_877_21_one_that_stands_in_a_section_only_is_told(make_httpd, mpm):
    server = make_httpd(mpm, lambda server: location(
        "/mine", handler(build(server.directory / "mine.so", OPTIONS)),
        "WebSocketPluginOption source hidden",
    ), workers=3)
    server.error_log.expect(UNREAD + "httpd.conf|" + UNREAD + r".*httpd\.conf:\d+: the plugin asks for the option source")
    server.start()
    assert answer(server) == "none"


@pytest.mark.parametrize(("line", "reason"), [
    ("WebSocketProcessOption mine_init wrong x", "there is only source"),
    ("<Location /y>\nWebSocketProcessOption mine_init source x\n</Location>", "WebSocketProcessOption"),
    ("WebSocketProcessOption mine_init source", "three arguments"),
])
def test_ws_877_22_a_wrong_one_is_an_error(make_httpd, mpm, line, reason):
    server = make_httpd(mpm, "")
    file = build(server.directory / "mine.so", OPTIONS)
    result, _base = server.configtest(location("/mine", handler(file)) + line + "\n")
    assert result.returncode != 0
    assert reason in result.stderr


def test_ws_877_23_one_for_nobody_is_told(make_httpd, mpm):
    server = make_httpd(mpm, "")
    result, _base = server.configtest("WebSocketProcessOption absent_init source x\n")
    assert result.returncode == 0
    assert "WebSocketProcessOption is for absent_init, which no WebSocketHandler names" in result.stderr


# Output, and ends


def test_ws_877_30_what_c_prints_to_stderr_is_in_the_log_at_once_and_once(make_httpd, mpm):
    server = make_httpd(mpm, lambda server: location("/mine", handler(build(
        server.directory / "mine.so",
        source(message='fprintf(stderr, "said %d\\n", (int)buffer_size);'),
    ))), workers=3)
    server.start()
    server.error_log.expect("^said 5$")
    with server.open("/mine") as client:
        client.echo("hello")
        # The server runs on: nothing but the call itself has brought it here.
        eventually(lambda: server.error_log.find("^said 5$"), "the line")
        client.close_properly()
    server.stop()
    assert len(server.error_log.wait_for("said 5", count=1)) == 1


@pytest.mark.parametrize("callback", ["on_message", "on_connect"])
def test_ws_877_31_a_callback_that_holds_up_the_end_is_named(make_httpd, mpm, callback):
    if mpm == "prefork":
        pytest.skip("a child of prefork ends in the middle of whatever it does")
    server = make_httpd(mpm, lambda server: location("/mine", handler(build(
        server.directory / "slow.so",
        source(
            # worker wakes its threads with a signal.
            head='static void wait_long(void) { unsigned int left = 6; fprintf(stderr, "sleeps\\n");'
                 " while ((left = sleep(left)) > 0) continue; }\n"
                 "static void *CALLBACK on_connect(const WebSocketServer *server)"
                 " { if (server->header_get(server, \"X-Slow\") != NULL) wait_long(); return (void *)server; }",
            message='if (buffer_size == 4) wait_long();', table="plugin.on_connect = on_connect;",
        ),
    ))), workers=4)
    server.start()
    if callback == "on_message":
        client = server.open("/mine")
        client.echo("hello")
        client.send_frame(TEXT, "slow")
    else:
        client = server.client()
        client.send_request("/mine", [
            ("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="), ("X-Slow", "1"),
        ])
    # It is in its callback when it says so.
    server.error_log.expect("^sleeps$")
    server.error_log.wait_for("^sleeps$")
    server.error_log.expect(r"\[websocket:warn\].* WS0411: " + callback + r" of slow \(WebSocket \d+\) has not returned for 3 s")
    # httpd's own word, as soon as it has to wait.
    server.error_log.expect(r"AH00045: child process \d+ still did not exit")
    server.stop()
    client.vanish()


def test_ws_877_32_the_send_timeout_counts_what_the_peer_takes(make_httpd, mpm):
    """The kernel's own buffer grows while the peer reads nothing; that is no progress of the peer's."""
    server = make_httpd(mpm, location("/scripted", plugin("scripted"), "WebSocketSendTimeout 3s"))
    records = server.recorder()
    server.start()
    with server.open("/scripted", receive_buffer=4096) as client:
        client.send_frame(TEXT, "send binary x:8000000")
        (ended,) = server.error_log.wait_for("WS0302.*")
        records.wait_for_ends()
    lasted = float(re.search(r"ended after ([\d.]+) s", ended.text)[1])
    # Twice the time, as it was before, would be 6 s; a busy machine may add to it, and not double it.
    assert 3 <= lasted < 6, ended.text
