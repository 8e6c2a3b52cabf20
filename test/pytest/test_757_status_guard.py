"""Who may close connections: nobody, where the configuration does not say who may ask for it."""

import pytest

from harness.conf import ECHO, example, location
from harness.status import FORM, Status

MODULES = ("authz_host", "auth_basic", "authn_core", "authn_file", "authz_user", "access_compat", "rewrite")
HANDLER = "SetHandler websocket-status"
# What stands in a section of its own, and whether that says who may.
OWN = {
    "nothing": ([], False),
    "local": (["Require local"], True),
    "ip": (["Require ip 127.0.0.1"], True),
    "granted": (["Require all granted"], False),
    "either": (["<RequireAny>", "Require all granted", "Require ip 192.0.2.1", "</RequireAny>"], False),
    "nested": (["<RequireAny>", "Require local", "Require ip 192.0.2.1", "</RequireAny>"], True),
    "post": (["<Limit POST>", "Require local", "</Limit>"], True),
    "others": (["<LimitExcept POST>", "Require local", "</LimitExcept>"], False),
    "get": (["<Limit GET>", "Require local", "</Limit>"], False),
    "compat": (["Order deny,allow", "Deny from all", "Allow from 127.0.0.1"], True),
    "compat-all": (["Order allow,deny", "Allow from all"], False),
    "on": (["WebSocketStatusActions On"], True),
    "off": (["WebSocketStatusActions Off", "Require local"], False),
    "if": (["<If \"true\">", "Require local", "</If>"], True),
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
        + f"""
{server.listen(server.spare_port)}
<VirtualHost *:{server.spare_port}>
  {section("Location /host", "Require local")}
</VirtualHost>
"""
    )


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
    )


def may(httpd, path, port=None):
    """Whether a POST goes as far as the connection, of which there is none of this number."""
    fields = [("Content-Type", FORM), ("Content-Length", "14"), ("Connection", "close")]
    with httpd.client(port=port) as client:
        response = client.request(path, fields, method="POST", body=b"id=0&code=1001")
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
    ("/wild-guarded", True), ("/wild-open", False), ("/tilde", True),
    ("/wide/deeper", False), ("/shut/deeper", True), ("/shut/open", False), ("/names", False),
])
def test_ws_757_02_a_section_around_it_counts_and_another_does_not(httpd, path, expected):
    assert may(httpd, path) == expected


def test_ws_757_03_a_virtual_hosts_section_is_for_its_requests_only(httpd):
    assert not may(httpd, "/host")
    assert may(httpd, "/host", port=httpd.spare_port)


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
