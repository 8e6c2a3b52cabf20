"""Under TLS, too, the peer sees the end when both Close frames have passed: one close_notify, then the end of the stream, while
on_disconnect still runs; and what comes after that still knows the TLS of the connection.

on_disconnect waits for a file that the test makes when it has seen the end. Without that end the client waits in vain.
"""

import re
import ssl
from contextlib import ExitStack

import pytest

from harness.compiler import build
from harness.conf import ECHO, example, location, plugin
from harness.rawclient import BINARY, CLOSE, close_frame
from harness.records import BAD_RECORD_MAC, CLOSE_NOTIFY, RecordClient
from harness.scripted import Records, scripts
from harness.tap import ALERT, TapClient
from harness.waiting import eventually

MODULES = ("ssl", "socache_shmcb", "setenvif")
THREADS = 4
# More than the threads of the event driver.
STUCK = 8
WORKERS = 20

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
both_versions = pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)


# What another library has by the same names, of another version.
OTHER_OPENSSL = """
#include <stdlib.h>
int SSL_shutdown(void *ssl) { (void)ssl; abort(); }
void SSL_set_quiet_shutdown(void *ssl, int mode) { (void)ssl; (void)mode; abort(); }
void ERR_clear_error(void) { abort(); }
"""


def tls_of(server):
    certificates = server.certificates
    return f"""
  SSLEngine on
  SSLCertificateFile "{certificates.server}"
  SSLCertificateKeyFile "{certificates.server_key}"
  SSLCACertificateFile "{certificates.ca}"
"""


def late():
    """Where mod_ssl does not look for it."""
    return location("/late", plugin("scripted"), "SetEnvIf User-Agent . ssl-unclean-shutdown")


def configuration(server):
    tls = tls_of(server)
    return (
        f"WebSocketThreads 2 {THREADS}\n"
        + location("/scripted", plugin("scripted"))
        + late()
        + location("/echo", example(ECHO))
        + f"""
LogFormat "%U %{{SSL_PROTOCOL}}x %{{SSL_CLIENT_S_DN_CN}}x %{{websocket-close-code}}n" tls
SSLSessionCache shmcb:run/ssl(512000)
{server.listen(server.tls_port)}
<VirtualHost *:{server.tls_port}>{tls}
  SSLVerifyClient optional
  CustomLog "access.log" tls
</VirtualHost>
{server.listen(server.spare_port)}
<VirtualHost *:{server.spare_port}>{tls}
  SetEnvIf Request_Protocol . ssl-accurate-shutdown
  SetEnvIf User-Agent unclean !ssl-accurate-shutdown
  SetEnvIf User-Agent unclean ssl-unclean-shutdown
</VirtualHost>
"""
    )


def context_of(httpd, version, **options):
    context = httpd.certificates.client_context(**options)
    context.minimum_version = context.maximum_version = version
    return context


def opened(httpd, version, gate, *script, path="/scripted", headers=(), port=None, **options):
    """A client whose on_disconnect waits for the gate, and then does `script`."""
    client = TapClient(httpd, context_of(httpd, version, **options), port=port)
    steps = "; ".join((f"await {gate}", *script))
    return client.open(path, [*headers, *scripts(on_disconnect=steps)])


def close(client, code=1000):
    client.send_close(code)
    assert client.receive_frame().close_code == code


def expect_one_goodbye(client, version):
    """What follows the last data, up to the end of the stream, is one close_notify."""
    (record,) = client.socket.records_to_the_end()
    # TLS 1.3 gives every record the same type on the wire, and says the true one inside.
    assert (record[0] == ALERT) == (version == ssl.TLSVersion.TLSv1_2)
    assert client.socket.recv(1) == b""


@both_versions
def test_ws_506_01_one_goodbye_comes_before_on_disconnect_returns(httpd, version, gate):
    recorder = Records(httpd)
    with opened(httpd, version, gate, "echo awake") as client:
        close(client)
        expect_one_goodbye(client, version)
        assert not recorder.find("does .*")
        gate.touch()
        assert recorder.result("echo awake") == "awake"
    recorder.wait_for_end()


