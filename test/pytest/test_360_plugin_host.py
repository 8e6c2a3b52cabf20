"""plugin-host: a plugin without httpd, its scripts, and a file that changes."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from harness import settings
from harness.pluginhost import PluginHost, Site, plugin_of
from harness.rawclient import CLOSE, TEXT, frame
from harness.scripted import ask, scripts
from harness.waiting import PATIENCE, eventually

RUST = settings.MODULES


def run(*arguments, **options):
    return subprocess.run(
        [settings.PLUGIN_HOST, *arguments], capture_output=True, text=True, timeout=PATIENCE * 2,
        **options,
    )


@pytest.fixture
def host(tmp_path):
    """Starts plugin-hosts, and sees to it that they end well."""
    hosts = []

    def start(plugin, init, *arguments, **options):
        directory = tmp_path / str(len(hosts))
        directory.mkdir()
        hosts.append(PluginHost(directory, plugin, init, *arguments, **options))
        return hosts[-1]

    yield start
    for running in hosts:
        assert running.stop() == 0, running.text()


@pytest.fixture
def play(tmp_path):
    """Plays a script against a plugin."""

    def play(text, plugin, init, *arguments):
        script = tmp_path / "conversation"
        script.write_text(text)
        return run(plugin, init, "--script", script, "--color", "never", *arguments)

    return play


# Scripts

def test_ws_360_01_a_script_that_goes_as_it_says_ends_with_0(play):
    played = play(
        """
