"""set_timer and on_timer, under plugin-host. The same tests as under httpd."""

import test_810_timers
from harness.pluginhost import plugin_of, take_tests

SITES = {"/scripted": plugin_of("scripted")}

take_tests(test_810_timers, globals())
