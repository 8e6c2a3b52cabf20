"""log: what plugins write to the ErrorLog."""

import re

import pytest

from harness.conf import location, plugin
from harness.hosts import TLS_MODULES, tls_host
from harness.lines import whole_lines
from harness.scripted import Records, ask, scripts, tell
from harness.waiting import eventually

MODULES = TLS_MODULES
WORKERS = 20
# The base configuration has LogLevel info.
LEVELS = {3: "error", 4: "warn", 5: "notice", 6: "info", 7: "debug", 8: "trace1"}
ALARMING = (3, 4)
LINE = (
    r"^\[[^]]+\] \[websocket:{level}\] \[pid \d+(:tid \d+)?\] "
    r".*\[client {address}\] WS0402: "
)
LONGEST = 8192  # httpd's MAX_STRING_LEN


def configuration(server):
    handler = plugin("scripted")
    return location("/scripted", handler) + tls_host(server) + f"""
{server.listen(server.spare_port)}
<VirtualHost *:{server.spare_port}>
  LogLevel websocket:trace8
  ErrorLog "own.log"
</VirtualHost>
"""


@pytest.fixture(params=["plain", "tls"])
def tls(request, httpd):
    return httpd.certificates.client_context() if request.param == "tls" else None


@pytest.fixture
def own_log(httpd):
    """The lines in the virtual host's own log since the test began."""
    path = httpd.directory / "own.log"
    before = len(whole_lines(path))
    return lambda: whole_lines(path)[before:]


@pytest.mark.parametrize("level", [3, 4, 5, 6])
def test_ws_870_01_a_line_has_level_client_and_tag(httpd, tls, level):
    if level in ALARMING:
        httpd.error_log.expect("WS0402: hello log$")
    with httpd.open("/scripted", tls=tls) as client:
        assert ask(client, f"log {level} hello log") == "done"
        address = "{}:{}".format(*client.socket.getsockname())
        client.close_properly()
    (entry,) = httpd.error_log.wait_for("WS0402: hello log$", LEVELS[level])
    assert re.match(LINE.format(level=LEVELS[level], address=re.escape(address)), entry.text)


@pytest.mark.parametrize(("level", "name"), [
    (2, "error"), (0, "error"), (-1, "error"), (-2147483648, "error"),
])
def test_ws_870_02_what_is_beyond_error_is_an_error(httpd, level, name):
    httpd.error_log.expect("WS0402: beyond$")
    with httpd.open("/scripted") as client:
        assert ask(client, f"log {level} beyond") == "done"
    assert len(httpd.error_log.wait_for("WS0402: beyond$", name, count=1)) == 1


def test_ws_870_03_loglevel_decides_what_is_written(httpd):
    with httpd.open("/scripted") as client:
        for level in (7, 8, 9, 2147483647):
            assert ask(client, f"log {level} not here") == "done"
        assert ask(client, "log 6 but this") == "done"
    assert not httpd.error_log.find("not here")
    assert httpd.error_log.wait_for("but this")


@pytest.mark.parametrize("level", [3, 4, 5, 6, 7, 8, 9, 2147483647])
def test_ws_870_04_the_virtual_hosts_loglevel_and_errorlog_count(httpd, own_log, level):
    with httpd.open("/scripted", port=httpd.spare_port) as client:
        assert ask(client, f"log {level} hello log") == "done"
    line = eventually(
        lambda: next((line for line in own_log() if "WS0402: hello log" in line), None), "the line"
    )
    name = LEVELS.get(level, "trace1")
    assert re.match(LINE.format(level=name, address=r"127\.0\.0\.1:\d+") + "hello log$", line)
    assert not httpd.error_log.find("hello log")


def test_ws_870_05_a_loglevel_of_the_module_lets_debug_through(make_httpd, mpm):
    text = "LogLevel info websocket:debug\n" + location("/scripted", plugin("scripted"))
    server = make_httpd(mpm, text).start()
    with server.open("/scripted") as client:
        assert ask(client, "log 7 debugging; log 8 tracing") == "done; done"
    assert server.error_log.wait_for("WS0402: debugging$", "debug")
    assert not server.error_log.find("tracing")


