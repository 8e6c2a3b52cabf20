"""What runs, and how full: the build of each child, what each takes, a limit for each Location; the page without a script."""

import re
import shutil
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from harness.conf import ECHO, example, location
from harness.httpd import Httpd
from harness.rawclient import TEXT, frame
from harness.status import LOCATION, Status, wait_until_quiet

WORKERS = 16
MOST = 2
LIMITS = "WebSocketMaxConnections 9\nWebSocketMessageMemory 64M\n"
MODULES = ("status",)


def configuration(server):
    return (
        LOCATION
        + "<Location /server-status>\n  SetHandler server-status\n</Location>\n"
        + location("/echo", example(ECHO))
        + location("/few", example(ECHO), f"WebSocketMaxConnectionsPerLocation {MOST}")
        + location("/few/more", example(ECHO), "WebSocketMaxConnectionsPerLocation 0")
        + location('"/<b>"', example(ECHO))
    )


@pytest.fixture
def status(httpd):
    return Status(httpd)


def module():
    return Path(Httpd.module("mod_websocket").strip('"'))


def test_ws_774_01_the_build_is_the_same_everywhere(httpd, status):
    document = status.read()
    version, digest = document["build"].split(" ")
    assert re.fullmatch(r"\d+\.\d+\.\d+", version) and re.fullmatch("[0-9a-f]{8}", digest)
    assert f"mod_websocket/{version}".encode() in module().read_bytes()
    (line,) = re.findall(r"\[websocket:notice\].*WS0118: (.*)", httpd.error_log.path.read_text())
    assert line == f"mod_websocket/{version} (build {digest}) is loaded"
    with httpd.open("/echo") as client:
        client.echo("so that there is a child with figures")
        document = status.read()
        assert {each["build"] for each in document["children"]} == {f"{version} {digest}"}
        assert not any(each["outdated"] for each in document["children"])
        text = status.get("?format=openmetrics").text
        assert f'websocket_build_info{{version="{version}",build="{digest}"}} 1\n' in text
        assert "websocket_children_outdated 0\n" in text
        client.close_properly()


def test_ws_774_02_children_of_an_older_build_are_marked(make_httpd, mpm):
    """A file of the same version is put in its place, and httpd reloaded, while a WebSocket drains."""
    server = make_httpd(mpm, "WebSocketDrainTimeout 0\n" + LOCATION + location("/echo", example(ECHO)))
    own = server.directory / "own_websocket.so"
    shutil.copy(module(), own)
    conf = server.directory / "httpd.conf"
    text = conf.read_text()
    assert text.count(str(module())) == 1
    conf.write_text(text.replace(str(module()), str(own)))
    server.start()
    status = Status(server)
    with server.open("/echo") as old:
        old.echo("before")
        (before,) = [each for each in status.read()["children"] if each["connections"]]
        other = own.with_suffix(".new")
        other.write_bytes(own.read_bytes() + b"another build")
        other.rename(own)
        server.graceful()
        with status.open_in_new_generation("/echo") as new:
            document = status.wait_for_open(2)
            children = {each["pid"]: each for each in document["children"]}
            assert document["build"] != before["build"]
            assert children[before["pid"]]["outdated"] and children[before["pid"]]["build"] == before["build"]
            newer = [each for each in children.values() if each["generation"] > before["generation"]]
            assert newer and not any(each["outdated"] for each in newer)
            assert {each["build"] for each in newer} == {document["build"]}
            assert re.search(r"websocket_children_outdated [1-9]", status.get("?format=openmetrics").text)
            new.close_properly()
        old.close_properly()
    wait_until_quiet(server)


def test_ws_774_03_what_a_child_has_stands_beside_what_it_takes(make_httpd, mpm):
    server = make_httpd(mpm, LIMITS + LOCATION + location("/echo", example(ECHO)), workers=WORKERS)
    if mpm == "prefork":
        server.error_log.expect("WS0117")
    server.start()
    status = Status(server)
    with server.open("/echo") as client:
        # One that is not finished.
        client.send(frame(TEXT, "x" * 100_000, fin=False))
        document = status.wait_for(
            lambda document: any(each["message_bytes"] >= 100_000 for each in document["children"]),
            "the unfinished message",
        )
        (child,) = [each for each in document["children"] if each["connections"]]
        limits = child["limits"]
        assert (limits["websockets"], limits["message_bytes"]) == (9, 64 << 20)
        threads = {"worker": WORKERS, "prefork": 1}
        assert limits["connections"] == threads.get(mpm, limits["connections"]) > 0
        label = f'{{pid="{child["pid"]}"}}'
        text = status.get("?format=openmetrics").text
        for name, value in {
            "websockets": 1, "limit_websockets": 9, "limit_message_bytes": 64 << 20,
            "limit_connections": limits["connections"], "message_bytes": child["message_bytes"],
        }.items():
            assert f"websocket_child_{name}{label} {value}\n" in text, name
        client.send(frame(0, "y", fin=True))
        client.receive_message()
        client.close_properly()
    wait_until_quiet(server)


