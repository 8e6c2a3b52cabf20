"""What Locations are called in figures, and which clients do more than others."""

import re

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from harness.conf import ECHO, example, location
from harness.status import LOCATION, Status, wait_until_quiet

MODULES = ("remoteip", "ssl", "socache_shmcb")
OFTEN, MUCH, SELDOM = "192.0.2.1", "2001:db8:1:2:3::4", "192.0.2.3"
NETWORK = "2001:db8:1:2::/64"
HANDSHAKES = 40
SIZE = 1 << 20


def configuration(server):
    certificates = server.certificates
    host = f"<VirtualHost *:{server.port}>\n"
    return (
        LOCATION
        + location("/echo", example(ECHO))
        + location("/picky", example(ECHO), "WebSocketOriginCheck Trusted")
        + f"""
RemoteIPHeader X-Forwarded-For
RemoteIPInternalProxy 127.0.0.1 ::1
SSLSessionCache shmcb:run/ssl(512000)
{server.listen(server.tls_port)}
{host}</VirtualHost>
{host}  ServerName https://www.example.com
</VirtualHost>
{host}  ServerName http://API.example.com:8081
</VirtualHost>
<VirtualHost *:{server.tls_port}>
  ServerName localhost
  SSLEngine on
  SSLCertificateFile "{certificates.server}"
  SSLCertificateKeyFile "{certificates.server_key}"
</VirtualHost>
"""
    )


@pytest.fixture
def status(httpd):
    return Status(httpd)


def of(client):
    return [("X-Forwarded-For", client)]


def test_ws_775_01_a_location_has_scheme_host_and_port_of_its_server(httpd, status):
    certificates = httpd.certificates
    opened = [
        (httpd.open("/echo"), f"ws://localhost:{httpd.port}/echo"),
        (httpd.open("/echo", tls=certificates.client_context()), f"wss://localhost:{httpd.tls_port}/echo"),
        # A proxy ends TLS: its name says how browsers come.
        (httpd.open("/echo", host="www.example.com"), "wss://www.example.com:443/echo"),
        (httpd.open("/echo", host="api.example.com:8081"), "ws://API.example.com:8081/echo"),
        # What a client says makes no name.
        (httpd.open("/echo", host="mallory.example:4711"), f"ws://localhost:{httpd.port}/echo"),
    ]
    document = status.read()
    for (client, name), each in zip(opened, document["connections"], strict=True):
        client.echo("hello")
        assert each["location"] == name
    names = {name for _, name in opened}
    assert {each["location"] for each in document["locations"] if each["open"]} == names
    text = status.get("?format=openmetrics").text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    samples = families["websocket_accepted"].samples
    assert names <= {sample.labels["location"] for sample in samples}
    filtered = status.get("?format=json&location=wss://www.example.com:443/echo").text
    assert '"matching":1' in filtered.replace(" ", "")
    for client, _ in opened:
        client.close_properly()
        client.vanish()
    status.wait_for_open(0)


def test_ws_775_02_who_does_more_than_others_is_told(httpd, status):
    for number in range(HANDSHAKES):
        with httpd.client() as client:
            if number % 2:
                response = client.upgrade("/picky", of(OFTEN), origin="http://elsewhere.example")
                assert response.status == 403
            else:
                client.open("/echo", of(OFTEN)).close_properly()
    with httpd.open("/echo", of(SELDOM)) as client:
        client.close_properly()
    with httpd.open("/echo", of(MUCH)) as client:
        for _ in range(16):
            client.echo("x" * SIZE)
        document = status.wait_for(
            lambda document: {OFTEN, NETWORK} <= {each["client"] for each in document["busy_clients"]}, "the busy ones"
        )
        clients = {each["client"]: each for each in document["busy_clients"]}
        assert SELDOM not in clients
        often, much = clients[OFTEN], clients[NETWORK]
        # Over a minute, part of which may be over already.
        assert 0.1 < often["handshakes_per_second"] <= HANDSHAKES / 60
        assert often["refused_per_second"] == pytest.approx(often["handshakes_per_second"] / 2, rel=0.2)
        assert often["bytes_per_second"] < 100
        assert 100_000 < much["bytes_per_second"] < 2.01 * 16 * SIZE / 60
        assert (much["connections"], often["connections"]) == (1, 0)
        assert much["refused_per_second"] == 0
        (numbers,) = re.findall(r"<noscript>(.*?)</noscript>", status.get().text, re.DOTALL)
        assert f"<tr><td>{OFTEN}</td><td>0</td>" in numbers and f"<tr><td>{NETWORK}</td><td>1</td>" in numbers
        text = status.get("?format=openmetrics").text
        families = {family.name: family for family in text_string_to_metric_families(text)}
        for name, least in (("handshakes", 0.1), ("bytes", 100_000)):
            (sample,) = families[f"websocket_busiest_client_{name}_per_second"].samples
            assert sample.value > least and not sample.labels
        # As many as there are addresses: no labels.
        assert OFTEN not in text and NETWORK not in text
        client.close_properly()
    status.wait_for_open(0)
    wait_until_quiet(httpd)
