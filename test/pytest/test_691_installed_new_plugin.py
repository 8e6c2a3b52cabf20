"""websocket-new-plugin, as `make install` puts it: what it makes needs nothing of the source tree."""

import os
import re
import subprocess

import pytest

from harness import settings
from harness.compiler import cargo_folder

def make(*arguments):
    environment = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"}
    with cargo_folder() as compiled:
        result = subprocess.run(
            ["make", *arguments], env={**environment, "CARGO_TARGET_DIR": compiled}, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300, check=False,
        )
    assert result.returncode == 0, result.stdout
    return result.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder that stands for / of another machine; in the end `make uninstall` leaves no file in it."""
    root = tmp_path_factory.mktemp("installed")
    # What is installed is what the tests have: it is not built here.
    where = ("-C", settings.ROOT, f"DESTDIR={root}")
    make(*where, "-o", "modules", "install")
    yield root
    make(*where, "uninstall")
    assert [path for path in root.rglob("*") if not path.is_dir()] == []


@pytest.fixture(scope="module", params=["c", "c++", "rust"])
def plugin(request, installed, tmp_path_factory):
    """A new plugin of this kind, in a folder far from the tree."""
    folder = tmp_path_factory.mktemp("mine")
    (program,) = installed.rglob("websocket-new-plugin")
    made = subprocess.run(
        [program, "fresh", "--lang", request.param], cwd=folder, text=True, capture_output=True, timeout=60, check=False,
    )
    assert made.returncode == 0, made.stderr
    return folder / "fresh"


# Another suite may build first.
@pytest.mark.timeout(630)
def test_ws_691_01_a_new_plugin_builds_and_its_test_passes(plugin):
    flags = "-O2 -Wall -Wextra -Werror"
    output = make(
        "-C", plugin, "check", f"CFLAGS={flags}", f"CXXFLAGS={flags}", "CARGOFLAGS=--offline",
        f"CARGO={os.environ.get('CARGO') or 'cargo'}",
    )
    # The last word is the installed plugin-host's.
    assert "is played as it says" in output
    assert (plugin / "mod_websocket_fresh.so").exists()


def test_ws_691_02_it_names_nothing_of_the_tree(plugin):
    for file in plugin.rglob("*"):
        if file.is_file() and file.suffix != ".so":
            text = file.read_text()
            assert str(settings.ROOT) not in text, file
            assert not re.search("@[A-Z_]+@", text), file
    assert not (plugin / "demo.conf").exists()
