"""What lies in contrib/, each with the program that it is for: `make neighbours`."""

import json
import re
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import pytest

from harness import beside
from harness.beside import CONTRIB
from harness.conf import ECHO, example, location, plugin
from harness.rawclient import TEXT, frame
from harness.waiting import eventually

MPMS = ("event",)
# The format that the documents have.
DOCUMENTED = (beside.settings.ROOT / "docs/operations.md").read_text()
LOG = re.search(r"^ +(LogFormat .* websocket)$", DOCUMENTED, re.MULTILINE)[1] + "\nCustomLog websocket.log websocket\n"


@pytest.fixture
def start(make_httpd, mpm):
    def serve(*lines):
        def configuration(_server):
            return (
                "LogLevel info websocket:info\n" + LOG + "WebSocketDrainTimeout 1s\n"
                + location("/echo", example(ECHO))
                + location("/strict", example(ECHO), "WebSocketMaxConnectionsPerClient 1")
                + location("/ten", plugin("threads"), "WebSocketPingInterval 100ms")
                + "<Location /status>\n  SetHandler websocket-status\n</Location>\n"
                + "<Location /topics>\n  SetHandler websocket-topics\n</Location>\n"
                + "<Location /publish>\n  SetHandler websocket-publish\n</Location>\n"
                + "".join(f"{line}\n" for line in lines)
            )

        return make_httpd(mpm, configuration).start()

    return serve


# fail2ban


def test_ws_910_01_fail2ban_finds_who_is_refused_and_nobody_else(start, tmp_path):
    server = start()
    guilty = []
    # As many of each kind as their place says.
    assert server.ask("/echo", [("Upgrade", "websocket"), ("Connection", "Upgrade")]).status == 400
    guilty.append("WS0202")
    forged = "x\n[Sat Nov 28 21:06:30 2026] [websocket:info] [pid 1:tid 1] [client 192.0.2.9:1] WS0202: no"
    with server.open("/strict") as first:
        with server.client() as client:
            assert client.upgrade("/strict").status == 429
        guilty.append("WS0210")
        first.close_properly()
    with server.open("/echo") as client:
        client.send(frame(TEXT, b"not masked", mask=None))
        client.receive_to_eof()
    guilty.append("WS0302")
    # The innocent: visitors of a page of another site, one that leaves with a reason that looks like guilt, and a page that is
    # not there.
    for origin in ("http://evil.example", forged.replace("\n", "%0a")):
        with server.client() as client:
            assert client.upgrade("/echo", [("Origin", origin)]).status == 403
    with server.open("/echo") as client:
        client.close_properly(4000, b'": the peer broke the protocol:')
    with server.client() as client:
        assert client.upgrade("/echo", [("User-Agent", forged.replace("\n", " "))]).status == 101
        client.close_properly()
    server.ask("/WS0202:")
    eventually(lambda: len(server.error_log.find("WS0302")) >= 4, "the ends in the log")
    output = beside.run(
        "fail2ban-regex", "--print-all-matched", server.error_log.path, CONTRIB / "fail2ban/filter.d/websocket.conf",
        status=None,
    )
    output = output.partition("Matched line(s):")[2].partition("Missed line(s):")[0]
    # The tag behind the first client, which is httpd's own word.
    found = re.findall(r"^\|  \S.*?\[client 127.0.0.1:\d+\] (WS\d{4}):", output, re.MULTILINE)
    assert sorted(found) == sorted(guilty), output


def test_ws_910_02_fail2ban_reads_the_jail(tmp_path):
    root = tmp_path / "fail2ban"
    source = beside.ROOT / "etc/fail2ban"
    subprocess.run(["cp", "-r", str(source), str(root)], check=True)
    subprocess.run(["cp", "-r", f"{CONTRIB}/fail2ban/.", str(root)], check=True)
    # Debian's own jail would watch this system's log of ssh.
    for file in (root / "jail.d").glob("defaults*"):
        file.unlink()
    log = tmp_path / "error.log"
    log.touch()
    jail = root / "jail.d/websocket.conf"
    jail.write_text(jail.read_text().replace("/var/log/apache2/error.log", str(log)) + "backend = polling\n")
    output = beside.run("fail2ban-client", "-c", root, "--dp")
    assert "'set', 'websocket', 'addfailregex'" in output or "'multi-set', 'websocket', 'addfailregex'" in output, output
    assert "maxretry', 10" in output


# Prometheus and Grafana


def test_ws_910_03_each_alert_fires_when_it_should():
    output = beside.run("promtool", "test", "rules", "websocket.test.yml", cwd=CONTRIB / "prometheus")
    assert "SUCCESS" in output
    tested = re.findall(r"alertname: (\w+)", (CONTRIB / "prometheus/websocket.test.yml").read_text())
    alerts = re.findall(r"alert: (\w+)", (CONTRIB / "prometheus/websocket.rules.yml").read_text())
    assert set(tested) == set(alerts)


def test_ws_910_04_the_documents_have_each_alert():
    for alert in re.findall(r"alert: (\w+)", (CONTRIB / "prometheus/websocket.rules.yml").read_text()):
        assert f"| `{alert}` |" in DOCUMENTED, alert


