"""Tables of every age and size: binaries of the C module's time, cut tables, and bad ones."""

import pytest

from harness import settings
from harness.conf import location, plugin
from harness.httpd import Httpd
from harness.rawclient import BINARY, CLOSE, PING, TEXT
from harness.scripted import ask

WORKERS = 16
# A table of version 0 with more members: they are ignored, and that is said.
EXPECTED_AT_START = [r"\[websocket:warn\].* WS0111: .*version_0_long_init of .*configure and what follows"]
MISUSE = r"\[websocket:warn\].* WS0401: "
NO_TIMER = "set_timer=0"

VERSION_0, VERSION_1 = 2 * 4 + 4 * 8, 2 * 4 + 13 * 8
# Init function → version and size of its table, what each connection has had before its first
# message and what set_timer says there, and the callbacks of the process.
ALL = ["configure", "child_start", "child_stop", "destroy"]
TABLES = {
    "version_0_init": (0, VERSION_0, "on_connect set_timer=0", ["destroy"]),
    "version_0_long_init": (0, VERSION_1, "on_connect set_timer=0", ["destroy"]),
    "version_1_init": (1, VERSION_1, "on_connect on_open set_timer=1", ALL),
    "version_1_short_init": (1, VERSION_0, "on_connect set_timer=0", ["destroy"]),
    "version_1_cut_init": (1, VERSION_0 + 3 * 8, "on_connect set_timer=0", ALL),
    "version_1_inside_init": (1, VERSION_0 + 3 * 8 + 4, "on_connect set_timer=0", ALL),
    "version_1_longer_init": (1, VERSION_1 + 8 * 8, "on_connect on_open set_timer=1", ALL),
    "version_1_bare_init": (1, VERSION_1, "set_timer=0", []),
}


def configuration(server):
    return (
        "".join(location(f"/{init}", plugin("tables", init)) for init in TABLES)
        + location("/scripted", plugin("scripted"))
        + location("/cut", plugin("cut_server"))
        + location("/legacy", plugin("legacy_full"))
    )


@pytest.mark.parametrize("init", TABLES)
def test_ws_878_01_a_table_counts_as_far_as_its_version_and_size_say(httpd, init):
    answer = TABLES[init][2]
    if answer.endswith(NO_TIMER):
        httpd.error_log.expect(MISUSE)
    with httpd.open(f"/{init}") as client:
        for _ in range(2):
            assert ask(client, "anything") == answer
        client.close_properly()
    for way in ("vanish", "reset"):
        client = httpd.open(f"/{init}")
        assert ask(client, "anything") == answer
        getattr(client, way)()


@pytest.mark.parametrize("init", TABLES)
def test_ws_878_02_callbacks_of_the_process_count_in_the_same_way(make_httpd, mpm, init):
    version, size, answer, names = TABLES[init]
    server = make_httpd(mpm, location("/x", plugin("tables", init)), workers=3)
    if init == "version_0_long_init":
        server.error_log.expect(EXPECTED_AT_START[0])
    if answer.endswith(NO_TIMER):
        server.error_log.expect(MISUSE)
    server.start()
    with server.open("/x") as client:
        assert ask(client, "anything") == answer
        client.close_properly()
    server.stop()
    prefix = f"{version} {size} "
    lines = [line.split(" - ")[1] for line in server.recorded()]
    assert all(line.startswith(prefix) for line in lines), lines
    assert {line.removeprefix(prefix) for line in lines} == set(names)


def test_ws_878_03_the_server_has_every_appended_member(httpd):
    with httpd.open("/scripted") as client:
        assert ask(client, "members") == (
            "close_with try_send send_fragment buffered_amount option_get variable_get reject "
            "set_timer log reject_with subscribe unsubscribe publish topic_count topic_members "
            "send_many"
        )


# A plugin compiled with this header on a server whose table ends where the C module's did.


def test_ws_878_04_on_the_c_module_no_appended_member_is_found(httpd):
    with httpd.open("/cut") as client:
        assert ask(client, "members") == "none"
        client.echo("text")
        client.echo(b"\x00\xff" * 70000, BINARY)
        client.close_properly()


