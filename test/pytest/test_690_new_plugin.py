"""`make new-plugin`: what scripts/new-plugin makes builds without a warning, and answers at once."""

import os
import subprocess

import pytest

from harness import settings
from harness.compiler import cargo_folder
from harness.conf import location
from harness.rawclient import BINARY, TEXT

NEW_PLUGIN = settings.ROOT / "scripts" / "new-plugin"
GREETING = "Hello from fresh!"


def new_plugin(name, kind, *folder, program=NEW_PLUGIN):
    return subprocess.run(
        [program, name, "--lang", kind, *folder], text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, timeout=60, check=False,
    )


def build(folder, *targets):
    """Builds as `make new-plugin` does, without the network."""
    with cargo_folder() as compiled:
        return subprocess.run(
            ["make", "-C", folder, *targets, f"PLUGIN_HOST={settings.PLUGIN_HOST}", "CFLAGS=-O2 -Wall -Wextra -Werror",
             "CXXFLAGS=-O2 -Wall -Wextra -Werror", "CARGOFLAGS=--offline",
             f"CARGO={os.environ.get('CARGO') or 'cargo'}"],
            env={
                **{name: value for name, value in os.environ.items() if name != "MAKEFLAGS"},
                "CARGO_TARGET_DIR": compiled,
                "RUSTFLAGS": "-D warnings",
            },
            text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=300, check=False,
        )


@pytest.fixture(scope="module", params=["c", "c++", "rust"])
def plugins(request, tmp_path_factory):
    """A folder with one new plugin of this kind, built."""
    folder = tmp_path_factory.mktemp("plugins")
    made = new_plugin("fresh", request.param, folder)
    assert made.returncode == 0, made.stdout
    built = build(folder / "fresh")
    assert built.returncode == 0, built.stdout
    return folder


@pytest.fixture
def handler(plugins):
    return f'WebSocketHandler "{plugins}/fresh/mod_websocket_fresh.so" fresh_init'


@pytest.fixture
def server(plugins, handler, make_httpd):
    """A server that has the plugins of the folder as the demo has them."""
    return make_httpd(settings.mpms()[0], in_the_demo(plugins) + location("/bare", handler))


def in_the_demo(plugins):
    return f'Define PLUGINS "{plugins}"\nIncludeOptional "{plugins}/*/demo.conf"\n'


# Another suite may build first.
@pytest.mark.timeout(630)
def test_ws_690_01_a_new_plugin_builds_and_answers_at_once(server):
    server.start()
    for path, greeting in (("/plugins/fresh", GREETING), ("/bare", "Hello!")):
        with server.open(path) as client:
            assert client.receive_message().text == greeting
            client.echo(b"\x00\xff", BINARY)
            for number in (1, 2):
                client.send_frame(TEXT, "text é")
                assert client.receive_message().text == f"{number}: text é"
            client.send_frame(TEXT, "")
            assert client.receive_message().text == "3: "
            client.close_properly()
    server.error_log.wait_for(r"\[websocket:info\].* 3 texts", count=2)


@pytest.mark.timeout(630)
def test_ws_690_02_it_checks_its_options(server, handler):
    result, _base = server.configtest(location("/x", handler, "WebSocketPluginOption greting Hi"))
    assert result.returncode != 0
    assert "unknown option" in result.stderr


def test_ws_690_03_without_its_file_the_server_starts(tmp_path, make_httpd):
    assert new_plugin("fresh", "c", tmp_path).returncode == 0
    server = make_httpd(settings.mpms()[0], in_the_demo(tmp_path))
    server.start()
    assert server.ask("/plugins/fresh").status == 404


@pytest.mark.parametrize("name", [
    "", "X", "1x", "_x", "x-y", "x.y", "x/y", "../x", "x y", "é", "x\ny", "x" * 33, "$(id)",
])
def test_ws_690_04_a_name_that_would_not_do_is_refused(tmp_path, name):
    made = new_plugin(name, "c", tmp_path)
    assert made.returncode != 0
    assert "NAME is " in made.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["", "C", "python", "../c"])
def test_ws_690_05_another_kind_is_refused(tmp_path, kind):
    made = new_plugin("fresh", kind, tmp_path)
    assert made.returncode != 0
    assert "LANG is c, c++ or rust" in made.stdout
    assert not list(tmp_path.iterdir())


def test_ws_690_06_what_is_there_is_left_as_it_is(tmp_path):
    (tmp_path / "fresh").mkdir()
    made = new_plugin("fresh", "rust", tmp_path)
    assert made.returncode != 0
    assert "is there already" in made.stdout
    assert not list((tmp_path / "fresh").iterdir())


@pytest.mark.parametrize("kind", ["c", "c++", "rust"])
@pytest.mark.parametrize("name", ["x", "a_1", "std", "int", "self", "log", "x" * 32])
def test_ws_690_07_nothing_of_the_template_s_names_is_left(tmp_path, kind, name):
    assert new_plugin(name, kind, tmp_path).returncode == 0
    for file in (tmp_path / name).rglob("*"):
        assert "my_plugin" not in file.name
        if file.is_file():
            text = file.read_text()
            assert "my_plugin" not in text and "@TOP@" not in text, file


@pytest.mark.timeout(630)
def test_ws_690_08_a_new_plugin_has_a_test_that_passes(plugins):
    checked = build(plugins / "fresh", "check")
    assert checked.returncode == 0, checked.stdout
    assert "is played as it says" in checked.stdout
