"""Beside modules of httpd that stand between the handler and the MPM (test/modules/host.c)."""

import pytest

from harness import settings
from harness.conf import ECHO, example, location, plugin
from harness.rawclient import CLOSE
from harness.recorder import Recorder

MODULES = ("env",)
WORKERS = 20


def configuration(server):
    return (
        f'LoadModule host_module "{settings.TEST_PLUGINS / "modules" / "host.so"}"\n'
        + location("/echo", example(ECHO))
        + location("/swallow", plugin("recorder"), "SetEnv host-habit swallow")
        + location("/abort", plugin("recorder"), "SetEnv host-habit abort")
        + f"""
{server.listen(server.spare_port)}
<VirtualHost *:{server.spare_port}>
  HostClogs On
{location("/recorder", plugin("recorder"))}</VirtualHost>
"""
    )


@pytest.fixture
def beside(httpd):
    """A second WebSocket, which must live."""
    with httpd.open("/echo") as client:
        children = httpd.children()
        yield client
        client.echo("still there")
        assert set(children) <= set(httpd.children()), "a child has died"
        client.close_properly()


def test_ws_516_01_a_module_that_swallows_the_answer_costs_the_websocket_and_nothing_else(httpd, mpm, beside):
    recorder = Recorder(httpd)
    for _ in range(20):
        with httpd.open("/swallow") as client:
            if mpm == "event":
                assert client.receive_to_eof() == b""
            else:
                client.echo("hello")
                client.close_properly()
        beside.echo("meanwhile")
    recorder.wait_for_ends(20)
    if mpm == "event":
        httpd.error_log.expect("WS0208: .* another module keeps the connection from being suspended")


def test_ws_516_02_a_connection_that_breaks_behind_the_handler_ends_cleanly(httpd, mpm, beside):
    recorder = Recorder(httpd)
    for _ in range(20):
        with httpd.open("/abort") as client:
            if mpm == "event":
                assert client.receive_to_eof() == b""
            else:
                client.close_properly()
        beside.echo("meanwhile")
    recorder.wait_for_ends(20)


def test_ws_516_03_a_connection_that_is_served_synchronously_has_a_websocket_too(httpd, beside):
    recorder = Recorder(httpd)
    for _ in range(5):
        with httpd.open("/recorder", port=httpd.spare_port) as client:
            client.echo("hello")
            beside.echo("meanwhile")
            client.close_properly()
    recorder.wait_for_ends(5)
    with httpd.open("/recorder", port=httpd.spare_port) as client:
        client.send_frame(CLOSE)
        client.expect_close(None)