def test_ws_878_05_on_the_c_module_the_flag_of_send_is_left_out(httpd):
    with httpd.open("/cut") as client:
        # MESSAGE_TYPE_BINARY alone.
        assert ask(client, "binary") == "128"
        client.close_properly()


def test_ws_878_06_on_the_c_module_a_plugin_closes_without_a_code(httpd):
    with httpd.open("/cut") as client:
        client.send_frame(TEXT, "close")
        received = client.receive_frame()
        assert (received.opcode, received.close_code) == (CLOSE, None)
        client.send_close(1000)
        assert client.receive_to_eof() == b""


# Binaries compiled against the old header.


def test_ws_878_07_an_old_binary_finds_every_function_that_it_knows(httpd):
    recorder = httpd.recorder()
    with httpd.open("/legacy", protocol="first, second, third") as client:
        assert client.response.get("Sec-WebSocket-Protocol") == "third"
        assert client.response.get("X-Host") == f"127.0.0.1:{httpd.port}"
        assert client.receive_message().text == "first"
        client.echo("text")
        client.echo(b"\x00\xff" * 70000, BINARY)
        client.send_frame(TEXT, "ping")
        received = client.receive_frame()
        assert (received.opcode, received.payload) == (PING, b"old")
        client.send_frame(TEXT, "thread")
        assert client.receive_message().text == "from a thread"
        client.close_properly(1000)
    (callbacks,) = recorder.wait_for_ends().values()
    assert callbacks == [
        "connect", "message 4", "message 140000", "message 4", "message 6", "disconnect"
    ]


@pytest.mark.parametrize(("command", "code"), [("close", None), ("goodbye", 4000)])
def test_ws_878_08_an_old_binary_may_close(httpd, command, code):
    recorder = httpd.recorder()
    with httpd.open("/legacy", protocol="p") as client:
        assert client.receive_message().text == "p"
        client.send_frame(TEXT, command)
        assert client.receive_frame().close_code == code
        client.send_close(1000)
        assert client.receive_to_eof() == b""
    recorder.wait_for_ends()


def test_ws_878_09_an_old_binary_may_refuse(httpd):
    recorder = httpd.recorder()
    with httpd.client() as client:
        assert client.upgrade("/legacy").status == 403
        assert client.receive_to_eof() == b""
    assert not recorder.connections()


@pytest.mark.parametrize("way", ["vanish", "reset"])
def test_ws_878_10_an_old_binary_bears_that_its_clients_vanish(httpd, way):
    recorder = httpd.recorder()
    for _ in range(5):
        client = httpd.open("/legacy", protocol="p")
        client.send_frame(TEXT, "thread")
        getattr(client, way)()
    recorder.wait_for_ends(5)


def test_ws_878_11_an_old_binary_bears_options_and_the_life_of_processes(make_httpd, mpm):
    server = make_httpd(
        mpm, location("/legacy", plugin("legacy_full"), "WebSocketPluginOption unheard of")
    )
    recorder = server.recorder()
    server.start()
    parent = server.pid
    for go_on in (server.graceful, server.restart, server.stop):
        with server.open("/legacy", protocol="p") as client:
            assert client.receive_message().text == "p"
            client.close_properly()
        go_on()
    # httpd reads its configuration twice when it starts.
    assert recorder.destroyed().count(parent) == 4


# Bad tables.


@pytest.fixture(scope="module")
def tester():
    """A server that never runs; the MPM makes no difference to how configuration is read."""
    server = Httpd(settings.mpms()[0])
    yield server
    server.remove()


@pytest.mark.parametrize(("name", "reasons"), [
    ("bad/version_2", ["version 2"]),
    ("bad/short_version_1", ["size", str(VERSION_0 - 8)]),
    ("bad/version_1_no_on_message", ["on_message", "NULL"]),
    ("bad/wrong_size", ["size", str(VERSION_0 - 1)]),
])
def test_ws_878_12_each_defect_of_a_table_is_named(tester, name, reasons):
    result, base = tester.configtest(location("/x", plugin(name, "bad_init")))
    assert result.returncode != 0
    assert f"Syntax error on line {base + 3} of {tester.directory}/configtest.conf" in result.stderr
    for reason in ["WebSocketHandler", f"{settings.TEST_PLUGINS / name}.so", *reasons]:
        assert reason in result.stderr
