"""Tables of every age and size, under plugin-host. The same tests as under httpd."""

import test_878_plugin_tables
from harness.pluginhost import plugin_of, take_tests

SITES = {
    "/legacy": plugin_of("legacy_full"),
    "/scripted": plugin_of("scripted"),
    "/cut": plugin_of("cut_server"),
    **{f"/{init}": plugin_of("tables", init) for init in test_878_plugin_tables.TABLES},
}

take_tests(test_878_plugin_tables, globals(), without=[
    "test_ws_878_12",  # configtest
    # The old binary wants httpd's request, which there is none of.
    "test_ws_878_07", "test_ws_878_08", "test_ws_878_10",
])

# In its own words, before it serves anybody.
EXPECTED_AT_START = ["^plugin-host: WS0111: version_0_long_init of .*configure and what follows"]