@both_versions
def test_ws_506_02_it_comes_when_the_plugin_closes_too(httpd, version, gate):
    recorder = Records(httpd)
    with opened(httpd, version, gate, "echo awake") as client:
        client.send_frame(BINARY, "close_with 4001 enough")
        assert client.receive_frame().close_code == 4001
        client.send_close(4001)
        expect_one_goodbye(client, version)
        assert not recorder.find("does echo .*")
    gate.touch()
    recorder.wait_for_end()


@both_versions
def test_ws_506_03_what_comes_after_it_still_knows_the_tls(httpd, version, gate):
    recorder = Records(httpd)
    names = ("SSL_PROTOCOL", "SSL_CIPHER", "SSL_CLIENT_S_DN_CN", "SSL_CLIENT_VERIFY")
    script = [f"variable_get {name}" for name in names]
    with opened(httpd, version, gate, *script, identify=True) as client:
        name, cipher = client.socket.version(), client.socket.cipher()
        close(client)
        expect_one_goodbye(client, version)
        gate.touch()
        answers = [recorder.result(command) for command in script]
        assert answers == [name, cipher, "tester", "SUCCESS"]
    line = f"/scripted {name} tester 1000"
    eventually(lambda: line in httpd.access_lines(), line)
    recorder.wait_for_end()


@both_versions
def test_ws_506_04_a_client_that_insists_on_a_goodbye_is_content(httpd, version, gate):
    context = context_of(httpd, version)
    with httpd.client(tls=context, suppress_ragged_eofs=False) as client:
        client.open("/scripted", scripts(on_disconnect=f"await {gate}"))
        client.close_properly()


@both_versions
def test_ws_506_05_an_accurate_shutdown_says_it_once_too(httpd, version, gate):
    recorder = Records(httpd)
    with opened(httpd, version, gate, port=httpd.spare_port) as client:
        close(client)
        expect_one_goodbye(client, version)
        gate.touch()
    recorder.wait_for_end()


@both_versions
@pytest.mark.parametrize("path", ["/scripted", "/late"])
def test_ws_506_06_an_unclean_shutdown_says_nothing_and_ends(httpd, version, gate, path):
    recorder = Records(httpd)
    headers = [("User-Agent", "unclean")]
    port = httpd.spare_port if path == "/scripted" else None
    with opened(httpd, version, gate, path=path, headers=headers, port=port) as client:
        close(client)
        assert client.socket.records_to_the_end() == []
        gate.touch()
    recorder.wait_for_end()


@both_versions
def test_ws_506_07_who_does_not_read_holds_nobody_and_gets_all_of_it(httpd, version, gate):
    gate.touch()
    size = 4 << 20
    with ExitStack() as stack:
        context = context_of(httpd, version)
        stuck = []
        for _ in range(STUCK):
            client = TapClient(httpd, context, receive_buffer=4096)
            stack.callback(client.vanish)
            client.open("/scripted", scripts(on_open=f"send binary x:{size}"))
            client.send_close(1000)
            stuck.append(client)
        gate.unlink()
        with opened(httpd, version, gate) as healthy:
            close(healthy)
            expect_one_goodbye(healthy, version)
            gate.touch()
        for client in stuck:
            assert client.receive_message().payload == b"x" * size
            assert client.receive_frame().close_code == 1000
            expect_one_goodbye(client, version)


@pytest.mark.parametrize("behind", ["broken", "key-update", "message"])
def test_ws_506_08_what_comes_behind_the_close_is_nobodys_business(httpd, behind, gate):
    recorder = Records(httpd)
    with RecordClient(httpd) as client:
        tls = client.socket
        client.open("/scripted", scripts(on_disconnect=f"await {gate}; echo awake"))
        records = [tls.data(close_frame(1000))]
        if behind == "broken":
            records.append(tls.broken())
        elif behind == "key-update":
            records.append(tls.key_update(True))
        else:
            records.append(tls.data(b"x" * 1000))
        tls.send_records(*records)
        assert client.receive_frame().opcode == CLOSE
        assert client.receive_to_eof() == b""
        assert tls.alerts in ([CLOSE_NOTIFY], [BAD_RECORD_MAC])
        assert behind == "broken" or tls.alerts == [CLOSE_NOTIFY]
        assert not recorder.find("does .*")
        gate.touch()
    recorder.wait_for_end()


