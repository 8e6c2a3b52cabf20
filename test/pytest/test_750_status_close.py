"""Closing connections through the status handler: from any child, by this server's own page only."""

import pytest

from harness.conf import ECHO, example, location, plugin
from harness.rawclient import TEXT
from harness.status import FORM, LOCATION, PATH, Status, wait_until_quiet
from harness.waiting import eventually

PATIENT = "WebSocketDrainTimeout 0\n"


def configuration(server):
    return (
        LOCATION + location("/echo", example(ECHO)) + location("/recorder", plugin("recorder"))
        + f"""
{server.listen(server.spare_port)}
<VirtualHost *:{server.spare_port}>
  ServerName first.example
  ServerAlias other.example *.alias.example
  {LOCATION}
</VirtualHost>
"""
    )


@pytest.fixture
def status(httpd):
    return Status(httpd)


def number(status):
    """The number of the one connection that there is."""
    (connection,) = status.read()["connections"]
    return connection["id"]


def expect_close(client, code, reason):
    received = client.receive_frame()
    assert received.close_code == code
    assert received.payload[2:].decode() == reason


@pytest.mark.parametrize(
    "code, reason", [(1001, ""), (1008, "too many cats"), (4999, "ü&=+%" * 10), (3000, "x" * 123)]
)
def test_ws_750_01_a_connection_is_closed_with_code_and_reason(httpd, status, code, reason):
    with httpd.open("/echo") as client:
        client.echo("before")
        wanted = number(status)
        response = status.close(wanted, code, reason)
        assert (response.status, response.text) == (200, f"Connection {wanted} is being closed.\n")
        expect_close(client, code, reason)
        client.send_close(code)
        assert client.receive_to_eof() == b""
    status.wait_for_open(0)


def test_ws_750_02_only_that_one_is_closed(httpd, status):
    with httpd.open("/echo") as one, httpd.open("/echo") as other:
        _, wanted = [each["id"] for each in status.read()["connections"]]
        assert status.close(wanted).status == 200
        expect_close(other, 1001, "")
        one.echo("after")
        one.close_properly()
    status.wait_for_open(0)


def test_ws_750_03_a_child_of_the_old_generation_closes_its_own(make_httpd, mpm):
    server = make_httpd(mpm, PATIENT + LOCATION + location("/echo", example(ECHO))).start()
    status = Status(server)
    with server.open("/echo") as old:
        old.echo("before")
        server.graceful()
        with status.open_in_new_generation("/echo") as new:
            connections = status.wait_for_open(2)["connections"]
            assert len({each["pid"] for each in connections}) == 2
            for client, connection in zip((old, new), connections):
                assert status.close(connection["id"], 4000, "go").status == 200
                expect_close(client, 4000, "go")
    wait_until_quiet(server)


def test_ws_750_04_who_has_sent_a_close_is_closing_and_can_be_asked_again(httpd, status):
    with httpd.open("/echo") as client:
        wanted = number(status)
        assert status.close(wanted).status == 200
        expect_close(client, 1001, "")
        status.wait_for(lambda document: document["total"]["closing"] == 1, "one that is closing")
        assert status.close(wanted, 4000).status == 200
        client.send_close(1001)
        assert client.receive_to_eof() == b""
    status.wait_for(lambda document: document["total"]["closing"] == 0, "the end")


def test_ws_750_05_there_is_no_such_connection(httpd, status):
    with httpd.open("/echo") as client:
        wanted = number(status)
        client.close_properly()
    status.wait_for_open(0)
    for missing in (wanted, wanted + 1, 0, 2**64 - 1):
        response = status.close(missing)
        assert (response.status, response.text) == (
            404, f"There is no open connection {missing}.\n"
        )


@pytest.mark.parametrize(
    "body",
    [
        "", "id=1", "code=1000", "id=x&code=1000", "id=-1&code=1000", "id=1&code=999",
        "id=1&code=1005", "id=1&code=1006", "id=1&code=1015", "id=1&code=2000", "id=1&code=5000",
        "id=1&code=65536", "id=1&code=1000&reason=" + "x" * 124, "id=18446744073709551616&code=1000",
    ],
)
def test_ws_750_06_a_bad_form_is_said_to_be_bad(status, body):
    response = status.post(body)
    assert response.status == 400
    assert response.text.split()[0] in ("id", "code", "reason")


def test_ws_750_07_a_form_that_is_too_long_is_refused(status):
    fitting = "id=1&code=1000&x="
    assert status.post(fitting + "x" * (1024 - len(fitting))).status == 404
    assert status.post(fitting + "x" * (1025 - len(fitting))).status == 413
    assert status.post(fitting + "x" * 100000).status == 413


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/json", "multipart/form-data"])
def test_ws_750_08_only_a_form_is_a_form(status, content_type):
    response = status.post("id=1&code=1000", content_type=content_type)
    assert response.status == 415


