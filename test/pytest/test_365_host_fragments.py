"""send_fragment, under plugin-host. The same tests as under httpd."""

import test_830_fragments
from harness import settings
from harness.pluginhost import plugin_of, take_tests

SITES = {
    "/scripted": plugin_of("scripted"),
    "/echo": (str(settings.MODULES / "mod_websocket_echo.so"), "echo_init"),
}

take_tests(
    test_830_fragments,
    globals(),
    # Compression; a small WebSocketSendBuffer.
    without=["test_ws_830_17", "test_ws_830_24", "test_ws_830_25", "test_ws_830_26", "test_ws_830_27"],
)