def test_ws_774_04_a_location_holds_so_many_and_others_are_not_concerned(httpd, status, error_log):
    clients = [httpd.open("/few") for _ in range(MOST)]
    try:
        with httpd.client() as client:
            response = client.upgrade("/few")
            assert response.status == 503 and int(response.get("Retry-After")) > 0
        (line,) = error_log.wait_for("WS0213: ")
        assert line.level == "notice"
        assert line.text.endswith(
            "no WebSocket for /few: its Location holds 2 WebSockets already (WebSocketMaxConnectionsPerLocation)"
        )
        assert status.location("/few")["refused"]["too_many_in_location"] == 1
        for path in ("/echo", "/few/more", "/few/more"):
            with httpd.open(path) as other:
                other.echo("hello")
                other.close_properly()
        with clients.pop() as client:
            client.close_properly()
        status.wait_for(lambda _: status.location("/few")["open"] == MOST - 1, "a free place")
        clients.append(httpd.open("/few"))
    finally:
        for client in clients:
            client.vanish()
    status.wait_for_open(0)


@pytest.mark.parametrize(("accept", "older"), [
    (None, False), ("*/*", False), ("application/openmetrics-text;version=1.0.0", False),
    ("text/plain", True), ("text/plain;version=0.0.4;q=0.3,*/*;q=0.2", True),
    # Prometheus' own.
    ("application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
     "text/plain;version=0.0.4;q=0.3,*/*;q=0.2", False),
    ("application/openmetrics-text;q=0.1, Text/Plain;q=0.9", True),
])
def test_ws_774_05_the_older_text_is_for_who_wants_it(status, accept, older):
    response = status.get("?format=openmetrics", [("Accept", accept)] if accept else [])
    assert response.get("Vary") == "Accept"
    kind = response.get("Content-Type").split(";")[0]
    assert kind == ("text/plain" if older else "application/openmetrics-text")
    assert response.text.endswith("# EOF\n") != older


def test_ws_774_06_a_parser_of_the_older_text_takes_it(httpd, status):
    with httpd.open("/echo") as client:
        client.echo("hello")
        response = status.get("?format=prometheus")
        assert response.get("Content-Type") == "text/plain; version=0.0.4; charset=utf-8"
        families = {family.name: family for family in text_string_to_metric_families(response.text)}
        accepted = families["websocket_accepted"]
        assert accepted.type == "counter"
        values = {sample.labels["location"]: sample.value for sample in accepted.samples}
        assert values[status.name_of("/echo")] == status.location("/echo")["accepted"]
        assert families["websocket_ping_round_trip_seconds"].type == "histogram"
        assert families["websocket_build_info"].type == "gauge"
        # Every family has its type and help.
        names = [re.sub(r"[{ ].*", "", line) for line in response.text.splitlines() if not line.startswith("#")]
        typed = set(re.findall(r"^# TYPE (\S+)", response.text, re.MULTILINE))
        helped = set(re.findall(r"^# HELP (\S+)", response.text, re.MULTILINE))
        assert typed == helped
        assert {re.sub(r"_(bucket|count|sum)$", "", name) if name not in typed else name for name in names} <= typed
        client.close_properly()


def test_ws_774_07_what_nobody_knows_yet_is_no_zero(httpd):
    report = httpd.ask("/server-status?auto", [("Connection", "close")]).text
    assert "WebSocketPings: 0\n" in report
    assert "PingP50" not in report and "PingP99" not in report
    assert re.search(r"^WebSocketBuild: \d+\.\d+\.\d+ [0-9a-f]{8}$", report, re.MULTILINE)


def test_ws_774_08_without_a_script_the_page_has_the_numbers(httpd, status):
    with httpd.open("/echo") as client, httpd.open("/%3Cb%3E"):
        client.echo("hello")
        page = status.get().text
        (numbers,) = re.findall(r"<noscript>(.*?)</noscript>", page, re.DOTALL)
        rows = [
            re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>(<td.*?)</tr>", numbers, re.DOTALL)
        ]
        connection = next(row for row in rows if row[4:6] == [status.name_of("/echo"), "open"])
        assert connection[2] == "127.0.0.1"
        figures = next(row for row in rows if row[:2] == [status.name_of("/echo"), "mod_websocket_echo"])
        assert figures[3] == "1"
        assert status.name_of("/&lt;b&gt;") in numbers and "<b>" not in numbers
        # What a script would fill in says nothing without it.
        rest = page.replace(numbers, "").partition("<script")[0]
        assert "No connection is open" not in re.sub(r"<[^>]*>", "", rest)
        client.close_properly()
    status.wait_for_open(0)


def test_ws_774_09_plugins_whose_files_have_one_name_are_told_apart(make_httpd, mpm):
    server = make_httpd(mpm, LOCATION)
    other = server.directory / "elsewhere"
    other.mkdir(mode=0o755)
    copy = Path(shutil.copy(Httpd.module(ECHO[0]).strip('"'), other))
    server.configure(
        LOCATION + location("/one", example(ECHO)) + location("/two", f'WebSocketHandler "{copy}" echo_init')
    )
    server.start()
    status = Status(server)
    # Whichever is named first: each by its path.
    for path, plugin in (("/one", Httpd.module(ECHO[0]).strip('"')), ("/two", str(copy))):
        with server.open(path) as client:
            client.echo("hello")
            client.close_properly()
        assert status.location(path)["plugin"] == plugin
    status.wait_for_open(0)
    wait_until_quiet(server)
