"""Pieces of configuration that many suites use."""

from .httpd import Httpd

# The code that server->close puts on the wire: as in the C module, none.
PLUGIN_CLOSE_CODE = None

ECHO = ("mod_websocket_echo", "echo_init")
RUST_ECHO = ("mod_websocket_rust_echo", "echo_init")
INCREMENT = ("mod_websocket_dumb_increment", "dumb_increment_init")
RUST_INCREMENT = ("mod_websocket_rust_dumb_increment", "dumb_increment_init")


def example(name_and_init):
    """The WebSocketHandler line for one of the example plugins."""
    name, init = name_and_init
    return f"WebSocketHandler {Httpd.module(name)} {init}"


def plugin(name, init=None):
    """The WebSocketHandler line for one of the test plugins."""
    return f"WebSocketHandler {Httpd.plugin(name)} {init or name + '_init'}"


def location(path, *lines):
    """A <Location> with the websocket handler and `lines`."""
    body = "".join(f"  {line}\n" for line in ("SetHandler websocket-handler", *lines))
    return f"<Location {path}>\n{body}</Location>\n"


def bare(path):
    """A <Location> with the handler, whose plugin never holds: without any, a start warns."""
    return location(path, '<If "false">', example(ECHO), "</If>")
