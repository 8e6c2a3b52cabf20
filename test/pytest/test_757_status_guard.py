"""Who may close connections: nobody, where the configuration does not say who may ask for it."""

from http.client import HTTPConnection

import pytest

from harness.conf import ECHO, example, location
from harness.status import FORM, Status

MODULES = ("authz_host", "auth_basic", "authn_core", "authn_file", "authz_user", "access_compat", "rewrite")
HANDLER = "SetHandler websocket-status"
# Lets in the tests, but those that come from 127.0.0.2.
OURS = "Require ip 127.0.0.1"
USERS = "AuthType Basic\n  AuthName users\n  AuthUserFile users"
# What stands in a section of its own, and whether that says who may.
OWN = {
    "nothing": ([], False),
    "local": (["Require local"], True),
    "ip": ([OURS], True),
    "granted": (["Require all granted"], False),
    "either": (["<RequireAny>", "Require all granted", "Require ip 192.0.2.1", "</RequireAny>"], False),
    "nested": (["<RequireAny>", OURS, "Require ip 192.0.2.1", "</RequireAny>"], True),
    "post": (["<Limit POST>", OURS, "</Limit>"], True),
    "others": (["<LimitExcept POST>", OURS, "</LimitExcept>"], False),
    "get": (["<Limit GET>", OURS, "</Limit>"], False),
    "compat": (["Order deny,allow", "Deny from all", "Allow from 127.0.0.1"], True),
    "compat-all": (["Order allow,deny", "Allow from all"], False),
    "compat-allow": (["Order allow,deny", "Allow from 127.0.0.1"], True),
    # Without an Order, and with this one, who is not denied is let in.
    "compat-one": (["Order deny,allow", "Deny from 192.0.2.1"], False),
    "compat-many": (["Order deny,allow", "Deny from 192.0.2.1 198.51.100.0/24 all", "Allow from 127.0.0.1"], True),
    "compat-no-order": (["Allow from 127.0.0.1"], False),
    "compat-back": (["Order deny,allow", "Deny from all", "Allow from 192.0.2.1 all"], False),
    "compat-env": (["Order allow,deny", "Allow from env=!nobody"], False),
    "compat-mutual": (["Order mutual-failure", "Allow from 127.0.0.1"], True),
    "compat-get": (["<Limit GET>", "Deny from all", "Allow from 127.0.0.1", "</Limit>"], False),
    "compat-local": ([OURS, "Order allow,deny", "Allow from all"], True),
    "satisfy": ([USERS, "Require valid-user", "Satisfy Any"], False),
    "satisfy-both": ([USERS, "Require valid-user", "Satisfy Any", "Deny from all", "Allow from 127.0.0.1"], True),
    "satisfy-granted": (["Require all granted", "Satisfy Any", "Deny from all", "Allow from 127.0.0.1"], False),
    "satisfy-all": ([OURS, "Satisfy All"], True),
    "satisfy-get": ([OURS, "<Limit GET>", "Satisfy Any", "</Limit>"], True),
    "all": (["<RequireAll>", "Require all granted", OURS, "</RequireAll>"], True),
    "all-but": (["<RequireAll>", "Require all granted", "Require not ip 192.0.2.1", "</RequireAll>"], False),
    "any-of-all": (["<RequireAny>", "Require ip 192.0.2.1", "<RequireAll>", "Require all granted", "Require method POST",
                    "</RequireAll>", "</RequireAny>"], False),
    "method": (["Require method GET POST"], False),
    "on": (["WebSocketStatusActions On"], True),
    "off": (["WebSocketStatusActions Off", OURS], False),
    # Whether a condition holds is not known: what forbids under it is nobody's guard, and what allows lets everybody in.
    "if": (["<If \"true\">", OURS, "</If>"], False),
    "if-not": (["<If \"false\">", OURS, "</If>"], False),
    "if-granted": ([OURS, "<If \"false\">", "Require all granted", "</If>"], False),
    "if-satisfy": ([OURS, "<If \"false\">", "Satisfy Any", "</If>"], False),
    "if-in-if": ([OURS, "<If \"false\">", "<If \"false\">", "Require all granted", "</If>", "</If>"], False),
    "else": ([OURS, "<If \"true\">", OURS, "</If>", "<Else>", "Require all granted", "</Else>"], False),
    "if-guarded": ([OURS, "<If \"false\">", "Require ip 192.0.2.1", "</If>"], True),
}
# What stands in a <Directory>, what in the <Location>, and whether that says who may.
MERGED = {
    "off": (["Require all granted"], [OURS], True),
    "or": (["Require all granted"], ["AuthMerging Or", OURS], False),
    "or-local": ([OURS], ["AuthMerging Or", OURS], True),
    "and": (["Require all granted"], ["AuthMerging And", OURS], True),
    "and-granted": ([OURS], ["AuthMerging And", "Require all granted"], True),
    "dropped": ([OURS], ["AuthMerging Off"], False),
    "satisfy": ([OURS], ["Satisfy Any"], False),
    "hosts": (["Deny from all", "Allow from 127.0.0.1"], ["Satisfy All"], False),
    "others": ([OURS], ["<Limit GET>", OURS, "</Limit>"], False),
    "if": ([OURS, "<If \"false\">", "Require all granted", "</If>"], [OURS], False),
}


