"""Modules of httpd, all at once, and Debian's others, each by itself and all that have threads together: `make neighbours`.

What is learnt here is docs/neighbours.md, whose tables name each of them.
"""

import re
import signal
from pathlib import Path

import pytest

from harness import beside, document, settings
from harness.conf import ECHO, example, location
from harness.rawclient import TEXT

WORKERS = 20
# Not beside the others, or not without something that is not here.
LEFT_OUT = {
    "cgi": "mod_cgid is it under MPMs with threads",
    "suexec": "needs its program, setuid",
}
# On the WebSocket's Location. Those that would change a response see none.
ON_LOCATION = (
    "Options +MultiViews +Includes +ExecCGI", "Order allow,deny", "Allow from all", "AllowMethods GET POST",
    "SetOutputFilter DEFLATE;SUBSTITUTE;RATE_LIMIT;BUFFER;INCLUDES;BROTLI_COMPRESS", "SetInputFilter DEFLATE;BUFFER",
    'Substitute "s/hello/goodbye/"', 'OutputSed "s/hello/goodbye/"', "SetEnv rate-limit 1", "CheckSpelling On",
    'Header set X-Header "yes"', "Header edit Set-Cookie x y", "ExpiresActive On", 'ExpiresDefault "access plus 1 day"',
    "CookieTracking On", "CookieName tracker", 'LogMessage "hook=all"', "RewriteEngine On",
    'RewriteRule "." "-" [E=rewritten:1]', "Session On", "SessionCookieName session path=/", "SessionCryptoPassphrase secret",
    "XBitHack on", "MetaFiles On", "ModMimeUsePathInfo On", "CharsetSourceEnc ISO-8859-1", "CharsetDefault UTF-8",
    "KeptBodySize 1000", "UnsetEnv nothing", 'SetEnvIf Host "." seen', "CacheEnable disk", "BufferSize 4096",
    "AddOutputFilterByType INFLATE;DEFLATE text/plain",
)
ON_SERVER = """
SSLSessionCache shmcb:run/ssl(512000)
DumpIOInput On
DumpIOOutput On
ForensicLog forensic.log
RequestReadTimeout header=2-3,minrate=500 body=2,minrate=500
RemoteIPHeader X-Forwarded-For
RemoteIPInternalProxy 127.0.0.1 ::1
ExtendedStatus On
CacheRoot cache
CacheIgnoreNoLastMod On
TypesConfig /dev/null
ScriptSock run/cgid
AuthnCacheEnable
UserDir disabled
<Macro Nothing $name>
  SetEnv $name 1
</Macro>
Use Nothing by_macro
LogFormat "%a %>s %I %O %^FB" counted
CustomLog counted.log counted
<Location /info>
  SetHandler server-info
</Location>
<Location /server-status>
  SetHandler server-status
</Location>
"""
def pcre():
    """The library, unpacked or the system's."""
    places = [*beside.ROOT.glob("usr/lib/*/libpcre.so.3"), *Path("/usr/lib").glob("*/libpcre.so.3")]
    assert places, "mod_qos needs libpcre3"
    return places[0]


def names_of_httpd():
    names = sorted(path.stem.removeprefix("mod_") for path in settings.httpd_modules_directory().glob("mod_*.so"))
    return [name for name in names if not name.startswith("mpm_") and name not in LEFT_OUT]


def is_known(line):
    """A directive that this httpd has: of a module that is not there, none is asked for."""
    return line.split()[0].lower() in document.directives()


