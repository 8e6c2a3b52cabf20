"""The origin policy: WebSocketOriginCheck and WebSocketTrustedOrigin (RFC 6454, RFC 6455 §10.2)."""

import re

import pytest

from harness import settings
from harness.conf import ECHO, example, location

MODULES = ("ssl", "socache_shmcb")

TRUSTED = [
    "http://one.example",
    "https://two.example:8443",
    "http://three.example:80",
    "HTTPS://Four.Example",
    "http://[2001:db8:0::1]:8080",
    "https://*.wild.example",
    "file://",
    "app://.",
    "chrome-extension://abcdef",
    "Moz-Extension://*",
]


def configuration(server):
    certificates = server.certificates
    echo = example(ECHO)
    return (
        location("/default", echo)
        + location("/same", echo, "WebSocketOriginCheck Same")
        + location("/own-names", echo, "WebSocketTrustedHost ServerName")
        + location("/these-names", echo, "WebSocketTrustedHost www.example.com *.example.net [::1]")
        + location("/both-names", echo, "WebSocketTrustedHost www.example.com",
                   "WebSocketTrustedHost servername")
        + location("/off", echo, "WebSocketOriginCheck Off")
        + location("/nobody", echo, "WebSocketOriginCheck Trusted")
        + location(
            "/trusted", echo, "WebSocketOriginCheck Trusted",
            f"WebSocketTrustedOrigin {' '.join(TRUSTED[:3])}",
            *[f"WebSocketTrustedOrigin {origin}" for origin in TRUSTED[3:]],
        )
        + f"""
{server.listen(server.tls_port)}
SSLSessionCache shmcb:run/ssl(512000)
<VirtualHost *:{server.tls_port}>
  ServerName localhost
  SSLEngine on
  SSLCertificateFile "{certificates.server}"
  SSLCertificateKeyFile "{certificates.server_key}"
</VirtualHost>

# Behind a TLS terminator.
{server.listen(server.spare_port)}
<VirtualHost *:{server.spare_port}>
  ServerName https://public.example
  ServerAlias alias.example *.alias.example
  UseCanonicalName On
</VirtualHost>
<VirtualHost *:{server.spare_port}>
  ServerName https://other.example:8443
  UseCanonicalName On
</VirtualHost>
"""
    )


def assert_allowed(httpd, path, origin, **changes):
    with httpd.open(path, origin=origin, **changes) as client:
        client.echo("allowed")


def assert_refused(httpd, path, origin, client_options=None, **changes):
    with httpd.client(**(client_options or {})) as client:
        response = client.upgrade(path, origin=origin, **changes)
        assert response.status == 403
        assert client.receive_to_eof() == b""
    # The error log shows quotes and backslashes escaped.
    shown = re.escape(origin) if not set(origin) & set('"\\') else ""
    httpd.error_log.wait_for(rf"\[websocket:info\].* WS\d{{4}}: .*{shown}")


@pytest.mark.parametrize("path", ["/default", "/same"])
@pytest.mark.parametrize("version", ["13", "8", "7"])
def test_ws_120_01_the_same_origin_is_allowed(httpd, path, version):
    assert_allowed(httpd, path, f"http://127.0.0.1:{httpd.port}", version=version)


@pytest.mark.parametrize("host", ["localhost", "LocalHost", "some.other.name.example"])
def test_ws_120_02_the_host_header_names_the_host_to_compare(httpd, host):
    authority = f"{host}:{httpd.port}"
    assert_allowed(httpd, "/same", f"http://{host}:{httpd.port}", host=authority)
    assert_refused(httpd, "/same", f"http://127.0.0.1:{httpd.port}", host=authority)


def test_ws_120_03_letter_case_does_not_matter(httpd):
    authority = f"LocalHost:{httpd.port}"
    for origin in ("http://localhost", "HTTP://LOCALHOST", "Http://lOcalhost"):
        assert_allowed(httpd, "/same", f"{origin}:{httpd.port}", host=authority)


