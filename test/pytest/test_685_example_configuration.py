"""plugins-examples/examples.conf, in which every example is; and the options of examples that are wrong."""

import re

import pytest

from harness import settings
from harness.conf import example, location
from harness.httpd import Httpd

EXAMPLES = settings.ROOT / "plugins-examples"
HANDLER = r"WebSocketHandler modules/(\w+)\.so (\w+)"
STATUS = ("mod_websocket_rust_status", "status_init")
TICKET = ("mod_websocket_rust_ticket", "ticket_init")


@pytest.fixture
def tester():
    """A server that never runs."""
    server = Httpd(settings.mpms()[0], modules=("alias", "env", "authz_host"))
    (server.directory / "modules").symlink_to(settings.MODULES)
    yield server
    server.remove()


def test_ws_685_01_httpd_takes_it(tester):
    result, _base = tester.configtest((EXAMPLES / "examples.conf").read_text())
    assert result.returncode == 0, result.stderr


def test_ws_685_02_every_example_is_in_it_and_tells_its_own_line():
    configured = set(re.findall(HANDLER, (EXAMPLES / "examples.conf").read_text()))
    documented = set()
    for source in EXAMPLES.glob("rust/*/src/lib.rs"):
        text = source.read_text()
        (line,) = re.findall(rf"^//!   {HANDLER}$", text, re.MULTILINE)
        assert f"export_plugin!({line[1]}, " in text
        assert f'name = "{line[0]}"' in (source.parents[1] / "Cargo.toml").read_text()
        documented.add(line)
    assert configured == documented


@pytest.mark.parametrize(("options", "complaint"), [
    ([], "option tickets: needs the absolute path of a directory"),
    (["tickets run/tickets"], "option tickets: needs the absolute path of a directory"),
    (["tickets /x", "max-age 61s"], "option max-age: is more than a minute"),
    (["tickets /x", "max-age soon"], 'option max-age: "soon" is not a time'),
    (["tickets /x", "maxage 5s"], 'unknown option "maxage": there are tickets, max-age'),
])
def test_ws_685_03_a_bad_option_of_ticket_is_a_configuration_error(tester, options, complaint):
    lines = [f"WebSocketPluginOption {option}" for option in options]
    result, _base = tester.configtest(location("/x", example(TICKET), *lines))
    assert result.returncode != 0
    assert complaint in result.stderr


@pytest.mark.parametrize(("option", "complaint"), [
    ("update-ms 99", 'option update-ms: "99" is not a number from 100 to 60000'),
    ("update-ms 1s", 'option update-ms: "1s" is not a number from 100 to 60000'),
    ("update-ms 60001", 'option update-ms: "60001" is not a number from 100 to 60000'),
    ("update 1000", 'unknown option "update": there are update-ms'),
])
def test_ws_685_04_a_bad_option_of_status_is_a_configuration_error(tester, option, complaint):
    text = location("/x", example(STATUS), f"WebSocketPluginOption {option}")
    result, _base = tester.configtest(text)
    assert result.returncode != 0
    assert complaint in result.stderr
