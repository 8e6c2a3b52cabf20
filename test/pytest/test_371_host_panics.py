"""A Rust plugin that panics, under plugin-host. The same tests as under httpd."""

import test_330_panics
from harness import settings
from harness.conf import ECHO
from harness.pluginhost import plugin_of, take_tests

INITS = ("connect", "message", "disconnect", "open", "timer", "close")

SITES = {f"/{name}": plugin_of("panic", f"panic_{name}_init") for name in INITS}
SITES["/echo"] = (str(settings.MODULES / f"{ECHO[0]}.so"), ECHO[1])

take_tests(test_330_panics, globals(), without=["test_ws_330_11"])  # a tag of httpd's log