def test_ws_120_04_default_ports_are_equal_to_none(httpd):
    for host in ("page.example:80", "page.example"):
        for origin in ("http://page.example", "http://page.example:80"):
            assert_allowed(httpd, "/same", origin, host=host)
    assert_refused(httpd, "/same", "http://page.example:443", host="page.example:80")


@pytest.mark.skipif(not settings.ipv6(), reason="no IPv6 on loopback")
@pytest.mark.parametrize("version", ["13", "8", "7"])
def test_ws_120_05_ipv6_hosts_are_compared_in_brackets(httpd, version):
    origin = f"http://[::1]:{httpd.port}"
    assert_allowed(httpd, "/same", origin, address="::1", version=version)
    assert_allowed(httpd, "/same", origin, host=f"[::1]:{httpd.port}", version=version)
    longer = f"http://[0:0:0:0:0:0:0:1]:{httpd.port}"
    assert_allowed(httpd, "/same", longer, address="::1", version=version)
    assert_refused(httpd, "/same", f"http://[::2]:{httpd.port}", {"address": "::1"})
    assert_refused(httpd, "/same", f"http://127.0.0.1:{httpd.port}", {"address": "::1"})


@pytest.mark.parametrize("version", ["13", "8", "7"])
@pytest.mark.parametrize("origin", [
    "http://evil.example",
    "http://evil.example:{port}",
    "http://127.0.0.1",
    "http://127.0.0.1:55",
    "https://127.0.0.1:{port}",
    "http://127.0.0.1:{port}.evil.example",
    "http://127.0.0.1:{port}@evil.example",
    "http://user@127.0.0.1:{port}",
    "http://127.0.0.1:{port}/",
    "http://127.0.0.1:{port}/path",
    "http://127.0.0.1:{port}?",
    "http://127.0.0.1:{port}#",
    "http://127.0.0.1:0{port}x",
    "http://127.0.0.1:{port}, http://127.0.0.1:{port}",
    "http://127.0.0.1:{port} http://evil.example",
    "127.0.0.1:{port}",
    "//127.0.0.1:{port}",
    "http:127.0.0.1:{port}",
    "ws://127.0.0.1:{port}",
    "http://",
    "http",
    "null",
    "*",
    "",
])
def test_ws_120_06_any_other_origin_is_refused(httpd, origin, version):
    assert_refused(httpd, "/default", origin.format(port=httpd.port), version=version)


def test_ws_120_07_a_refusal_logs_both_origins(httpd):
    assert_refused(httpd, "/same", "http://evil.example")
    httpd.error_log.wait_for(
        rf"WS\d{{4}}: .*http://evil\.example.*http://127\.0\.0\.1:{httpd.port}"
        rf"|WS\d{{4}}: .*http://127\.0\.0\.1:{httpd.port}.*http://evil\.example", level="info"
    )


@pytest.mark.parametrize("path", ["/default", "/same", "/off", "/trusted", "/nobody"])
@pytest.mark.parametrize("version", ["13", "8", "7"])
def test_ws_120_08_no_origin_is_always_allowed(httpd, path, version):
    assert_allowed(httpd, path, None, version=version)


def test_ws_120_09_version_7_goes_by_sec_websocket_origin_alone(httpd):
    evil = [("Origin", "http://evil.example")]
    with httpd.open("/same", evil, version="7") as client:
        client.echo("Origin is not looked at")
    with httpd.client() as client:
        response = client.upgrade(
            "/same", [("Origin", f"http://127.0.0.1:{httpd.port}")], version="7",
            origin="http://evil.example",
        )
        assert response.status == 403


@pytest.mark.parametrize("version", ["13", "8"])
def test_ws_120_10_later_versions_go_by_origin_alone(httpd, version):
    evil = [("Sec-WebSocket-Origin", "http://evil.example")]
    with httpd.open("/same", evil, version=version) as client:
        client.echo("Sec-WebSocket-Origin is not looked at")
    good = [("Sec-WebSocket-Origin", f"http://127.0.0.1:{httpd.port}")]
    with httpd.client() as client:
        response = client.upgrade("/same", good, version=version, origin="http://evil.example")
        assert response.status == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "nonsense", ""])