def section(start, *lines):
    name = start.split()[0]
    return f"<{start}>\n" + "".join(f"  {line}\n" for line in lines) + f"</{name}>\n"


def configuration(server):
    return (
        location("/echo", example(ECHO))
        + "".join(section(f'Location "/{name}"', HANDLER, *lines) for name, (lines, _) in OWN.items())
        # From around, and taken away again.
        + section("Location /around", "Require local")
        + section("Location /around/inner", HANDLER)
        + section("Location /around/open", HANDLER, "Require all granted")
        # One that begins with the same letters is another.
        + section("Location /around-not", HANDLER)
        + section('LocationMatch "^/match$"', HANDLER, "Require local")
        + section('LocationMatch "^/match-open$"', HANDLER)
        + section('Location "/wild*"', HANDLER, "Require local")
        + section('Location "/wild-op*"', "Require all granted")
        + section('Location ~ "^/tilde$"', HANDLER, "Require local")
        # A section that is for other requests.
        + section('LocationMatch "^/elsewhere/x$"', "Require local")
        + section("Location /elsewhere", HANDLER)
        + directories(server)
        + section("Location /host", HANDLER)
        # A wildcard goes no further than the next slash.
        + section("Location /deep", HANDLER)
        + section('Location "/de*"', "Require local")
        + server.listen(server.spare_port)
        + host(server, "localhost", section("Location /host", "Require local"))
        + host(server, "conditions.example", section("Location /host", "Require local"),
               section('If "true"', "Require local"), section("Else", "Require all granted"))
        + host(server, "slashes.example", "MergeSlashes Off", section("Location /", "Require local"),
               section("Location /far/host", HANDLER, "Require all granted"))
    )


def host(server, name, *lines):
    return section(f"VirtualHost *:{server.spare_port}", f"ServerName {name}", *lines)


def directories(server):
    """Sections of directories, which httpd has in an order of its own: the deeper one has the last word, and expressions have it
    behind all."""
    def directory(path, *lines):
        (server.document_root / path).mkdir(parents=True, exist_ok=True)
        return section(f'Directory "{server.document_root}/{path}"', *lines)

    return (
        "".join(section(f"Location /{path}", HANDLER)
                for path in ("wide/deeper", "shut/deeper", "shut/open", "names"))
        + directory("wide/deeper", "Require all granted")
        + directory("wide", "Require local")
        + directory("shut/deeper")
        + directory("shut/open")
        + section('DirectoryMatch "/shut/open"', "Require all granted")
        + directory("shut", "Require local")
        # What a section's own section says of other files.
        + directory("names", "Require all granted",
                    '<FilesMatch "[.]bak$">', "  Require local", "</FilesMatch>")
        + "".join(directory(f"merged/{name}", *lines) + section(f"Location /merged/{name}", HANDLER, *own)
                  for name, (lines, own, _) in MERGED.items())
    )