# Two clients, and all that a script can say.
header X-Set-Header: X-From=yes
header Sec-WebSocket-Protocol: a, b
header X-Choose-Protocol: b
connect /rpc?x=1
response Sec-WebSocket-Protocol: b
response X-From: yes
other: header X-Refuse: 1
other: refused 403 /
other: connect /
send echo a\\x62\\\\c
text ab\\\\c
send-part echo in
send-last  parts
text in parts
send-binary 00 ff
binary 00ff
send-ping here
pong here
nothing 1
send send ping there
ping there
text result 5
other: send send pong x
other: pong x
other: text result 1
other: drop
send close_with 4000 bye
closed 4000 bye
connect /
close 1000 done
""",
        *plugin_of("rpc"),
    )
    assert (played.returncode, played.stdout) == (0, ""), played.stderr
    assert '#1 -> text 9 "echo ab\\c"' in played.stderr


@pytest.mark.parametrize(("text", "line", "said"), [
    ("connect /\nsend echo a\ntext b\n", 3, 'expected text "b", got text "a"'),
    ("connect /\nsend nothing\nnothing 1\nsend close\ntext x\n", 5, "got a Close without a code"),
    ("connect /\nsend close\nclosed 1000\n", 3, "expected a Close with 1000"),
    ("refused 403 /\n", 1, "got 101, not 403"),
    ("\nheader X-Refuse: 1\nconnect /\n", 3, "got 403, not 101"),
    ("connect /\nresponse X-Absent: 1\n", 2, "X-Absent"),
    ("a: connect /\nb: send x\n", 2, "b: is not connected"),
    ("connect /\nsend echo a\nnothing 5000\n", 3, "expected nothing"),
])
def test_ws_360_02_a_script_that_fails_names_its_line(play, text, line, said):
    played = play(text, *plugin_of("rpc"))
    assert played.returncode == 1
    assert re.search(rf"conversation:{line}: .*{re.escape(said)}", played.stderr), played.stderr


def test_ws_360_03_a_script_that_says_nonsense_is_not_played(play):
    played = play("connect /\nshout\n", *plugin_of("rpc"))
    assert played.returncode == 1
    assert 'conversation:2: unknown word "shout"' in played.stderr
    assert "asks for" not in played.stderr


# Loading

@pytest.mark.parametrize(("plugin", "init", "said"), [
    (plugin_of("rpc")[0], "other_init", "has no function 'other_init'"),
    (str(settings.TEST_PLUGINS / "absent.so"), "init", "absent.so"),
    (str(settings.TEST_PLUGINS / "bad/not_a_shared_object.so"), "init", "cannot load"),
])
def test_ws_360_04_what_is_no_plugin_is_told(plugin, init, said):
    ended = run(plugin, init, "--port", "0")
    assert ended.returncode == 1
    assert said in ended.stderr


def test_ws_360_05_a_plugin_that_refuses_its_options_is_told():
    ended = run(*plugin_of("scripted"), "--port", "0", "-o", "wrong=4711")
    assert ended.returncode == 1
    assert "4711" in ended.stderr


def test_ws_360_06_a_bad_command_line_ends_with_2():
    assert run("only.so").returncode == 2
    assert run("--help").stdout.startswith("plugin-host: ")


# Options and variables

def test_ws_360_07_options_and_variables_reach_the_plugin(host):
    running = host(*plugin_of("scripted"), "-o", "colour=red", "--variable", "REMOTE_USER=alice")
    with running.open("/a%20b?c=d", [("X-Token", "t")]) as client:
        for name, value in {
            "REMOTE_USER": "alice", "REMOTE_ADDR": "127.0.0.1", "QUERY_STRING": "c=d",
            "REQUEST_URI": "/a%20b?c=d", "SCRIPT_NAME": "/a b", "REQUEST_METHOD": "GET",
            "REQUEST_SCHEME": "http", "SERVER_NAME": "127.0.0.1", "HTTP_X_TOKEN": "t",
            "SERVER_PORT": str(running.port), "SERVER_PROTOCOL": "HTTP/1.1", "HTTPS": "NULL",
        }.items():
            assert ask(client, f"variable_get {name}") == value, name
        assert ask(client, "option_get colour") == "red"
        assert ask(client, "option_get shape") == "NULL"
        client.close_properly()


def test_ws_360_08_the_life_of_the_process_is_told_to_the_plugin(host, tmp_path):
    record = tmp_path / "record"
    running = host(
        *plugin_of("scripted"), "-o", "on-child-start=option_get on-child-start; log 6 begun",
        environment={"WEBSOCKET_RECORDER_FILE": str(record)},
    )
    with running.open() as client:
        assert ask(client, "echo x") == "x"
        running.process.send_signal(signal.SIGTERM)
        client.expect_close(1001)
        # No second signal, which would end it at once.
        assert running.process.wait(PATIENCE) == 0
    whats = [line.split(" ", 2)[2] for line in record.read_text().splitlines()]
    assert "[info] begun" in running.text()
    assert whats[0].startswith("configure on-child-start=") and whats[1] == "child_start"
    assert whats[-2:] == ["child_stop 1", "destroy"], whats
    assert whats[-3] == "disconnect"


def test_ws_360_09_what_the_plugin_logs_is_on_standard_error(host):
    running = host(*plugin_of("scripted"))
    with running.open() as client:
        ask(client, "log 3 hex:1b5b326a; log 4 careful; log 7 details")
        client.close_properly()
    eventually(lambda: "[debug] #1 details" in running.text(), "the plugin's line")
    assert "[warn] #1 careful" in running.text()
    assert "\x1b" not in running.text()


def test_ws_360_10_what_asks_for_no_websocket_is_answered(host):
    running = host(*plugin_of("rpc"))
    for headers, status in [([], 426), ([("Upgrade", "websocket"), ("Connection", "upgrade")], 400)]:
        with running.client() as client:
            assert client.request("/", headers).status == status
    with running.client() as client:
        client.send(b"nonsense\r\n\r\n")
        assert client.receive_to_eof().startswith(b"HTTP/1.1 400 ")


def test_ws_360_11_frames_that_come_with_the_handshake_are_read(host):
    running = host(*plugin_of("rpc"))
    with running.client() as client:
        client.upgrade("/", then=frame(TEXT, b"echo early"))
        assert client.receive_message().text == "early"
        client.close_properly()


def test_ws_360_12_colours_are_for_who_wants_them(host):
    running = host(*plugin_of("rpc"), "--color", "always", quiet=False)
    with running.open() as client:
        client.send_frame(TEXT, "echo x")
        assert client.receive_message().text == "x"
        client.close_properly()
    assert "\x1b[32m#1 -> text 6 \"echo x\"\x1b[0m\n" in running.text()


# A file that changes

def greeting(compiler_output, text, tmp_path):
    source = tmp_path / "greeting.c"
    source.write_text(f"""
