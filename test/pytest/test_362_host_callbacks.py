"""The callbacks in their order, under plugin-host. The same tests as under httpd."""

import test_800_callbacks
from harness.pluginhost import plugin_of, take_tests

SITES = {
    "/scripted": plugin_of("scripted"),
    "/small": (*plugin_of("scripted"), "--max-message", "100"),
}

take_tests(test_800_callbacks, globals())
