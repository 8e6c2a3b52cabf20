"""set_timer and on_timer, under plugin-host. The same tests as under httpd."""

# ruff: noqa: F401, F403, F811
from harness.pluginhost import test_plugin as plugin_of

from test_810_timers import *

from harness.pluginhost import httpd, tls

SITES = {"/scripted": plugin_of("scripted")}
