"""Plugins as they were compiled for the C module, and the examples, under plugin-host. The same tests as under httpd."""

import test_310_legacy_plugins
from harness import settings
from harness.conf import ECHO, INCREMENT, RUST_ECHO, RUST_INCREMENT
from harness.pluginhost import take_tests


def example(name_and_init):
    name, init = name_and_init
    return str(settings.MODULES / f"{name}.so"), init


SITES = {
    "/c/echo": example(ECHO),
    "/rust/echo": example(RUST_ECHO),
    "/c/increment": example(INCREMENT),
    "/rust/increment": example(RUST_INCREMENT),
}

take_tests(test_310_legacy_plugins, globals(), without=["test_ws_310_01"])  # httpd's request
