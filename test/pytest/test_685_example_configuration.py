"""plugins-examples/examples.conf: httpd takes it, and every example is in it."""

import re

import pytest

from harness import settings
from harness.httpd import Httpd

EXAMPLES = settings.ROOT / "plugins-examples"
HANDLER = r"WebSocketHandler modules/(\w+)\.so (\w+)"


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