@pytest.fixture
def start(make_httpd, mpm):
    def serve(names, server_lines, location_lines, others=()):
        def configuration(server):
            (server.directory / "cache").mkdir(exist_ok=True)
            (server.directory / "cache").chmod(0o777)
            certificates = server.certificates
            # Debian 12 has built mod_qos for an httpd with PCRE 1, and names the library nowhere.
            loads = f'LoadFile "{pcre()}"\n' if any(file == "mod_qos.so" for _, file in others) else ""
            loads += "".join(f'LoadModule {name} "{beside.MODULES / file}"\n' for name, file in others)
            return (
                loads + server_lines
                + location("/echo", example(ECHO), *location_lines)
                + location("/plain", example(ECHO))
                + f"""
{server.listen(server.tls_port)}
<VirtualHost *:{server.tls_port}>
  SSLEngine on
  SSLCertificateFile "{certificates.server}"
  SSLCertificateKeyFile "{certificates.server_key}"
  <IfModule mod_http2.c>
    Protocols h2 http/1.1
  </IfModule>
</VirtualHost>
"""
            )

        server = make_httpd(
            mpm, configuration, modules=names, workers=WORKERS, environment=beside.environment() if others else None
        )
        return server.start()

    return serve


def serves(server, path="/echo"):
    """WebSockets, plain and under TLS, several at once; pages; an end from either side."""
    tls = server.certificates.client_context()
    clients = [server.open(path, tls=context) for context in (None, tls, None, tls)]
    for client in clients:
        for size in (0, 5, 70_000):
            client.echo("x" * size, TEXT)
    assert server.ask("/index.html", [("Connection", "close")]).status == 200
    for client in clients:
        client.close_properly()
        client.vanish()


def test_ws_912_01_all_modules_of_httpd_at_once(start, mpm):
    names = names_of_httpd()
    server = start(names, ON_SERVER, [each for each in ON_LOCATION if is_known(each)])
    server.error_log.tolerate(r"^(?!.*\[websocket:)")
    serves(server)
    # None of their filters has touched a frame, and each has seen the handshake.
    assert re.search(r"/echo", (server.directory / "forensic.log").read_text())
    with server.client() as client:
        assert client.upgrade("/echo", [("Origin", "http://evil.example")]).status == 403
    assert len(names) > 90, names
    if mpm != "prefork":
        server.graceful()
        serves(server)


OTHERS = {
    "mod_security2": (
        ("security2_module", "mod_security2.so"), ("unique_id",),
        'SecRuleEngine On\nSecRequestBodyAccess On\nSecDataDir run\n'
        'SecRule REQUEST_HEADERS:X-Bad "@streq 1" "id:1,phase:1,deny,status:403"\n'
        'SecRule REQUEST_HEADERS:X-Bad "@streq 2" "id:2,phase:2,deny,status:403"\n'
        'SecRule RESPONSE_STATUS "@streq 101" "id:3,phase:3,deny,status:403"\n', (),
    ),
    "mod_qos": (
        ("qos_module", "mod_qos.so"), (),
        "QS_SrvMaxConnPerIP 50\nQS_SrvMinDataRate 150 1200\n", (),
    ),
    "mod_evasive": (
        ("evasive20_module", "mod_evasive20.so"), (),
        "DOSHashTableSize 3097\nDOSPageCount 50\nDOSSiteCount 100\nDOSPageInterval 1\nDOSSiteInterval 1\nDOSBlockingPeriod 5\n"
        'DOSLogDir "/tmp"\n', (),
    ),
    "mod_perl": (("perl_module", "mod_perl.so"), (), "", ("PerlSetEnv SEEN 1", "PerlSetVar Colour blue")),
    "mod_wsgi": (("wsgi_module", "mod_wsgi.so"), (), "WSGIScriptAlias /wsgi /nowhere\n", ()),
    "mod_auth_openidc": (
        ("auth_openidc_module", "mod_auth_openidc.so"), ("authn_core", "authz_user"),
        "OIDCProviderMetadataURL https://127.0.0.1:1/\nOIDCClientID x\nOIDCClientSecret y\nOIDCRedirectURI /redirect\n"
        "OIDCCryptoPassphrase z\n<Location /guarded>\n  AuthType openid-connect\n  Require valid-user\n"
        f"  SetHandler websocket-handler\n  {example(ECHO)}\n</Location>\n", (),
    ),
    "mod_php": (
        ("php_module", "libphp8.2.so"), ("mime",), "TypesConfig /dev/null\nAddHandler application/x-httpd-php .php\n", (),
    ),
    "mpm-itk": (("mpm_itk_module", "mpm_itk.so"), (), "AssignUserID nobody nogroup\nWebSocketDrainTimeout 500ms\n", ()),
}
ONLY_PREFORK = ("mod_php", "mpm-itk")
TLS = ("ssl", "socache_shmcb")


