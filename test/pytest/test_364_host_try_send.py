"""try_send, on_writable and buffered_amount, under plugin-host. The same tests as under httpd."""

# ruff: noqa: F401, F403, F811
from harness import settings
from harness.pluginhost import test_plugin as plugin_of

from test_820_try_send import *

from harness.pluginhost import httpd, tls

SITES = {
    "/scripted": plugin_of("scripted"),
    "/small": (*plugin_of("scripted"), "--send-buffer", "65536"),
    "/large": (*plugin_of("scripted"), "--send-buffer", str(8 << 20)),
    "/echo": (str(settings.MODULES / "mod_websocket_echo.so"), "echo_init"),
}
