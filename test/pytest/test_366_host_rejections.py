"""reject, under plugin-host. The same tests as under httpd."""

import test_860_rejections
from harness.pluginhost import plugin_of, take_tests

SITES = {"/scripted": plugin_of("scripted")}

take_tests(test_860_rejections, globals(), without=["test_ws_860_10"])  # httpd's page