#include "websocket_plugin.h"
static size_t CALLBACK on_message(void *p, const WebSocketServer *server, const int type,
                                  unsigned char *buffer, const size_t size)
{{
    (void)p, (void)buffer, (void)type;
    server->send(server, MESSAGE_TYPE_TEXT, (const unsigned char *)"{text}", {len(text)});
    return size;
}}
static WebSocketPlugin plugin = {{ sizeof plugin, 0, NULL, NULL, on_message }};
extern EXPORT WebSocketPlugin *CALLBACK greeting_init(void) {{ return &plugin; }}
""")
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-I", settings.ROOT / "include", "-o", compiler_output, source],
        check=True,
    )


@pytest.mark.parametrize("how", ["rename", "overwrite"])
def test_ws_360_13_a_new_file_is_taken_and_websockets_close_with_1012(host, tmp_path, how):
    plugin, new = tmp_path / "greeting.so", tmp_path / "new.so"
    greeting(plugin, "old", tmp_path)
    running = host(str(plugin), "greeting_init", "--watch")
    greeting(new, "new", tmp_path)
    with running.open() as client:
        client.send_frame(TEXT, "hello")
        assert client.receive_message().text == "old"
        if how == "rename":
            os.replace(new, plugin)
        else:
            shutil.copyfile(new, plugin)
        received = client.receive_frame()
        assert (received.opcode, received.close_code) == (CLOSE, 1012)
        client.send_close(1012)
        assert client.receive_to_eof() == b""
    with running.open() as client:
        client.send_frame(TEXT, "hello")
        assert client.receive_message().text == "new"
        client.close_properly()


def test_ws_360_27_at_the_end_those_of_an_earlier_file_have_their_last_callback_too(host, tmp_path):
    plugin, record = tmp_path / "scripted.so", tmp_path / "record"
    shutil.copyfile(plugin_of("scripted")[0], plugin)
    environment = {"WEBSOCKET_RECORDER_FILE": str(record)}
    running = host(str(plugin), "scripted_init", "--watch", environment=environment)
    with running.open() as client:
        shutil.copyfile(plugin, tmp_path / "new.so")
        os.replace(tmp_path / "new.so", plugin)
        received = client.receive_frame()
        assert (received.opcode, received.close_code) == (CLOSE, 1012)
        # It does not answer.
        assert running.stop() == 0
    whats = [line.split(" ", 2)[2] for line in record.read_text().splitlines()]
    ends = [what for what in whats if what.split()[0] in ("disconnect", "child_stop", "destroy")]
    gone = ["child_stop 1", "destroy"]
    assert ends == ["disconnect", *gone, *gone], whats


def test_ws_360_14_a_new_file_that_is_no_plugin_leaves_the_old_one_running(host, tmp_path):
    plugin = tmp_path / "rpc.so"
    shutil.copyfile(plugin_of("rpc")[0], plugin)
    running = host(str(plugin), "rpc_init", "--watch")
    with running.open() as client:
        (tmp_path / "broken").write_text("not a shared object")
        os.replace(tmp_path / "broken", plugin)
        eventually(lambda: "the old one goes on" in running.text(), "the word about the new file")
        client.send_frame(TEXT, "echo unharmed")
        assert client.receive_message().text == "unharmed"
        client.close_properly()


def test_ws_360_15_no_copy_of_a_watched_file_is_left(host, tmp_path):
    place = tmp_path / "copies"
    place.mkdir()
    running = host(*plugin_of("rpc"), "--watch", environment={"TMPDIR": str(place)})
    assert len(list(place.iterdir())) == 1
    assert running.stop() == 0
    assert list(place.iterdir()) == []


# The examples

@pytest.mark.parametrize(("name", "init", "script"), [
    ("mod_websocket_echo", "echo_init", "connect /\nsend hi\ntext hi\nsend-binary 01\nbinary 01\nclose\n"),
    ("mod_websocket_rust_echo", "echo_init", "connect /\nsend hi\ntext hi\nclose 1000\n"),
    ("mod_websocket_rust_mirror", "mirror_init",
     'connect /?mirror=a\nlike {"members":1,*\nb: connect /?mirror=a\nlike {"members":2,*\n'
     'b: like {"members":2,*\nb: drop\nlike {"members":1,*\nc: refused 400 /?mirror=!\n'),
    ("mod_websocket_rust_chat", "chat_init",
     'connect /\nsend {"nick": "Ada"}\n'
     'like {"type":"join","nick":"Ada",*\nsend {"text": "Hello!"}\nlike *"text":"Hello!"*}\nclose\n'),
])
def test_ws_360_16_examples_run(play, name, init, script):
    played = play(script, str(RUST / f"{name}.so"), init)
    assert played.returncode == 0, played.stderr


@pytest.mark.parametrize(("name", "init", "protocol"), [
    ("mod_websocket_dumb_increment", "dumb_increment_init", "dumb-increment-protocol"),
    ("mod_websocket_rust_dumb_increment", "dumb_increment_init", "dumb-increment-protocol"),
])
def test_ws_360_17_timers_of_examples_run(play, name, init, protocol):
    script = f"header Sec-WebSocket-Protocol: {protocol}\nconnect /\ntext 0\ntext 1\nsend reset\n"
    played = play(script, str(RUST / f"{name}.so"), init)
    assert played.returncode == 0, played.stderr


def test_ws_360_18_a_refusal_says_what_the_plugin_says(host):
    running = host(*plugin_of("scripted"))
    with running.client() as client:
        fields = scripts(on_connect="reject 429; header_set Retry-After 7; refuse")
        response = client.upgrade("/", fields)
        assert (response.status, response.get("Retry-After")) == (429, "7")


# Its end

def blocks(signal_number, status):
    mask = int(re.search(r"^SigBlk:\s*(\w+)$", status, re.M)[1], 16)
    return bool(mask >> (signal_number - 1) & 1)


def statuses_of_threads(pid):
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/status"):
        # The thread that has shaken hands may just be ending.
        with contextlib.suppress(OSError):
            found.append(path.read_text())
    return found


def test_ws_360_19_signals_go_to_one_thread_as_under_httpd(host):
    running = host(*plugin_of("threads"))
    with running.open() as client:
        tasks = statuses_of_threads(running.process.pid)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            assert [blocks(number, status) for status in tasks].count(False) == 1
        client.close_properly()


def begin_a_callback_without_end(running):
    """A client whose on_message has begun."""
    client = running.open()
    client.send_frame(TEXT, "log 6 begun; pause 600000")
    eventually(lambda: "[info] #1 begun" in running.text(), "the callback's begin")
    return client


@pytest.mark.parametrize(("first", "second"), [
    (signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGTERM), (signal.SIGTERM, signal.SIGINT),
])
def test_ws_360_20_a_second_signal_ends_what_a_callback_keeps_from_its_end(tmp_path, first, second):
    running = PluginHost(tmp_path, *plugin_of("scripted"))
    try:
        with begin_a_callback_without_end(running):
            running.process.send_signal(first)
            eventually(lambda: f"{first.name}: closes what is open" in running.text(), "the first signal")
            assert running.process.poll() is None
    finally:
        assert running.stop(second) == 128 + second
    assert re.search(r"\[warn\] on_message of #1 has not returned for [0-9.]+ s\n", running.text())


def test_ws_360_21_a_signal_ends_a_script(tmp_path):
    script, log = tmp_path / "conversation", tmp_path / "log"
    script.write_text("connect /\nsend log 6 begun; pause 600000\nwait 600000\n")
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [settings.PLUGIN_HOST, *plugin_of("scripted"), "--script", script], stderr=errors,
        )
    try:
        eventually(lambda: b"[info] #1 begun" in log.read_bytes(), "the callback's begin")
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 128 + signal.SIGINT
    finally:
        process.kill()
        process.wait()
    assert b"[warn] on_message of #1 has not returned" in log.read_bytes()


def test_ws_360_22_a_plugin_that_hangs_while_it_begins_can_be_ended(tmp_path):
    log = tmp_path / "log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [settings.PLUGIN_HOST, *plugin_of("scripted"), "--port", "0",
             "-o", "on-child-start=log 6 begun; pause 600000"], stderr=errors,
        )
    try:
        eventually(lambda: b"[info] begun" in log.read_bytes(), "the callback's begin")

        def ends():
            # Two that come at once are one.
            process.send_signal(signal.SIGTERM)
            return process.poll() is not None

        eventually(ends, "the second signal")
        assert process.returncode == 128 + signal.SIGTERM
    finally:
        process.kill()
        process.wait()
    assert b"[warn] child_start has not returned" in log.read_bytes()


# Copies of the file

def test_ws_360_23_a_copy_is_in_a_folder_that_is_nobody_elses(host, tmp_path):
    place = tmp_path / "copies"
    place.mkdir()
    host(*plugin_of("rpc"), "--watch", environment={"TMPDIR": str(place)})
    [folder] = place.iterdir()
    assert folder.is_dir() and not folder.is_symlink()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [copy.name for copy in folder.iterdir()] == ["rpc.so"]


def test_ws_360_24_a_folder_that_may_hold_no_programs_is_no_obstacle(host, tmp_path, monkeypatch):
    place, plugin, wrapper = tmp_path / "noexec", tmp_path / "rpc.so", tmp_path / "plugin-host"
    place.mkdir()
    shutil.copyfile(plugin_of("rpc")[0], plugin)
    # In a mount namespace of its own, which goes with the process.
    mount = f"mount -t tmpfs -o noexec tmpfs {place}"
    wrapper.write_text(f"""#!/bin/sh
