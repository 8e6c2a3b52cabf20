"""try_send, on_writable and buffered_amount, under plugin-host. The same tests as under httpd."""

import test_820_try_send
from harness import settings
from harness.pluginhost import plugin_of, take_tests

SITES = {
    "/scripted": plugin_of("scripted"),
    "/small": (*plugin_of("scripted"), "--send-buffer", "65536"),
    "/large": (*plugin_of("scripted"), "--send-buffer", str(8 << 20)),
    "/echo": (str(settings.MODULES / "mod_websocket_echo.so"), "echo_init"),
}

take_tests(test_820_try_send, globals())
