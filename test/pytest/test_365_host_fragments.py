"""send_fragment, under plugin-host. The same tests as under httpd."""

# ruff: noqa: F401, F403, F811
from harness import settings
from harness.pluginhost import test_plugin as plugin_of

from test_830_fragments import *

from harness.pluginhost import httpd, tls

SITES = {
    "/scripted": plugin_of("scripted"),
    "/echo": (str(settings.MODULES / "mod_websocket_echo.so"), "echo_init"),
}
