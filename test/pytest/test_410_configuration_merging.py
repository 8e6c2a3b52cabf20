"""How directives of nested scopes merge: what is not set is kept, a default that is set counts."""

import pytest

from harness.conf import ECHO, example, location, plugin, bare
from harness.rawclient import TEXT

EXPECTED_AT_START = [r"\[websocket:warn\].* WS\d{4}: .*MaxMessageSize.*deprecated"]

TRUSTED, OTHER = "http://trusted.example", "http://other.example"
BASE = {"size": 50, "trusted": {TRUSTED}, "same": False, "reserved": True, "plugin": "echo"}


def configuration(server):
    directory = server.document_root
    for name in ("plain", "limited", "handler", "bad"):
        (directory / name).mkdir()
    (directory / "limited" / ".htaccess").write_text(
        "WebSocketMaxMessageSize 8\nWebSocketOriginCheck Off\n"
        "WebSocketAllowReservedStatusCodes On\nWebSocketTrustedOrigin http://x.example\n"
    )
    (directory / "handler" / ".htaccess").write_text(example(ECHO) + "\n")
    (directory / "bad" / ".htaccess").write_text("WebSocketMaxMessageSize nonsense\n")
    return f"""
WebSocketMaxMessageSize 100

<Location /outer>
  SetHandler websocket-handler
  {example(ECHO)}
  WebSocketMaxMessageSize 50
  WebSocketOriginCheck Trusted
  WebSocketTrustedOrigin {TRUSTED}
  WebSocketAllowReservedStatusCodes On
</Location>
<Location /outer/nothing>
</Location>
<Location /outer/size>
  WebSocketMaxMessageSize 10
</Location>
<Location /outer/larger>
  WebSocketMaxMessageSize 1K
</Location>
<Location /outer/default-size>
  WebSocketMaxMessageSize 32M
</Location>
<Location /outer/off>
  WebSocketOriginCheck Off
</Location>
<Location /outer/same>
  WebSocketOriginCheck Same
</Location>
<Location /outer/trusted>
  WebSocketTrustedOrigin {OTHER}
</Location>
<Location /outer/codes>
  WebSocketAllowReservedStatusCodes Off
</Location>
<Location /outer/plugin>
  {plugin("rpc")}
</Location>
<Location /outer/size/deeper>
  WebSocketOriginCheck Off
</Location>

{location("/hosts", example(ECHO), "WebSocketTrustedHost one.example", "WebSocketTrustedHost two.example")}
{bare("/hosts/nothing")}
{location("/hosts/replaced", "WebSocketTrustedHost three.example")}
{location("/hosts/any", "WebSocketTrustedHost *")}

{location("/only-handler", example(ECHO))}
{location("/deprecated", example(ECHO), "MaxMessageSize 7")}
{location("/last-wins", example(ECHO), "WebSocketMaxMessageSize 5", "WebSocketMaxMessageSize 6")}

<LocationMatch "^/match/[0-9]+$">
  SetHandler websocket-handler
  {example(ECHO)}
  WebSocketMaxMessageSize 9
</LocationMatch>

<Directory "{directory}/plain">
  SetHandler websocket-handler
  {example(ECHO)}
  WebSocketMaxMessageSize 11
</Directory>
<Directory "{directory}">
  AllowOverride All
</Directory>
<Directory "{directory}/limited">
  SetHandler websocket-handler
  {example(ECHO)}
</Directory>
<Directory "{directory}/handler">
  SetHandler websocket-handler
</Directory>
<Directory "{directory}/bad">
  SetHandler websocket-handler
  {example(ECHO)}
</Directory>

{server.listen(server.spare_port)}
<VirtualHost *:{server.spare_port}>
  ServerName first.example
  WebSocketMaxMessageSize 20
  {example(ECHO)}
  <Location /v>
    SetHandler websocket-handler
  </Location>
  <Location /v/deeper>
    WebSocketMaxMessageSize 30
  </Location>
</VirtualHost>
<VirtualHost *:{server.spare_port}>
  ServerName second.example
  {location("/v", plugin("rpc"))}
</VirtualHost>
"""


def observe(httpd, path):
    """What a Location does, in the terms of BASE."""
    result = {"trusted": set()}
    origins = {
        TRUSTED: "trusted", OTHER: "trusted", f"http://127.0.0.1:{httpd.port}": "same",
        "http://evil.example": "off",
    }
    for origin, kind in origins.items():
        with httpd.client() as client:
            status = client.upgrade(path, origin=origin).status
        assert status in (101, 403)
        if kind == "trusted" and status == 101:
            result["trusted"].add(origin)
        elif kind != "trusted":
            result[kind] = status == 101
    if result.pop("off"):
        result["trusted"], result["same"] = "all", True
    with httpd.open(path) as client:
        client.send_frame(TEXT, "version")
        answer = client.receive_message().text
        result["plugin"] = "rpc" if answer == "result 1" else "echo"
        client.send_close(2000)
        result["reserved"] = client.receive_frame().close_code == 2000
    result["size"] = largest(httpd, path)
    return result


