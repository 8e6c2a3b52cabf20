"""The server functions, under plugin-host. The same tests as under httpd."""

# ruff: noqa: F401, F403, F811
from harness.pluginhost import test_plugin as plugin_of

from test_300_plugin_api import *

from harness.pluginhost import httpd, tls

SITES = {
    "/rpc": plugin_of("rpc"),
    "/reserved": (*plugin_of("rpc"), "--reserved-codes"),
}

del test_ws_300_02_request_gives_the_request  # noqa: F821


def test_ws_361_01_there_is_no_request_of_httpds(httpd):
    with httpd.open("/rpc") as client:
        assert Rpc(client).ask("request") == "NULL"  # noqa: F405