def starts(start, *names, more=""):
    modules = dict.fromkeys(name for each in names for name in OTHERS[each][1])
    server = start(
        (*modules, *TLS), "SSLSessionCache shmcb:run/ssl(512000)\n" + "".join(OTHERS[each][2] for each in names) + more,
        [line for each in names for line in OTHERS[each][3]], [OTHERS[each][0] for each in names],
    )
    # What other people's modules say of themselves is theirs to say.
    server.error_log.tolerate(r"^(?!.*\[websocket:)")
    return server


@pytest.fixture(params=OTHERS)
def other(request, mpm):
    if mpm != "prefork" and request.param in ONLY_PREFORK:
        pytest.skip(f"{request.param} is for prefork")
    if request.param == "mpm-itk" and settings.unprivileged() is None:
        pytest.skip("mpm-itk changes users: only for root")
    return request.param


def test_ws_912_02_each_of_the_others(start, other):
    server = starts(start, other)
    serves(server)


def test_ws_912_03_all_of_the_others_together(start, mpm):
    names = [name for name in OTHERS if name not in ONLY_PREFORK]
    server = starts(start, *names)
    serves(server)


def test_ws_912_04_modsecurity_stops_a_handshake_in_phases_1_and_2(start):
    """A 101 is an interim response: rules of phase 3 do not see it."""
    server = starts(start, "mod_security2")
    server.error_log.expect("ModSecurity")
    for value in ("1", "2"):
        with server.client() as client:
            assert client.upgrade("/echo", [("X-Bad", value)]).status == 403
    with server.open("/echo") as client:
        client.echo("hello")
        client.close_properly()


def test_ws_912_05_mod_auth_openidc_asks_who_it_is(start):
    server = starts(start, "mod_auth_openidc")
    with server.client() as client:
        assert client.upgrade("/guarded").status in (302, 401, 404, 500, 502)


@pytest.mark.parametrize("how", ["graceful", "graceful stop", "stop"])
def test_ws_912_06_mpm_itk_tells_its_children(start, mpm, how):
    if mpm != "prefork" or settings.unprivileged() is None:
        pytest.skip("mpm-itk is for prefork, and for root")
    server = starts(start, "mpm-itk")
    clients = [server.open("/echo") for _ in range(3)]
    if how == "graceful":
        server.graceful()
    elif how == "graceful stop":
        server.graceful_stop()
    else:
        server.signal(signal.SIGTERM)
    for client in clients:
        assert client.receive_frame().close_code == 1001
        client.vanish()
    if how != "graceful":
        server.wait_for_exit()


def test_ws_912_07_the_document_names_each():
    text = (settings.ROOT / "docs/neighbours.md").read_text()
    missing = [name for name in OTHERS if f"| {name} " not in text and f"| {name.removeprefix('mod_')} " not in text]
    missing += [name for name in names_of_httpd() if f"`{name}`" not in text]
    assert not missing, missing


def test_ws_912_08_mod_evasive_counts_handshakes(start):
    """Of one client for one page: the others are refused, and who is in stays."""
    name, modules, lines, of_location = OTHERS["mod_evasive"]
    server = start(
        (*modules, *TLS), "SSLSessionCache shmcb:run/ssl(512000)\n" + lines.replace("DOSPageCount 50", "DOSPageCount 3"),
        of_location, [name],
    )
    server.error_log.tolerate(r"^(?!.*\[websocket:)")
    answers = []
    with server.open("/echo") as first:
        # One child counts for itself; each of prefork's has few of them.
        for _ in range(8 if server.mpm != "prefork" else 0):
            with server.client() as client:
                answers.append(client.upgrade("/echo").status)
        first.echo("still here")
        first.close_properly()
    assert server.mpm == "prefork" or set(answers) == {101, 403}, answers
