"""reject: a plugin that refuses a handshake says with which HTTP status."""

import pytest

from harness.conf import location, plugin
from harness.hosts import TLS_MODULES, tls_host
from harness.rawclient import PING, PONG
from harness.scripted import Records, ask, scripts

MODULES = TLS_MODULES
WORKERS = 20
REFUSED = r"\[websocket:info\].* WS0205: "
MISUSE = r"\[websocket:warn\].* WS0401: "


def configuration(server):
    (server.document_root / "sorry.html").write_text("<p>sorry\n")
    return (
        location("/scripted", plugin("scripted"))
        + location("/document", plugin("scripted"), "ErrorDocument 429 /sorry.html",
                   'ErrorDocument 503 "come back later"')
        + tls_host(server)
    )


@pytest.fixture(params=["plain", "tls"])
def tls(request, httpd):
    return httpd.certificates.client_context() if request.param == "tls" else None


def refused(httpd, script, *, path="/scripted", tls=None):
    """The response to a handshake for which on_connect runs `script`; then nothing follows."""
    with httpd.client(tls=tls) as client:
        response = client.upgrade(path, scripts(on_connect=script))
        assert response.status != 101
        assert client.receive_to_eof() == b"", "the connection goes on"
    return response


@pytest.mark.parametrize(("status", "field", "value"), [
    (401, "WWW-Authenticate", 'Basic realm="test"'),
    (302, "Location", "https://login.example/?next=a%20b"),
    (503, "Retry-After", "120"),
])
def test_ws_860_01_a_rejection_has_the_plugins_status_and_header_fields(
    httpd, tls, status, field, value
):
    response = refused(httpd, f"reject {status}; header_set {field} {value}; refuse", tls=tls)
    assert response.status == status
    assert response.get(field) == value
    assert response.get("Upgrade") is None
    assert response.get("Sec-WebSocket-Accept") is None
    # A refusal that was meant is no fault of the server's.
    assert httpd.error_log.wait_for(REFUSED)


@pytest.mark.parametrize("status", [
    300, 301, 303, 307, 308, 400, 402, 403, 404, 409, 410, 418, 422, 426, 429, 451, 499, 500, 502,
    504, 599,
])
def test_ws_860_02_a_rejection_may_have_any_status_of_an_error_or_a_redirect(httpd, status):
    response = refused(httpd, f"header_set Location /other; reject {status}; refuse")
    assert response.status == status


@pytest.mark.parametrize("status", [0, 1, 100, 101, 200, 204, 299, 600, 999, 65937, 4294967295])
def test_ws_860_03_another_status_is_refused(httpd, status):
    httpd.error_log.expect(MISUSE)
    records = Records(httpd)
    assert refused(httpd, f"reject {status}; refuse").status == 403
    assert records.result(f"reject {status}") == "0"


def test_ws_860_04_a_status_that_is_refused_changes_nothing(httpd):
    httpd.error_log.expect(MISUSE)
    assert refused(httpd, "reject 404; reject 200; refuse").status == 404


def test_ws_860_05_the_last_call_counts(httpd):
    records = Records(httpd)
    assert refused(httpd, "reject 404; reject 410; refuse").status == 410
    assert [records.result(f"reject {status}") for status in (404, 410)] == ["1", "1"]


def test_ws_860_06_without_it_a_refusal_is_403_as_ever(httpd, tls):
    assert refused(httpd, "refuse", tls=tls).status == 403


def test_ws_860_07_a_failure_is_500_whatever_was_said_before(httpd):
    httpd.error_log.expect(r"\[websocket:error\].* WS0206: ")
    assert refused(httpd, "reject 503; fail").status == 500


def test_ws_860_08_a_failure_without_it_is_500_as_ever(httpd):
    httpd.error_log.expect(r"\[websocket:error\].* WS0206: ")
    assert refused(httpd, "fail").status == 500


def test_ws_860_10_httpd_writes_the_body(httpd):
    response = refused(httpd, "reject 404; refuse")
    assert "404 Not Found" in response.text
    response = refused(httpd, "reject 503; header_set Retry-After 7; refuse", path="/document")
    assert (response.text, response.get("Retry-After")) == ("come back later", "7")
    response = refused(httpd, "reject 429; header_set Retry-After 8; refuse", path="/document")
    assert (response.status, response.text) == (429, "<p>sorry\n")
    assert response.get("Retry-After") == "8"


def test_ws_860_11_nothing_that_was_sent_before_goes_out(httpd, tls):
    script = "send text lost; try_send ping lost; set_timer 1; close_with 4000 x; reject 401; refuse"
    response = refused(httpd, script, tls=tls)
    assert response.status == 401
    assert "lost" not in response.text


def test_ws_860_12_header_fields_of_before_and_after_are_on_it(httpd):
    response = refused(
        httpd, "header_set X-One 1; header_set X-Two 2; reject 401; header_set X-Two 3; refuse"
    )
    assert (response.get("X-One"), response.get("X-Two")) == ("1", "3")


@pytest.mark.parametrize("field", [
    "Connection: keep-alive", "Content-Length: 5", "Transfer-Encoding: chunked", "Upgrade: x",
])
def test_ws_860_13_header_fields_do_not_spoil_the_response(httpd, field):
    name, value = field.split(": ")
    httpd.error_log.expect(MISUSE + f".*header_set of {name}")
    response = refused(httpd, f"header_set {name} {value}; reject 404; refuse")
    assert response.status == 404
    assert "404 Not Found" in response.text


def test_ws_860_14_it_is_too_late_after_on_connect(httpd):
    httpd.error_log.expect(MISUSE)
    with httpd.open("/scripted", scripts(on_open="reject 401")) as client:
        assert ask(client, "reject 401; reject 403") == "0; 0"
        client.send_frame(PING, "well")
        assert client.receive_frame().opcode == PONG
        client.close_properly()
    assert len(httpd.error_log.wait_for(MISUSE, count=1)) == 1


@pytest.mark.parametrize(("answer", "status"), [("refuse", 403), ("fail", 500)])
def test_ws_860_15_header_fields_are_on_it_without_a_status_of_the_plugins(httpd, tls, answer, status):
    if answer == "fail":
        httpd.error_log.expect(r"\[websocket:error\].* WS0206: ")
    response = refused(httpd, f"header_set X-One 1; {answer}", tls=tls)
    assert (response.status, response.get("X-One")) == (status, "1")
    assert str(status) in response.text