def test_ws_506_09_pages_over_tls_are_as_ever(httpd):
    # A keep-alive connection that says goodbye in mod_ssl's own way; and one that has a WebSocket behind its pages.
    context = context_of(httpd, VERSIONS[1])
    with TapClient(httpd, context) as client:
        for _ in range(3):
            assert client.request("/nothing-here").status == 404
        assert client.request("/nothing-here", [("Connection", "close")]).status == 404
        expect_one_goodbye(client, VERSIONS[1])
    with TapClient(httpd, context) as client:
        assert client.request("/nothing-here").status == 404
        client.open("/echo")
        client.echo("behind a page")
        close(client)
        expect_one_goodbye(client, VERSIONS[1])


def test_ws_506_10_behind_another_modules_filter_it_comes_in_the_end(mpm, make_httpd):
    lines = "LogLevel dumpio:trace7\nDumpIOOutput On\n"
    modules = (*MODULES, "dumpio")
    server = make_httpd(mpm, lambda server: tls_server(server, lines), modules=modules)
    expect_goodbye_in_the_end(server)


def test_ws_506_11_another_librarys_functions_are_not_called(mpm, make_httpd, tmp_path):
    """It is found first, and stays when httpd reads its configuration again; mod_ssl does not use it, since the versions differ."""
    script = tmp_path / "versions"
    script.write_text("OTHER_1 { global: *; };\n")
    flags = [f"-Wl,--version-script={script}", "-Wl,-z,nodelete"]
    other = build(tmp_path / "other.so", OTHER_OPENSSL, flags=flags)
    before, *others = MODULES
    server = make_httpd(
        mpm,
        lambda server: f'LoadFile "{other}"\n{server.load_module(before)}\n' + tls_server(server),
        modules=others,
    )
    expect_goodbye_in_the_end(server)


@pytest.mark.parametrize("path", ["/scripted", "/late"])
def test_ws_506_12_mod_ssl_does_not_try_to_say_it_again(mpm, make_httpd, path):
    server = make_httpd(mpm, lambda server: tls_server(server, "LogLevel ssl:trace6\n"), modules=MODULES)
    server.start()
    with TapClient(server, context_of(server, VERSIONS[1])) as client:
        client.open(path, [("User-Agent", "any")])
        close(client)
        client.socket.records_to_the_end()
    server.error_log.wait_for("Connection closed to child .* with standard shutdown", level="debug")
    log = "\n".join(entry.text for entry in server.error_log.entries())
    before, behind = (re.findall(r"bio_filter_out_write: \d+ bytes", part) for part in log.split("WS0302: "))
    assert before and not behind


def tls_server(server, lines=""):
    return "\n".join((
        "SSLSessionCache shmcb:run/ssl(512000)",
        location("/scripted", plugin("scripted")),
        late(),
        server.listen(server.tls_port),
        f"<VirtualHost *:{server.tls_port}>{tls_of(server)}{lines}</VirtualHost>",
        "",
    ))


def expect_goodbye_in_the_end(server):
    """mod_ssl's own, once; and the child lives."""
    server.start()
    children = server.children()
    for version in VERSIONS:
        recorder = Records(server)
        with TapClient(server, context_of(server, version)) as client:
            client.open("/scripted", scripts(on_disconnect="pause 300; variable_get SSL_PROTOCOL"))
            close(client)
            expect_one_goodbye(client, version)
            (answer,) = recorder.find("does variable_get SSL_PROTOCOL = (.*)")
            assert answer[1] == client.socket.version()
    assert set(children) <= set(server.children()), "a child has died"
