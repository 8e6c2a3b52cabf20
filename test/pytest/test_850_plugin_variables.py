"""variable_get: what httpd knows about the handshake request, by its CGI name."""

import re

import pytest

from harness import settings, users
from harness.conf import location, plugin
from harness.hosts import TLS_MODULES, tls_host
from harness.scripted import Records, ask, scripts

MODULES = (*TLS_MODULES, *users.MODULES, "remoteip", "env", "setenvif", "rewrite")
WORKERS = 20
USER = "alice"


def configuration(server):
    login = [*users.authentication(server, USER), "Require valid-user"]
    handler = plugin("scripted")
    return f"""
ServerAdmin admin@localhost
RemoteIPHeader X-Forwarded-For
RemoteIPInternalProxy 127.0.0.1 ::1
{location("/scripted", handler)}
{location("/users", handler, *login)}
{location("/set", handler, "SetEnv FLAVOUR vanilla", 'SetEnv EMPTY ""',
          "SetEnvIf X-Token . TOKEN=seen", "SetEnv UNSET x", "UnsetEnv UNSET")}
RewriteEngine On
RewriteRule "^/rewritten/(.*)$" "/scripted/$1?made=up" [PT,E=RULE:$1]
{tls_host(server, "SSLOptions -StdEnvVars", "RewriteEngine On", "RewriteOptions Inherit")}
"""


@pytest.fixture(params=["plain", "tls"])
def tls(request, httpd):
    return httpd.certificates.client_context() if request.param == "tls" else None


def variables(client, *names):
    values = ask(client, "; ".join(f"variable_get {name}" for name in names)).split("; ")
    assert len(values) == len(names), values
    return dict(zip(names, values))


def test_ws_850_01_what_is_known_of_any_request(httpd, tls):
    port = httpd.port if tls is None else httpd.tls_port
    with httpd.open("/scripted/more/info?a=b&c=%20d", tls=tls) as client:
        own_port = client.socket.getsockname()[1]
        expected = {
            "REMOTE_ADDR": "127.0.0.1",
            "REMOTE_PORT": str(own_port),
            "REQUEST_METHOD": "GET",
            "REQUEST_SCHEME": "http" if tls is None else "https",
            "QUERY_STRING": "a=b&c=%20d",
            "SCRIPT_NAME": "/scripted",
            "PATH_INFO": "/more/info",
            "SERVER_NAME": "localhost",
            "SERVER_ADDR": "127.0.0.1",
            "SERVER_PORT": str(port),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "SERVER_ADMIN": "admin@localhost",
            "DOCUMENT_ROOT": str(httpd.document_root),
            "HTTPS": "off" if tls is None else "on",
        }
        seen = variables(client, *expected)
        # As the client has named it.
        assert seen.pop("SERVER_NAME") in ("127.0.0.1", "localhost")
        del expected["SERVER_NAME"]
        assert seen == expected
        assert variables(client, "SERVER_SOFTWARE")["SERVER_SOFTWARE"].startswith("Apache/2.4.")
        client.close_properly()


def test_ws_850_02_request_uri_is_what_the_client_has_asked_for(httpd):
    with httpd.open("/rewritten/x?a=b") as client:
        seen = variables(client, "REQUEST_URI", "QUERY_STRING", "SCRIPT_NAME", "PATH_INFO")
        assert seen == {
            # As CGI programs of httpd have it, with the query.
            "REQUEST_URI": "/rewritten/x?a=b",
            "QUERY_STRING": "made=up", "SCRIPT_NAME": "/scripted", "PATH_INFO": "/x",
        }


def test_ws_850_03_a_query_is_there_even_when_it_is_empty(httpd):
    with httpd.open("/scripted") as client:
        # RFC 3875, 4.1.7: it must always be set. 4.1.5: PATH_INFO may be empty.
        seen = variables(client, "QUERY_STRING", "PATH_INFO", "SCRIPT_NAME")
        assert seen["QUERY_STRING"] == ""
        assert seen["PATH_INFO"] in ("", "NULL")
        assert seen["SCRIPT_NAME"] == "/scripted"


def test_ws_850_04_the_address_is_the_one_that_mod_remoteip_has_found(httpd, tls):
    with httpd.open("/scripted", [("X-Forwarded-For", "192.0.2.7")], tls=tls) as client:
        assert variables(client, "REMOTE_ADDR") == {"REMOTE_ADDR": "192.0.2.7"}
    with httpd.open("/scripted", [("X-Forwarded-For", "2001:db8::7")], tls=tls) as client:
        assert variables(client, "REMOTE_ADDR") == {"REMOTE_ADDR": "2001:db8::7"}


def test_ws_850_05_who_has_logged_in_is_known(httpd, tls):
    with httpd.open("/users", users.basic(USER), tls=tls) as client:
        assert variables(client, "REMOTE_USER", "AUTH_TYPE") == {
            "REMOTE_USER": USER, "AUTH_TYPE": "Basic"
        }
    # Where nobody asks for it, credentials are no user.
    with httpd.open("/scripted", users.basic(USER), tls=tls) as client:
        assert variables(client, "REMOTE_USER", "AUTH_TYPE") == {
            "REMOTE_USER": "NULL", "AUTH_TYPE": "NULL"
        }


