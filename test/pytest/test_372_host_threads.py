"""Ten threads of a plugin that send on one connection, under plugin-host. The same tests as under httpd."""

import test_320_threads
from harness import settings
from harness.conf import ECHO
from harness.pluginhost import plugin_of, take_tests

SITES = {
    "/threads": plugin_of("threads"),
    "/echo": (str(settings.MODULES / f"{ECHO[0]}.so"), ECHO[1]),
}

take_tests(test_320_threads, globals())