def test_ws_120_11_off_allows_everything(httpd, origin):
    assert_allowed(httpd, "/off", origin)


@pytest.mark.parametrize("origin", [
    "http://one.example", "http://one.example:80", "HTTP://ONE.example",
    "https://two.example:8443",
    "http://three.example", "http://three.example:80",
    "https://four.example", "https://four.example:443",
    "http://[2001:db8::1]:8080", "http://[2001:DB8::1]:8080",
])
@pytest.mark.parametrize("version", ["13", "7"])
def test_ws_120_12_trusted_origins_are_allowed(httpd, origin, version):
    assert_allowed(httpd, "/trusted", origin, version=version)


@pytest.mark.parametrize("origin", [
    "http://127.0.0.1:{port}",     # the same origin is not enough
    "https://one.example", "http://one.example:8080", "http://www.one.example",
    "http://one.example.evil.example", "http://one.example/", "one.example",
    "https://two.example", "http://two.example:8443", "https://two.example:443",
    "http://four.example", "http://[2001:db8::1]", "http://[2001:db8::2]:8080",
    "null", "", "*",
])
def test_ws_120_13_other_origins_are_refused_where_only_trusted_ones_are_allowed(httpd, origin):
    assert_refused(httpd, "/trusted", origin.format(port=httpd.port))


@pytest.mark.parametrize("origin", ["http://127.0.0.1:{port}", "http://one.example", "null"])
def test_ws_120_14_without_a_trusted_origin_every_one_is_refused(httpd, origin):
    assert_refused(httpd, "/nobody", origin.format(port=httpd.port))


@pytest.mark.parametrize("origin", [
    "https://a.wild.example", "https://a.b.c.wild.example", "HTTPS://A.Wild.EXAMPLE",
    "https://a.wild.example:443", "https://xn--bcher-kva.wild.example", "https://a.wild.example.",
])
def test_ws_120_15_a_wildcard_stands_for_one_or_more_labels(httpd, origin):
    assert_allowed(httpd, "/trusted", origin)


@pytest.mark.parametrize("origin", [
    "https://wild.example", "https://.wild.example", "https://awild.example",
    "https://a..wild.example",
    "http://a.wild.example", "https://a.wild.example:8443", "https://a.wild.example.evil.example",
    "https://a.wild.examples", "https://evil.example/.wild.example",
    "https://evil.example?.wild.example", "https://evil.example#.wild.example",
    "https://evil.example@a.wild.example", "https://evil.example:443.wild.example",
    "https://evil.example\\.wild.example",
])
def test_ws_120_16_a_wildcard_matches_nothing_else(httpd, origin):
    assert_refused(httpd, "/trusted", origin)


def test_ws_120_17_under_tls_the_same_origin_has_the_scheme_https(httpd):
    tls = httpd.certificates.client_context()
    assert_allowed(httpd, "/same", f"https://127.0.0.1:{httpd.tls_port}", tls=tls)
    assert_allowed(httpd, "/same", "https://page.example", tls=tls, host="page.example:443")
    with httpd.client(tls=tls) as client:
        response = client.upgrade("/same", origin=f"http://127.0.0.1:{httpd.tls_port}")
        assert response.status == 403


@pytest.mark.parametrize(("name", "origin"), [
    ("public.example", "https://public.example"),
    ("other.example", "https://other.example:8443"),
])
def test_ws_120_18_servername_with_a_scheme_gives_the_origin_behind_a_tls_terminator(
    httpd, name, origin
):
    port = httpd.spare_port
    with httpd.client(port=port) as client:
        client.open("/same", origin=origin, host=name)
        client.echo("allowed")
    for other in (f"http://{name}", f"https://{name}:{port}", "https://evil.example"):
        with httpd.client(port=port) as client:
            assert client.upgrade("/same", origin=other, host=name).status == 403


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_ws_120_19_a_host_without_a_port_has_the_schemes_port_behind_a_port_mapping(httpd, scheme):
    tls = httpd.certificates.client_context() if scheme == "https" else None
    port = httpd.tls_port if tls else httpd.port
    assert_allowed(httpd, "/same", f"{scheme}://page.example", tls=tls, host="page.example")
    with httpd.client(tls=tls) as client:
        # The port that httpd listens on is another server's, outside.
        origin = f"{scheme}://page.example:{port}"
        assert client.upgrade("/same", origin=origin, host="page.example").status == 403


