"""A plugin's callback that takes very long is logged, while it still runs; the peer is not kept waiting for its end."""

from contextlib import ExitStack

from harness.conf import location, plugin
from harness.rawclient import BINARY, TEXT, handshake_headers
from harness.recorder import Recorder
from harness.scripted import scripts
from harness.waiting import eventually

WORKERS = 12
MPMS = ("event", "prefork")
# Ten seconds, and the five between two looks.
VERY_LONG = 17_000


def configuration(_server):
    return location("/scripted", plugin("scripted"))


def test_ws_345_01_a_callback_that_does_not_return_is_logged_once_with_its_name(httpd):
    """All at once, since each takes so long: on_message, and on_connect, which has no open WebSocket yet."""
    recorder = Recorder(httpd)
    with ExitStack() as stack:
        client = stack.enter_context(httpd.open("/scripted"))
        client.send_frame(BINARY, f"pause {VERY_LONG}; send text awake")
        late = stack.enter_context(httpd.client())
        late.socket.settimeout(60)
        headers = handshake_headers() + scripts(on_connect=f"pause {VERY_LONG}")
        late.send_request("/scripted", headers)
        for name in ("on_message", "on_connect"):
            pattern = rf"WS0409: WebSocket \d+: the plugin's {name} has been running for more than 10 s"
            httpd.error_log.expect(pattern)
            eventually(lambda pattern=pattern: httpd.error_log.find(pattern), pattern, 40)
        client.socket.settimeout(60)
        assert client.receive_message().text == "awake"
        assert late.receive_response().status == 101
        assert len(httpd.error_log.wait_for("WS0409: ", count=2)) == 2
        client.send_frame(TEXT, "echo quick")
        assert client.receive_message().text == "quick"
    recorder.wait_for_ends(2)


def test_ws_345_02_the_peer_sees_the_end_before_on_disconnect_returns(httpd, gate):
    recorder = Recorder(httpd)
    with httpd.open("/scripted", scripts(on_close=f"await {gate}; echo woken")) as client:
        client.close_properly()
        assert not any("woken" in line or line.endswith("disconnect") for line in recorder.lines())
        gate.touch()
    recorder.wait_for_ends()
