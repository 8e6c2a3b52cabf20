"""The callbacks in their order, under plugin-host. The same tests as under httpd."""

# ruff: noqa: F401, F403, F811
from harness.pluginhost import test_plugin as plugin_of

from test_800_callbacks import *

from harness.pluginhost import httpd, tls

SITES = {
    "/scripted": plugin_of("scripted"),
    "/small": (*plugin_of("scripted"), "--max-message", "100"),
}