@pytest.mark.parametrize(("host", "origin"), [
    ("page.example.", "http://page.example."),
    ("page.example.:80", "http://page.example."),
    ("page.example", "http://page.example."),
    ("page.example.", "http://page.example"),
])
def test_ws_120_20_a_dot_at_the_end_of_a_host_does_not_matter(httpd, host, origin):
    assert_allowed(httpd, "/same", origin, host=host)


@pytest.mark.parametrize("origin", [
    "file://", "app://.", "chrome-extension://abcdef", "moz-extension://abcdef",
    "moz-extension://3a9f2c10-5b8e-4a4e-9c0a-0d9a1c1f4b11",
])
def test_ws_120_21_applications_and_extensions_may_be_trusted(httpd, origin):
    assert_allowed(httpd, "/trusted", origin)
    assert_refused(httpd, "/same", origin)


@pytest.mark.parametrize("origin", [
    "file:///", "file://host", "app://", "app://a", "chrome-extension://abcdefg",
    "safari-extension://abcdef", "moz-extension", "https://moz-extension",
    "moz-extension://a/b", "moz-extension://evil.example@a",
])
def test_ws_120_22_other_applications_and_extensions_are_refused(httpd, origin):
    assert_refused(httpd, "/trusted", origin)


# A name server that answers with this server's address makes any page "the same origin".

OWN_NAMES = ["localhost", "LocalHost.", "127.0.0.1", "192.0.2.1", "[2001:db8::1]"]


@pytest.mark.parametrize(("path", "host", "is_trusted"), [
    *[("/own-names", host, True) for host in OWN_NAMES],
    ("/own-names", "evil.example", False),
    ("/own-names", "localhost.evil.example", False),
    ("/own-names", "127.0.0.1.evil.example", False),
    ("/these-names", "www.example.com", True),
    ("/these-names", "WWW.example.com.", True),
    ("/these-names", "a.b.example.net", True),
    ("/these-names", "[0::1]", True),
    ("/these-names", "example.net", False),
    ("/these-names", "localhost", False),
    ("/these-names", "127.0.0.1", False),
    ("/both-names", "www.example.com", True),
    ("/both-names", "localhost", True),
    ("/both-names", "evil.example", False),
    ("/same", "evil.example", True),
])
@pytest.mark.parametrize("version", ["13", "7"])
def test_ws_120_23_a_host_that_is_not_trusted_is_not_this_server(
    httpd, path, host, is_trusted, version
):
    authority = f"{host}:{httpd.port}"
    check = assert_allowed if is_trusted else assert_refused
    check(httpd, path, f"http://{authority}", host=authority, version=version)
    if not is_trusted:
        httpd.error_log.wait_for(r"WS0203: .*WebSocketTrustedHost")
    # Nobody else's page gets in by it, and who is no page always does.
    assert_refused(httpd, path, "http://evil.example", host=authority)
    assert_allowed(httpd, path, None, host=authority)


@pytest.mark.parametrize(("host", "is_trusted"), [
    ("public.example", True), ("alias.example", True), ("a.alias.example", True),
    ("ALIAS.example.", True), ("evil.example", False), ("a.evil.example", False),
])
def test_ws_120_24_the_names_of_a_virtual_host_are_trusted_as_the_servers(
    httpd, host, is_trusted
):
    with httpd.client(port=httpd.spare_port) as client:
        response = client.upgrade("/own-names", origin=f"https://{host}", host=host)
        assert response.status == (101 if is_trusted else 403)