def test_ws_850_06_what_mod_ssl_knows(httpd):
    with httpd.open("/scripted", tls=httpd.certificates.client_context()) as client:
        cipher, _version, bits = client.socket.cipher()
        version = client.socket.version()
        assert variables(client, "SSL_PROTOCOL", "SSL_CIPHER", "SSL_CIPHER_USEKEYSIZE") == {
            "SSL_PROTOCOL": version, "SSL_CIPHER": cipher, "SSL_CIPHER_USEKEYSIZE": str(bits)
        }
        assert variables(client, "SSL_SERVER_S_DN_CN", "SSL_CLIENT_S_DN", "SSL_NONSENSE") == {
            "SSL_SERVER_S_DN_CN": "localhost", "SSL_CLIENT_S_DN": "NULL", "SSL_NONSENSE": "NULL"
        }
    with httpd.open("/scripted") as client:
        assert variables(client, "SSL_PROTOCOL", "SSL_CIPHER") == {
            "SSL_PROTOCOL": "NULL", "SSL_CIPHER": "NULL"
        }


def test_ws_850_07_what_other_modules_have_set(httpd, tls):
    names = ("FLAVOUR", "EMPTY", "TOKEN", "UNSET")
    with httpd.open("/set", [("X-Token", "secret")], tls=tls) as client:
        assert variables(client, *names) == {
            "FLAVOUR": "vanilla", "EMPTY": "", "TOKEN": "seen", "UNSET": "NULL"
        }
    with httpd.open("/set", tls=tls) as client:
        assert variables(client, "TOKEN") == {"TOKEN": "NULL"}
    with httpd.open("/scripted", tls=tls) as client:
        assert variables(client, "FLAVOUR") == {"FLAVOUR": "NULL"}
    with httpd.open("/rewritten/yes", tls=tls) as client:
        assert variables(client, "RULE") == {"RULE": "yes"}


def test_ws_850_08_header_fields_have_names_with_http(httpd):
    fields = [
        ("User-Agent", "tester/1.0 (a; b)"), ("X-Two-Words", "x"), ("X-Many", "a"),
        ("X-Many", "b"), ("Cookie", "a=b"), ("X-Empty", ""),
    ]
    with httpd.open("/scripted", fields) as client:
        values = ask(client, "variable_get HTTP_USER_AGENT")
        assert values == "tester/1.0 (a; b)"
        assert variables(
            client, "HTTP_X_TWO_WORDS", "HTTP_X_MANY", "HTTP_COOKIE", "HTTP_HOST", "HTTP_X_EMPTY",
            "HTTP_SEC_WEBSOCKET_VERSION", "HTTP_X_ABSENT", "HTTP_", "HTTP",
        ) == {
            "HTTP_X_TWO_WORDS": "x", "HTTP_X_MANY": "a, b", "HTTP_COOKIE": "a=b",
            "HTTP_HOST": f"127.0.0.1:{httpd.port}", "HTTP_X_EMPTY": "",
            "HTTP_SEC_WEBSOCKET_VERSION": "13", "HTTP_X_ABSENT": "NULL", "HTTP_": "NULL",
            "HTTP": "NULL",
        }


@pytest.mark.parametrize("name", [
    "NONSENSE", "remote_addr", "REMOTE_ADDR ", " REMOTE_ADDR", "REMOTE_HOST", "PATH", "",
])
def test_ws_850_09_what_there_is_not_is_null(httpd, name):
    with httpd.open("/scripted") as client:
        assert ask(client, f"variable_get {name}") == "NULL"
        assert ask(client, "variable_get REMOTE_ADDR") == "127.0.0.1"


def test_ws_850_10_they_are_known_in_every_callback_up_to_the_last(httpd):
    records = Records(httpd)
    names = ("QUERY_STRING", "REMOTE_ADDR", "FLAVOUR", "SCRIPT_NAME", "SERVER_PORT", "ABSENT")
    script = "; ".join(f"variable_get {name}" for name in names)
    fields = scripts(
        on_connect=script, on_open=f"{script}; set_timer 1", on_timer=f"{script}; close",
        on_close=script, on_disconnect=script,
    )
    with httpd.open("/set?x=y", fields) as client:
        assert client.receive_frame().close_code is None
        client.send_close(1000)
        assert client.receive_to_eof() == b""
    records.wait_for_ends()
    records.result("variable_get ABSENT", 4)
    expected = ["x=y", "127.0.0.1", "vanilla", "/set", str(httpd.port), "NULL"]
    for name, value in zip(names, expected):
        seen = [match[1] for match in records.find(f"does variable_get {name} = (.*)")]
        assert seen == [value] * 5, name


def test_ws_850_11_asking_often_takes_no_memory(httpd):
    def ask_often():
        names = ("REMOTE_PORT", "SCRIPT_NAME", "SERVER_PORT", "SSL_PROTOCOL", "HTTP_HOST", "ABSENT")
        script = "; ".join(f"variable_get {name}" for name in names * 100)
        for _ in range(100):
            assert ask(client, script + "; echo end")

    with httpd.open("/scripted/info", tls=httpd.certificates.client_context()) as client:
        ask_often()
        before = httpd.resident_bytes()
        ask_often()
        ask_often()
        # 120,000 answers.
        assert httpd.resident_bytes() - before < 1 << 20
        client.close_properly()


def test_ws_850_12_addresses_of_ipv6_are_known_too(httpd):
    if not settings.ipv6():
        pytest.skip("this machine has no [::1]")
    with httpd.open("/scripted", address="::1") as client:
        seen = variables(client, "REMOTE_ADDR", "SERVER_ADDR", "REMOTE_PORT")
        assert seen["REMOTE_ADDR"] == seen["SERVER_ADDR"] == "::1"
        assert re.fullmatch(r"\d+", seen["REMOTE_PORT"])
