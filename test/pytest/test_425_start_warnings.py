"""What a start and `httpd -t` warn of: directives that miss each other, and numbers that do not fit together."""

import re

import pytest

from harness import settings
from harness.conf import ECHO, example, location
from harness.httpd import Httpd

MODULES = ("rewrite",)
PLUGIN = example(ECHO)
HANDLER = "SetHandler websocket-handler"
ALONE = "SetHandler websocket-handler without a WebSocketHandler: each WebSocket gets 500"
UNASKED = "WebSocketHandler without SetHandler websocket-handler: the plugin is never asked"


def configuration(server):
    return location("/echo", PLUGIN)


@pytest.fixture(scope="module")
def tester():
    """A server that never runs; the MPM makes no difference to how configuration is read."""
    server = Httpd(settings.mpms()[0], modules=(*MODULES, "mime"))
    yield server
    server.remove()


def section(start, *lines):
    name = start.split()[0]
    return f"<{start}>\n" + "".join(f"  {line}\n" for line in lines) + f"</{name}>\n"


@pytest.mark.parametrize(("text", "warning"), [
    (section("Location /bare", HANDLER), ALONE),
    (section("LocationMatch ^/bare", HANDLER), ALONE),
    (section("Location /bare", "<If \"true\">", HANDLER, "</If>"), ALONE),
    (section("Location /bare", "sethandler WEBSOCKET-handler".lower()), ALONE),
    (section("VirtualHost *:1", section("Location /bare", HANDLER)), ALONE),
    # The plugin of another host, or of another path, is not its.
    (section("VirtualHost *:1", section("Location /bare", HANDLER))
     + section("VirtualHost *:2", section("Location /bare", PLUGIN, HANDLER)), ALONE),
    (section("Location /bare", HANDLER) + location("/other", PLUGIN), ALONE),
    (section("Location /plugin", PLUGIN), UNASKED),
    (section("Directory /tmp/plugin", PLUGIN), UNASKED),
    (section("VirtualHost *:1", section("Location /plugin", PLUGIN)), UNASKED),
    (section("Location /plugin", PLUGIN) + location("/other", PLUGIN), UNASKED),
    # Both mistakes are two.
    (section("Location /plugin", PLUGIN) + section("Location /bare", HANDLER), UNASKED),
])
def test_ws_425_01_what_has_no_other_half_is_warned_of(tester, text, warning):
    result, base = tester.configtest(text)
    assert result.returncode == 0, result.stderr
    found = re.findall(r"WS0116: (.*configtest\.conf):(\d+): (.*)", result.stderr)
    assert warning in [told for _, _, told in found], result.stderr
    lines = [int(line) for _, line, told in found if told == warning]
    expected = next(
        number for number, line in enumerate(text.splitlines(), base + 1)
        if re.match(r"\s*<(Location|Directory)", line)
    )
    assert lines == [expected], result.stderr


@pytest.mark.parametrize("text", [
    location("/echo", PLUGIN),
    section("Location /chat", HANDLER) + section("Location /chat/room", PLUGIN),
    section("Location /", PLUGIN) + section("Location /chat", HANDLER),
    PLUGIN + "\n" + section("Location /chat", HANDLER),
    PLUGIN + "\n" + section("VirtualHost *:1", section("Location /chat", HANDLER)),
    section("Location /chat", PLUGIN) + section("VirtualHost *:1", section("LocationMatch chat", HANDLER)),
    section("Location /chat", PLUGIN) + section("FilesMatch \\.ws$", HANDLER),
    section("Location /chat", PLUGIN) + 'RewriteEngine On\nRewriteRule ^/chat - [H=websocket-handler]\n',
    section("Location /chat", PLUGIN) + "AddHandler websocket-handler .ws\n",
    section("Directory /tmp/plugin", "AllowOverride FileInfo", PLUGIN),
    section("Location /chat", "<If \"true\">", HANDLER, "</If>", PLUGIN),
    section("Location /topics", "SetHandler websocket-topics"),
    section("Location /status", "SetHandler websocket-status"),
])
def test_ws_425_02_what_may_find_its_other_half_is_not(tester, text):
    result, _ = tester.configtest(text)
    assert result.returncode == 0, result.stderr
    assert "WS0116" not in result.stderr


def test_ws_425_03_a_start_says_it_once(make_httpd, mpm):
    server = make_httpd(mpm, location("/echo", PLUGIN) + section("Location /bare", HANDLER), modules=MODULES)
    server.error_log.expect("WS0116: ")
    server.start()
    (line,) = server.error_log.find("WS0116: ")
    assert line.level == "warn" and line.text.endswith(ALONE)


def test_ws_425_04_a_limit_above_what_a_child_takes_has_both_numbers(make_httpd, mpm):
    lines = "AsyncRequestWorkerFactor 400\n" if mpm == "event" else ""
    most = {"event": 8 + 7 * 400, "worker": 8, "prefork": 1}[mpm]
    server = make_httpd(
        mpm, f"WebSocketMaxConnections {most + 1}\n{lines}" + location("/echo", PLUGIN), modules=MODULES,
        workers=8,
    )
    pattern = (
        rf"WS0117: WebSocketMaxConnections {most + 1} is never reached: a child accepts at most {most} connections"
    )
    server.error_log.expect(pattern)
    server.start()
    assert [line.level for line in server.error_log.find(pattern)] == ["warn"]


def test_ws_425_05_a_limit_that_is_reached_is_no_reason_to_warn(make_httpd, mpm):
    most = {"event": 100, "worker": 8, "prefork": 1}[mpm]
    server = make_httpd(
        mpm, f"WebSocketMaxConnections {most}\n" + location("/echo", PLUGIN), modules=MODULES, workers=8
    ).start()
    assert not server.error_log.find("WS0117")


def test_ws_425_06_memory_that_is_refused_has_the_systems_reason(make_httpd, mpm):
    """Addresses for some of it, and not for all."""
    if mpm != "event":
        pytest.skip("a child has no more entries than threads, which is little")
    server = make_httpd(
        mpm, "ThreadStackSize 262144\n" + location("/echo", PLUGIN), modules=MODULES, workers=4,
        wrapper=("prlimit", "--as=800000000"), environment={"MALLOC_ARENA_MAX": "1"},
    )
    pattern = (
        r"WS0104: shared memory for \d+ WebSockets in each child: .* "
        r"More was refused: \d+ bytes: Cannot allocate memory"
    )
    server.error_log.expect(pattern)
    server.start()
    assert server.error_log.find(pattern)
    with server.open("/echo") as client:
        client.echo("it is served all the same")
        client.close_properly()