def test_ws_750_09_a_form_may_come_in_chunks(status):
    body = b"e\r\nid=1&code=1000\r\n0\r\n\r\n"
    fields = [("Transfer-Encoding", "chunked"), ("Content-Type", "application/x-www-form-urlencoded")]
    assert status.get("", fields, method="POST", body=body).status == 404


@pytest.mark.parametrize(
    "headers",
    [
        [("Sec-Fetch-Site", "cross-site")],
        [("Sec-Fetch-Site", "same-site")],
        [("Sec-Fetch-Site", "")],
        [("Origin", "http://evil.example")],
        [("Origin", "null")],
        [("Sec-Fetch-Site", "cross-site"), ("Origin", "OWN")],
    ],
)
def test_ws_750_10_a_page_of_another_site_closes_nothing(httpd, status, headers):
    own = f"http://127.0.0.1:{httpd.port}"
    headers = [(name, value.replace("OWN", own)) for name, value in headers]
    with httpd.open("/echo") as client:
        response = status.close(number(status), headers=headers)
        assert (response.status, response.text) == (
            403, "A page of another site may not close connections.\n"
        )
        client.echo("still open")
        client.close_properly()
    status.wait_for_open(0)


@pytest.mark.parametrize("site", ["same-origin", "none", None])
def test_ws_750_11_this_servers_own_page_may(httpd, status, site):
    own = [("Origin", f"http://127.0.0.1:{httpd.port}")]
    headers = own + ([("Sec-Fetch-Site", site)] if site else [])
    with httpd.open("/echo") as client:
        assert status.close(number(status), headers=headers).status == 200
        expect_close(client, 1001, "")
    status.wait_for_open(0)


@pytest.mark.parametrize("host", [
    "evil.example", "evil.example:{port}", "127.0.0.1.evil.example", "localhost.evil.example",
    "local_host",
])
@pytest.mark.parametrize("site", ["same-origin", None])
def test_ws_750_15_a_page_whose_name_server_points_here_closes_nothing(httpd, status, host, site):
    host = host.format(port=httpd.port)
    headers = [("Origin", f"http://{host}")] + ([("Sec-Fetch-Site", site)] if site else [])
    with httpd.open("/echo") as client:
        wanted = number(status)
        response = status.post(f"id={wanted}&code=1001", headers, host=host)
        assert (response.status, response.text) == (
            403,
            "Host is none of this server's: a ServerName or ServerAlias, an address, or localhost.\n",
        )
        client.echo("still open")
        client.close_properly()
    status.wait_for_open(0)


@pytest.mark.parametrize("host", [
    "localhost", "LOCALHOST.:80", "127.0.0.1", "192.0.2.1:81", "[::1]:80", "first.example",
    "other.example:80", "any.alias.example", None,
])
def test_ws_750_16_every_name_of_the_server_may_be_used(httpd, host):
    headers = [("Origin", f"http://{host}")] if host else []
    version = "HTTP/1.1" if host else "HTTP/1.0"
    with httpd.client(port=httpd.spare_port) as client:
        fields = [("Content-Type", FORM), ("Content-Length", "14"), *headers]
        response = client.request(
            PATH, fields, method="POST", body=b"id=0&code=1001", version=version, host=host or False
        )
    # What is refused is the number, not the page.
    assert response.status == 404


def test_ws_750_12_the_plugin_hears_of_it_like_of_any_end(httpd, status):
    recorder = httpd.recorder()
    with httpd.open("/recorder") as client:
        assert status.close(number(status), 4001).status == 200
        expect_close(client, 4001, "")
        client.send_close(4001)
        assert client.receive_to_eof() == b""
    recorder.wait_for_ends(1)
    status.wait_for_open(0)


def test_ws_750_13_many_are_closed_at_once(httpd, status):
    clients = [httpd.open("/echo") for _ in range(10)]
    try:
        numbers = [each["id"] for each in status.read()["connections"]]
        assert len(numbers) == 10
        for wanted in numbers:
            assert status.close(wanted, 4002).status == 200
        for client in clients:
            expect_close(client, 4002, "")
    finally:
        for client in clients:
            client.vanish()
    status.wait_for_open(0)


def test_ws_750_14_a_plugin_that_is_busy_is_no_obstacle(make_httpd, mpm):
    server = make_httpd(mpm, LOCATION + location("/scripted", plugin("scripted"))).start()
    status = Status(server)
    gate = server.directory / "gate"
    with server.open("/scripted") as client:
        client.send_frame(TEXT, f"await {gate}; echo too late")
        eventually(lambda: status.total["messages"]["in"] == 1, "the message")
        assert status.close(number(status), 4003).status == 200
        # It overtakes the answer, which is not sent any more.
        expect_close(client, 4003, "")
        gate.touch()
        client.send_close(4003)
        assert client.receive_to_eof() == b""
    wait_until_quiet(server)