def test_ws_870_06_control_characters_are_escaped(httpd):
    bad = "start\n[forged] line\r\t\x1b[31mred\x7f\x08\x01 end"
    with httpd.open("/scripted") as client:
        assert ask(client, "log 5 hex:" + bad.encode().hex()) == "done"
    (entry,) = httpd.error_log.wait_for("WS0402: start")
    assert entry.text.endswith(" end") and "forged" in entry.text and "red" in entry.text
    raw = httpd.error_log.path.read_bytes()
    assert not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", raw)
    assert b"\n[forged]" not in raw


def test_ws_870_07_a_text_is_not_a_format(httpd):
    text = "%s %n %d %% %1$s \\n"
    with httpd.open("/scripted") as client:
        assert ask(client, f"log 5 {text}") == "done"
    (entry,) = httpd.error_log.wait_for("WS0402: %s %n")
    assert "%s %n %d %% %1$s " in entry.text


@pytest.mark.parametrize("text", ["hex:ff", "hex:c328", "hex:f09f9880", "hex:"])
def test_ws_870_08_bytes_that_are_not_utf8_and_no_bytes_at_all_are_borne(httpd, text):
    with httpd.open("/scripted") as client:
        assert ask(client, f"log 5 {text}; echo alive") == "done; alive"
    assert len(httpd.error_log.wait_for("WS0402: ", count=1)) == 1


def test_ws_870_09_null_has_no_effect(httpd):
    with httpd.open("/scripted") as client:
        script = "log 5 null:0; log 3 null:7; log 99 null:0; echo alive"
        assert ask(client, script) == "done; done; done; alive"
    assert not httpd.error_log.find("WS04")


@pytest.mark.parametrize("size", [7000, 9000, 100_000, 5_000_000])
def test_ws_870_10_what_is_longer_than_a_line_is_cut(httpd, size):
    with httpd.open("/scripted") as client:
        assert ask(client, f"log 5 x:{size}; log 5 the next") == "done; done"
    (entry,) = httpd.error_log.wait_for("WS0402: x")
    assert len(entry.text) <= LONGEST
    count = entry.text.count("x", entry.text.index("WS0402: "))
    assert count == size if size < 8000 else count > 7000
    assert httpd.error_log.wait_for("WS0402: the next$")


def test_ws_870_11_every_callback_and_threads_may_log(httpd, tls):
    records = Records(httpd)
    where = ("on_connect", "on_open", "on_timer", "on_close", "on_disconnect")
    scripts_of = {callback: f"log 5 in {callback}" for callback in where}
    scripts_of["on_open"] += "; set_timer 1; thread log 5 on a thread"
    scripts_of["on_timer"] += "; close"
    scripts_of["on_disconnect"] += "; thread log 5 at the end"
    with httpd.open("/scripted", scripts(**scripts_of), tls=tls) as client:
        address = "{}:{}".format(*client.socket.getsockname())
        assert client.receive_frame().close_code is None
        client.send_close(1000)
        assert client.receive_to_eof() == b""
    records.wait_for_ends()
    for text in [f"in {callback}" for callback in where] + ["on a thread", "at the end"]:
        (entry,) = httpd.error_log.wait_for(f"WS0402: {text}$", "notice")
        # Whose line it is.
        assert f" {address}] WS0402" in entry.text, entry.text


def test_ws_870_12_lines_of_many_threads_do_not_mix(httpd):
    records = Records(httpd)
    threads, lines = 5, 40
    with httpd.open("/scripted") as client:
        for thread in range(threads):
            script = "; ".join(f"log 5 thread {thread} line {n} end" for n in range(lines))
            tell(client, f"thread {script}")
        client.close_properly()
    records.wait_for_ends()
    entries = httpd.error_log.wait_for(r"WS0402: thread \d line \d+ end$", count=threads * lines)
    assert len(entries) == threads * lines
    assert len(httpd.error_log.wait_for("thread [0-9]", count=threads * lines)) == threads * lines


def test_ws_870_13_a_plugin_may_log_while_its_peer_takes_nothing(httpd, tls):
    records = Records(httpd)
    sends = ["send binary x:500000"] * 60
    # By a timer: under TLS nothing is read from a peer that takes nothing, so that it could ask for no more.
    with httpd.open(
        "/scripted", scripts(on_timer="thread log 5 still here"), tls=tls, receive_buffer=4096
    ) as client:
        tell(client, "thread " + "; ".join(sends[:3] + ["set_timer 1"] + sends[3:]))
        records.wait_for("does send binary x:500000 = 500000", 3)
        httpd.error_log.wait_for("WS0402: still here$")
    records.wait_for_ends()
