"""What plugins must not do, under plugin-host. The same tests as under httpd."""

import test_875_misuse
from harness.pluginhost import plugin_of, take_tests

SITES = {
    "/scripted": plugin_of("scripted"),
    "/without-timer": plugin_of("scripted", "scripted_without_timer_init"),
    "/reserved": (*plugin_of("scripted"), "--reserved-codes"),
    "/rpc": plugin_of("rpc"),
}

take_tests(test_875_misuse, globals(), without=["test_ws_875_24"])  # TLS
