"""What `make uninstall` leaves: nothing that stops httpd, and what an administrator has written."""

import os
import subprocess

import pytest

from harness import settings

pytestmark = pytest.mark.usefixtures("checked")


def make(*arguments):
    environment = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"}
    result = subprocess.run(
        ["make", "-C", settings.ROOT, "-o", "modules", *arguments], env=environment, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300, check=False,
    )
    assert result.returncode == 0, result.stdout
    return result.stdout


class Installed:
    """A system in a folder, for which an httpd reads its configuration as Debian's does."""

    def __init__(self, root):
        self.root = root
        self.configuration = root / "etc"
        self.modules = root / "modules"
        self._where = (
            f"httpd_modules={self.modules}", f"httpd_includes={root}/include", f"httpd_sysconf={self.configuration}",
            f"prefix={root}/usr",
        )
        for name in ("mods-available", "mods-enabled", "extra"):
            (self.configuration / name).mkdir(parents=True)

    def make(self, *targets):
        return make(*self._where, *targets)

    def put_in_place(self):
        self.make("install", "install-examples", "install-conf")
        # Both layouts are put there, whichever this system has.
        for name in ("websocket.load", "websocket.conf"):
            source = (settings.ROOT / "apache-conf" / name).read_text()
            (self.configuration / "mods-available" / name).write_text(source)
            (self.configuration / "mods-enabled" / name).symlink_to(f"../mods-available/{name}")
        source = (settings.ROOT / "apache-conf/httpd-websocket.conf").read_text()
        (self.configuration / "extra/httpd-websocket.conf").write_text(source)

    def files(self):
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*") if not path.is_dir())

    def configtest(self):
        """What `httpd -t` says."""
        modules = settings.httpd_modules_directory()
        file = self.root / "httpd.conf"
        file.write_text(
            f'ServerRoot "{self.root}"\nServerName localhost\nPidFile "{self.root}/pid"\nErrorLog "{self.root}/log"\n'
            f'LoadModule mpm_event_module "{modules}/mod_mpm_event.so"\n'
            f'LoadModule authz_core_module "{modules}/mod_authz_core.so"\n'
            "Listen 127.0.0.1:1\n"
            f"IncludeOptional {self.configuration}/mods-enabled/*.load\n"
            f"IncludeOptional {self.configuration}/mods-enabled/*.conf\n"
            f"IncludeOptional {self.configuration}/extra/httpd-websocket.conf\n"
        )
        result = subprocess.run(
            [settings.httpd_binary(), "-t", "-f", str(file)], capture_output=True, text=True, timeout=60, check=False,
        )
        file.unlink()
        return result.stderr


@pytest.fixture(name="checked", scope="module")
def _checked():
    if not (settings.ROOT / "Makefile").exists():
        pytest.skip("the tree is not configured")


@pytest.fixture
def installed(tmp_path):
    system = Installed(tmp_path)
    system.put_in_place()
    return system


def test_ws_692_01_nothing_is_left(installed):
    assert "modules/mod_websocket_echo.so" in installed.files()
    installed.make("uninstall")
    assert installed.files() == []
    assert "Syntax OK" in installed.configtest()


def test_ws_692_02_what_was_changed_stays_and_httpd_starts_without_the_module(installed):
    changed = ["etc/extra/httpd-websocket.conf", "etc/mods-available/websocket.conf"]
    for name in changed:
        file = installed.root / name
        text = file.read_text()
        end = text.index("</IfModule>")
        file.write_text(text[:end] + 'WebSocketMaxMessageSize 64K\nLogLevel websocket:info\n' + text[end:])
    output = installed.make("uninstall")
    assert installed.files() == changed
    assert output.count("has been changed and stays") == 2, output
    assert "Syntax OK" in installed.configtest()


def test_ws_692_03_the_new_one_beside_a_changed_file_goes(installed):
    layout = "mods-available" if "mods-available" in installed.make("-n", "install-conf") else "extra"
    name = "websocket.conf" if layout == "mods-available" else "httpd-websocket.conf"
    (installed.configuration / layout / name).write_text("# mine\n")
    assert f"{name} has been changed and is kept" in installed.make("install-conf")
    assert f"etc/{layout}/{name}.new" in installed.files()
    installed.make("uninstall")
    assert installed.files() == [f"etc/{layout}/{name}"]


def test_ws_692_04_uninstalling_twice_is_no_error(installed):
    installed.make("uninstall")
    installed.make("uninstall")
    assert installed.files() == []
