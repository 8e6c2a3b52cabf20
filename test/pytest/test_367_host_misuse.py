"""What plugins must not do, under plugin-host. The same tests as under httpd."""

# ruff: noqa: F401, F403, F811
from harness.pluginhost import test_plugin as plugin_of

from test_875_misuse import *

from harness.pluginhost import httpd, tls

SITES = {
    "/scripted": plugin_of("scripted"),
    "/without-timer": plugin_of("scripted", "scripted_without_timer_init"),
    "/reserved": (*plugin_of("scripted"), "--reserved-codes"),
    "/rpc": plugin_of("rpc"),
}