def test_ws_910_05_each_query_of_the_dashboard_finds_something(start, tmp_path):
    """A Prometheus that looks at a server each second."""
    server = start()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    scrape = (CONTRIB / "prometheus/scrape.yml").read_text()
    scrape = scrape.replace("127.0.0.1:80", f"127.0.0.1:{server.port}").replace("/websocket-status", "/status")
    rules = CONTRIB / "prometheus/websocket.rules.yml"
    file = tmp_path / "prometheus.yml"
    file.write_text(f"global:\n  scrape_interval: 1s\n  evaluation_interval: 1s\nrule_files: [{rules}]\n" + scrape)
    beside.run("promtool", "check", "config", file)
    log = (tmp_path / "prometheus.log").open("w")
    process = subprocess.Popen(
        [beside.program("prometheus"), f"--config.file={file}", f"--storage.tsdb.path={tmp_path}/data",
         f"--web.listen-address=127.0.0.1:{port}"],
        env=beside.environment(), stdout=log, stderr=log,
    )

    def ask(path, **parameters):
        url = f"http://127.0.0.1:{port}/api/v1/{path}?" + urllib.parse.urlencode(parameters, doseq=True)
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as problem:
            if problem.code == 503:
                # It listens, and is not ready yet.
                return None
            raise AssertionError(f"{url}: {problem.read()}") from None
        except (OSError, urllib.error.URLError):
            return None

    dashboard = json.loads((CONTRIB / "grafana/websocket.json").read_text())
    variables = {"$instance": ".*", "$location": ".*", "$__rate_interval": "1m"}
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    for name, value in variables.items():
        queries = [query.replace(name, value) for query in queries]
    assert len(queries) >= 15 and not any("$" in query for query in queries), queries
    clients = [server.open(path) for path in ("/echo", "/ten", "/topics/news")]
    try:
        clients[0].echo("hello")
        server.ask("/publish/news", [("Content-Type", "text/plain")], method="POST", body=b"news")
        assert server.ask("/echo", [("Upgrade", "websocket"), ("Connection", "Upgrade")]).status == 400
        with server.open("/echo") as gone:
            gone.close_properly()
        missing = list(queries)

        def all_found():
            # Something that changes, so that there are rates.
            clients[0].echo("hello")
            missing[:] = [query for query in missing if not (ask("query", query=query) or {}).get("result")]
            return not missing

        try:
            eventually(all_found, "an answer to each query", 60)
        except AssertionError as problem:
            raise AssertionError(f"{problem}: {missing}") from None
        # The dashboard's variables are labels that are there.
        series = ask("series", **{"match[]": "websocket_connections"})
        assert {"instance", "location"} <= set(series[0])
        loaded = [rule for group in ask("rules")["groups"] for rule in group["rules"]]
        assert {rule["health"] for rule in loaded} <= {"ok", "unknown"} and len(loaded) >= 7, loaded
    finally:
        process.terminate()
        process.wait(20)
        log.close()
        for client in clients:
            client.vanish()


# GoAccess


def test_ws_910_06_goaccess_reads_each_line(start, tmp_path):
    server = start()
    for number in range(5):
        with server.open("/echo") as client:
            client.echo("x" * number)
            client.close_properly()
    with server.client() as client:
        assert client.upgrade("/echo", [("Origin", "http://evil.example")]).status == 403
    log = server.directory / "websocket.log"
    eventually(lambda: len(log.read_text().splitlines()) == 6, "the log")
    report = tmp_path / "report.json"
    beside.run("goaccess", log, "-p", CONTRIB / "goaccess/websocket.conf", "-o", report, "--no-global-config")
    general = json.loads(report.read_text())["general"]
    assert (general["total_requests"], general["failed_requests"]) == (6, 0), general
    assert general["bandwidth"] > 0, general


# logrotate


def test_ws_910_07_logrotate_loses_no_line_of_a_draining_child(start, tmp_path):
    server = start()
    logs = server.directory / "websocket.log"
    text = (CONTRIB / "logrotate/websocket").read_text()
    assert "delaycompress" in text
    text = text.replace("/var/log/apache2/*.log", str(logs)).replace("apachectl graceful", f"kill -USR1 {server.pid}")
    file = tmp_path / "logrotate.conf"
    file.write_text("su root root\n" + text if server.directory.owner() == "root" else text)
    file.chmod(0o644)
    with server.open("/echo") as first:
        first.close_properly()
    eventually(lambda: logs.stat().st_size > 0, "a line")
    clients = [server.open("/echo") for _ in range(40)]
    beside.run("logrotate", "--force", "--state", tmp_path / "state", file)
    for client in clients:
        client.expect_close(1001)
        client.vanish()
    rotated = logs.with_name("websocket.log.1")
    eventually(lambda: len(rotated.read_text().splitlines()) == 41, "the lines of the draining child")


# AppArmor


def test_ws_910_08_apparmor_takes_the_lines_in_a_profile(tmp_path):
    profile = tmp_path / "profile"
    profile.write_text(
        "#include <tunables/global>\nprofile apache2 /usr/sbin/apache2 {\n  #include <abstractions/base>\n"
        f'  include "{CONTRIB}/apparmor/websocket"\n}}\n'
    )
    beside.run(
        "apparmor_parser", "--base", beside.ROOT / "etc/apparmor.d", "--skip-kernel-load", "--skip-cache", "--names",
        "--config-file", "/dev/null", profile,
    )