def largest(httpd, path, **changes):
    """The largest message that is accepted, among the sizes that the configuration names."""
    sizes = [5, 6, 7, 8, 9, 10, 11, 20, 30, 50, 100, 1024]
    for size in sizes:
        with httpd.open(path, **changes) as client:
            client.send_frame(TEXT, "x" * (size + 1))
            received = client.receive_frame()
            if received.opcode == 8:
                assert received.close_code == 1009
                return size
    return None


@pytest.mark.parametrize(("path", "changes"), [
    ("/outer", {}),
    ("/outer/nothing", {}),
    ("/outer/unmentioned/path", {}),
    ("/outer/size", {"size": 10}),
    ("/outer/larger", {"size": 1024}),
    ("/outer/default-size", {"size": None}),
    ("/outer/off", {"trusted": "all", "same": True}),
    ("/outer/same", {"trusted": set(), "same": True}),
    ("/outer/trusted", {"trusted": {OTHER}}),
    ("/outer/codes", {"reserved": False}),
    ("/outer/plugin", {"plugin": "rpc"}),
    ("/outer/size/deeper", {"size": 10, "trusted": "all", "same": True}),
])
def test_ws_410_01_a_nested_location_changes_only_what_it_sets(httpd, path, changes):
    assert observe(httpd, path) == BASE | changes


@pytest.mark.parametrize("path", ["/only-handler"])
def test_ws_410_02_server_scope_gives_defaults(httpd, path):
    assert observe(httpd, path) == {
        "size": 100, "trusted": set(), "same": True, "reserved": False, "plugin": "echo",
    }


@pytest.mark.parametrize(("path", "size"), [
    ("/deprecated", 7), ("/last-wins", 6), ("/match/42", 9), ("/plain/anything", 11),
])
def test_ws_410_03_each_kind_of_section_sets_its_own(httpd, path, size):
    assert largest(httpd, path) == size


@pytest.mark.parametrize(("host", "path", "size"), [
    ("first.example", "/v", 20), ("first.example", "/v/deeper", 30), ("second.example", "/v", 100),
])
def test_ws_410_04_virtual_hosts_have_their_own(httpd, host, path, size):
    assert largest(httpd, path, port=httpd.spare_port, host=host) == size


def test_ws_410_05_a_plugin_of_a_virtual_host_is_not_that_of_another(httpd):
    for host, answer in (("first.example", "version"), ("second.example", "result 1")):
        with httpd.open("/v", port=httpd.spare_port, host=host) as client:
            client.send_frame(TEXT, "version")
            assert client.receive_message().text == answer


def test_ws_410_06_htaccess_may_set_what_loads_no_code(httpd):
    assert largest(httpd, "/limited/x") == 8
    with httpd.open("/limited/x", origin="http://evil.example") as client:
        client.close_properly(2000)


def test_ws_410_07_htaccess_may_not_load_code(httpd):
    httpd.error_log.expect(
        r"\[core:alert\].*/handler/\.htaccess: WebSocketHandler not allowed here"
    )
    with httpd.client() as client:
        assert client.upgrade("/handler/x").status == 500


def test_ws_410_08_a_bad_value_in_htaccess_is_an_error_of_its_directory_alone(httpd):
    httpd.error_log.expect(r"\[core:alert\].*/bad/\.htaccess: .*nonsense")
    with httpd.client() as client:
        assert client.upgrade("/bad/x").status == 500
    assert largest(httpd, "/plain/x") == 11


@pytest.mark.parametrize(("path", "trusted"), [
    ("/hosts", {"one.example", "two.example"}),
    ("/hosts/nothing", {"one.example", "two.example"}),
    ("/hosts/replaced", {"three.example"}),
    ("/hosts/any", {"one.example", "two.example", "three.example", "four.example"}),
])
def test_ws_410_09_hosts_of_a_section_add_up_and_replace_those_outside(httpd, path, trusted):
    found = set()
    for host in ("one.example", "two.example", "three.example", "four.example"):
        with httpd.client() as client:
            status = client.upgrade(path, origin=f"http://{host}", host=host).status
            assert status in (101, 403)
            if status == 101:
                found.add(host)
    assert found == trusted
