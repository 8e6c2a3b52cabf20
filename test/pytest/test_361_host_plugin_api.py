"""The server functions, under plugin-host. The same tests as under httpd."""

import test_300_plugin_api
from harness.pluginhost import plugin_of, take_tests

SITES = {
    "/rpc": plugin_of("rpc"),
    "/reserved": (*plugin_of("rpc"), "--reserved-codes"),
}

take_tests(test_300_plugin_api, globals(), without=["test_ws_300_02"])


def test_ws_361_01_there_is_no_request_of_httpds(httpd):
    with httpd.open("/rpc") as client:
        assert test_300_plugin_api.Rpc(client).ask("request") == "NULL"