exec unshare --mount sh -c '{mount} && exec "$@"' sh {settings.PLUGIN_HOST} "$@"
""")
    wrapper.chmod(0o755)
    if subprocess.run(["unshare", "--mount", *mount.split()], check=False).returncode:
        pytest.skip("needs the right to mount")
    monkeypatch.setattr(settings, "PLUGIN_HOST", wrapper)
    running = host(str(plugin), "rpc_init", "--watch", environment={"TMPDIR": str(place)})
    with running.open() as client:
        client.send_frame(TEXT, "echo unharmed")
        assert client.receive_message().text == "unharmed"
        client.close_properly()
    [copy] = tmp_path.glob("plugin-host-*")
    assert running.stop() == 0
    assert not copy.exists()


# Refusals

def test_ws_360_25_a_refusal_reaches_a_client_that_sends_on(host):
    running = host(*plugin_of("rpc"))
    with running.client() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
                    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                    b"Content-Length: 1000000\r\n\r\n" + bytes(1_000_000))
        assert client.receive_to_eof().startswith(b"HTTP/1.1 400 ")


# The harness

def test_ws_360_26_hosts_that_share_a_log_keep_each_others_lines():
    site = Site({"/a": plugin_of("rpc"), "/b": plugin_of("rpc")})
    try:
        ports = re.findall(r"ws://127\.0\.0\.1:(\d+)/", site.error_log.tail())
        assert ports == [str(site.hosts[path].port) for path in ("/a", "/b")]
        site.stop()
    finally:
        site.stop()
        site.remove()