def may(httpd, path, port=None, host=None):
    """Whether a POST goes as far as the connection, of which there is none of this number."""
    fields = [("Content-Type", FORM), ("Content-Length", "14"), ("Connection", "close")]
    with httpd.client(port=port) as client:
        response = client.request(path, fields, method="POST", body=b"id=0&code=1001", host=host)
    assert response.status in (403, 404), response
    if response.status == 403:
        assert response.text.startswith("The server's configuration does not say who may close")
    return response.status == 404


@pytest.mark.parametrize("name", OWN)
def test_ws_757_01_a_section_says_who_may(httpd, name):
    _, expected = OWN[name]
    assert may(httpd, f"/{name}") == expected


@pytest.mark.parametrize(("path", "expected"), [
    ("/around/inner", True), ("/around/open", False), ("/around-not", False),
    ("/match", True), ("/match-open", False), ("/elsewhere", False),
    ("/deep", True), ("/deep/down", False), ("/wild-guarded", True), ("/wild-open", False), ("/tilde", True),
    ("/wide/deeper", False), ("/shut/deeper", True), ("/shut/open", False), ("/names", False),
])
def test_ws_757_02_a_section_around_it_counts_and_another_does_not(httpd, path, expected):
    assert may(httpd, path) == expected


def test_ws_757_03_a_virtual_hosts_section_is_for_its_requests_only(httpd):
    assert not may(httpd, "/host")
    assert may(httpd, "/host", port=httpd.spare_port)
    assert not may(httpd, "/host", port=httpd.spare_port, host="conditions.example")


def test_ws_757_04_the_log_says_what_to_write_and_reading_is_as_ever(httpd, error_log):
    status = Status(httpd, "/nothing")
    with httpd.open("/echo") as client:
        (connection,) = status.wait_for_open(1)["connections"]
        assert status.close(connection["id"]).status == 403
        assert status.post("client=127.0.0.1&count=1&drain=0").status == 403
        client.echo("still open")
        client.close_properly()
    lines = error_log.wait_for("WS0304: ", count=2)
    assert {line.level for line in lines} == {"notice"}
    assert all(
        'nobody may close WebSockets at "/nothing"' in line.text and "WebSocketStatusActions On" in line.text
        for line in lines
    )
    status.wait_for_open(0)


@pytest.mark.parametrize("path", ["/far/host", "/far//host", "//far///host", "/far/host//"])
def test_ws_757_05_slashes_that_stay_change_no_section(httpd, path):
    assert not may(httpd, path, port=httpd.spare_port, host="slashes.example")


@pytest.mark.parametrize("name", MERGED)
def test_ws_757_06_sections_are_merged_as_httpd_does(httpd, name):
    *_, expected = MERGED[name]
    assert may(httpd, f"/merged/{name}") == expected


@pytest.mark.parametrize("path", [
    *(f"/{name}" for name, (_, expected) in OWN.items() if expected and name not in ("local", "on")),
    *(f"/merged/{name}" for name, (*_, expected) in MERGED.items() if expected),
])
def test_ws_757_07_where_it_is_said_httpd_refuses_others(httpd, error_log, path):
    error_log.expect("client denied by server configuration|AH01618: user")
    another = HTTPConnection("127.0.0.1", httpd.port, source_address=("127.0.0.2", 0))
    another.request("POST", path, b"id=0&code=1001", {"Content-Type": FORM})
    response = another.getresponse()
    # With a page of httpd's own.
    assert response.status in (401, 403) and b"<h1>" in response.read()
    another.close()
