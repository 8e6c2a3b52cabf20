"""With mod_http2 and H2WebSockets: until it is supported, an orderly refusal."""

import ssl

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest

from harness import settings
from harness.conf import ECHO, example, location
from harness.rawclient import RawClient
from harness.waiting import eventually

# mod_http2 does not work under prefork.
MPMS = ("event", "worker")
MODULES = ("ssl", "socache_shmcb", "http2")

pytestmark = pytest.mark.skipif(
    not settings.has_module("http2")
    or b"H2WebSockets" not in (settings.httpd_modules_directory() / "mod_http2.so").read_bytes(),
    reason="this httpd has no H2WebSockets",
)


def configuration(server):
    certificates = server.certificates
    (server.document_root / "page.html").write_text("a page\n")
    return location("/echo", example(ECHO)) + f"""
Protocols h2 http/1.1
H2WebSockets on
{server.listen(server.tls_port)}
SSLSessionCache shmcb:run/ssl(512000)
<VirtualHost *:{server.tls_port}>
  SSLEngine on
  SSLCertificateFile "{certificates.server}"
  SSLCertificateKeyFile "{certificates.server_key}"
</VirtualHost>
"""


class Http2:
    """An HTTP/2 connection over TLS."""

    def __init__(self, httpd):
        context = httpd.certificates.client_context(alpn=["h2"])
        self._client = httpd.client(tls=context)
        assert self._client.socket.selected_alpn_protocol() == "h2"
        self._authority = self._client.authority
        configuration = h2.config.H2Configuration(
            validate_outbound_headers=False, validate_inbound_headers=False
        )
        self.protocol = h2.connection.H2Connection(configuration)
        self.protocol.initiate_connection()
        self.events = []
        self._flush()
        eventually(
            lambda: self._read() and any(
                isinstance(event, h2.events.RemoteSettingsChanged) for event in self.events
            ),
            "the server's settings",
        )

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self._client.vanish()

    @property
    def allows_extended_connect(self):
        return self.protocol.remote_settings.enable_connect_protocol == 1

    def request(self, path, method="GET", protocol=None):
        """Sends a request without a body; a stream with a :protocol stays open."""
        headers = [
            (":method", method), (":scheme", "https"), (":path", path),
            (":authority", self._authority),
        ]
        if protocol:
            headers += [(":protocol", protocol), ("sec-websocket-version", "13")]
        stream = self.protocol.get_next_available_stream_id()
        self.protocol.send_headers(stream, headers, end_stream=protocol is None)
        self._flush()
        return stream

    def outcome(self, stream):
        """The stream's status, or "reset"; waits until the stream has ended."""
        def ended():
            for event in self.events:
                if getattr(event, "stream_id", None) == stream:
                    if isinstance(event, h2.events.StreamReset):
                        return "reset"
                    if isinstance(event, h2.events.StreamEnded):
                        return self._status(stream)
            assert self._read(), "the connection ended"
            return None

        return eventually(ended, f"the end of stream {stream}")

    def _status(self, stream):
        for event in self.events:
            if isinstance(event, h2.events.ResponseReceived) and event.stream_id == stream:
                return int(dict(_text(event.headers))[":status"])
        return None

    def _read(self):
        data = self._client.socket.recv(65536)
        if not data:
            return False
        for event in self.protocol.receive_data(data):
            if isinstance(event, h2.events.DataReceived):
                self.protocol.acknowledge_received_data(
                    event.flow_controlled_length, event.stream_id
                )
            self.events.append(event)
        self._flush()
        return True

    def _flush(self):
        data = self.protocol.data_to_send()
        if data:
            self._client.send(data)


def _text(headers):
    return [
        tuple(part.decode() if isinstance(part, bytes) else part for part in header)
        for header in headers
    ]


@pytest.fixture
def http2(httpd):
    with Http2(httpd) as connection:
        yield connection


def test_ws_530_01_a_websocket_over_http2_is_refused_and_its_stream_ends(http2):
    assert http2.allows_extended_connect
    outcome = http2.outcome(http2.request("/echo", "CONNECT", "websocket"))
    assert outcome == "reset" or 500 <= outcome < 600, outcome


def test_ws_530_02_the_connection_goes_on_after_a_refusal(http2):
    for _ in range(5):
        http2.outcome(http2.request("/echo", "CONNECT", "websocket"))
        assert http2.outcome(http2.request("/page.html")) == 200


def test_ws_530_03_many_refusals_leave_the_server_working(httpd):
    for _ in range(3):
        with Http2(httpd) as connection:
            streams = [connection.request("/echo", "CONNECT", "websocket") for _ in range(10)]
            outcomes = [connection.outcome(stream) for stream in streams]
            assert all(o == "reset" or 500 <= o < 600 for o in outcomes), outcomes
    with Http2(httpd) as connection:
        assert connection.outcome(connection.request("/page.html")) == 200


def test_ws_530_04_a_plain_get_over_http2_is_no_websocket(http2):
    assert http2.outcome(http2.request("/echo")) == 426


def test_ws_530_05_http_1_1_on_the_same_port_still_upgrades(httpd):
    context = httpd.certificates.client_context(alpn=["http/1.1"])
    with httpd.open("/echo", tls=context) as client:
        client.echo("hello")
        client.close_properly()
    with httpd.open("/echo") as client:
        client.echo("plain")
        client.close_properly()


def test_ws_530_06_nothing_spins_after_a_refusal(httpd, http2, burns_no_cpu):
    http2.outcome(http2.request("/echo", "CONNECT", "websocket"))
    with Http2(httpd) as other:
        other.request("/echo", "CONNECT", "websocket")
    burns_no_cpu(httpd)
    with httpd.open("/echo") as client:
        client.echo("still serving")


def test_ws_530_07_tls_without_alpn_still_upgrades(httpd):
    context = httpd.certificates.client_context()
    assert isinstance(context, ssl.SSLContext)
    with RawClient("127.0.0.1", httpd.tls_port, tls=context) as client:
        client.open("/echo")
        client.echo("hello")
