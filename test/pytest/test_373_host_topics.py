"""Topics of plugins, under plugin-host: within the one process. The same tests as under httpd."""

import test_799_plugin_topics
from harness.pluginhost import plugin_of, take_tests

SITES = {
    "/scripted": plugin_of("scripted"),
    "/without": plugin_of("scripted", "scripted_without_timer_init"),
}

take_tests(test_799_plugin_topics, globals(), without=[
    # Several children, and other locations.
    *(f"test_ws_799_{number:02}" for number in (1, 2, 3, 5, 7, 10, 11, 15, 16, 17, 18, 19)),
])
