"""Each configuration and each command that the documents show is tried: by a server that starts with it, by running it.

A block that is neither has to be of a kind that `harness/document.py` knows, and a command of one that `HOW` has: nothing
can be written into a document that nobody has thought about.
"""

import os
import re
import shutil
import subprocess

import pytest

from harness import document, settings
from harness.conf import ECHO, example, location, plugin
from harness.httpd import Httpd
from harness.waiting import eventually

MPMS = ("event",)
MODULES = tuple(
    "alias auth_basic authn_core authn_file authz_host authz_user env headers http2 log_debug logio proxy proxy_http "
    "proxy_wstunnel remoteip rewrite setenvif socache_shmcb status unique_id".split()
)
README_C = next(snippet for snippet in document.snippets("c") if snippet.file == "README.md")
# Functions that documents name: the plugin of README.md under each name.
INITS = "shout_init chat_init".split()


@pytest.fixture(scope="module")
def plugins(tmp_path_factory):
    """A folder with README.md's plugin in C."""
    folder = tmp_path_factory.mktemp("plugins")
    folder.chmod(0o755)
    (folder / "shout.c").write_text(README_C.text)
    more = "".join(f"extern EXPORT WebSocketPlugin *CALLBACK {init}(void) {{ return shout_init(); }}\n" for init in INITS[1:])
    (folder / "all.c").write_text(README_C.text + more)
    include = settings.ROOT / "include"
    subprocess.run(["cc", "-shared", "-fPIC", "-I", include, "-o", folder / "all.so", folder / "all.c"], check=True)
    return folder


def furnish(server, plugins):
    """Below the server's root, what documents name."""
    root = server.directory
    modules = root / "modules"
    modules.mkdir()
    for path in settings.MODULES.glob("*.so"):
        (modules / path.name).symlink_to(path)
    for name in ("my_chat", "chat", "shout", "libshout"):
        shutil.copy(plugins / "all.so", modules / f"{name}.so")
    (root / "conf/extra").mkdir(parents=True)
    shutil.copy(settings.ROOT / "apache-conf/httpd-websocket.conf", root / "conf/extra")
    (root / "conf/members.htpasswd").touch()
    (root / "logs").mkdir()
    rotate = root / "rotatelogs"
    # The error log is where the suite looks for it.
    rotate.write_text(f"#!/bin/sh\ncase $1 in */error.*) exec cat >>'{root}/error.log' ;; *) exec cat >/dev/null ;; esac\n")
    rotate.chmod(0o755)


def fitted(text, server):
    """As somebody fits it to the own system: paths, and the port."""
    root = str(server.directory)
    return (
        text.replace("/path/to/", f"{root}/modules/")
        .replace("/var/log/apache2/", f"{root}/logs/")
        .replace("/usr/bin/rotatelogs", f"{root}/rotatelogs")
        .replace("/run/apache2/apache2.pid", f"{root}/httpd.pid")
        .replace("http://127.0.0.1/", f"http://127.0.0.1:{server.port}/")
    )


def test_ws_020_01_each_block_is_of_a_known_kind():
    unknown = [snippet for snippet in document.snippets() if snippet.kind == "unknown"]
    assert not unknown, "\n".join(f"{snippet.place}: {snippet.text[:80]}" for snippet in unknown)
    assert len(document.snippets("configuration")) > 30 and len(document.snippets("shell")) > 20


CONFIGURATIONS = document.snippets("configuration")
# What a child is told in its beginning, where logs go, what is for all plugins: each such excerpt gets a server of its own.
OF_THE_SERVER = re.compile(
    r"^(?:\w*Servers|\w*ThreadsPerChild|Max\w+Workers|ServerLimit|ErrorLog|WebSocketPluginOption)\b", re.MULTILINE
)


@pytest.fixture
def server_for(make_httpd, plugins, mpm):
    """A server that has what the documents name, and these excerpts."""
    modules = [name for name in MODULES if settings.has_module(name)]

    def make(*snippets):
        def configuration(server):
            text = "\n".join(fitted(snippet.text, server) for snippet in snippets)
            # What a whole configuration has, and an excerpt does without.
            return f'LogFormat "%h" combined\nRewriteEngine On\n{text}\n'

        server = make_httpd(mpm, "", modules=modules, workers=64)
        furnish(server, plugins)
        server.configure(configuration)
        return server, configuration(server)

    return make


@pytest.mark.parametrize("snippet", CONFIGURATIONS, ids=lambda snippet: snippet.place)
def test_ws_020_02_httpd_takes_each_configuration(snippet, server_for):
    server, text = server_for(snippet)
    result, _ = server.configtest(text)
    assert result.returncode == 0 and "Syntax OK" in result.stderr, result.stderr


@pytest.mark.parametrize(
    "snippet", [each for each in CONFIGURATIONS if OF_THE_SERVER.search(each.text)], ids=lambda snippet: snippet.place
)
def test_ws_020_07_a_server_with_it_starts_without_a_warning(snippet, server_for):
    server, _ = server_for(snippet)
    server.start()
    assert server.ask("/index.html").status == 200


def test_ws_020_08_a_server_with_all_the_others_starts_without_a_warning(server_for):
    others = [each for each in CONFIGURATIONS if not OF_THE_SERVER.search(each.text)]
    server, _ = server_for(*others)
    # The test's own configuration has loaded it.
    server.error_log.expect(r"AH01574: module websocket_module is already loaded")
    server.start()
    assert server.ask("/index.html").status in (200, 403)


# Commands. Each is run in a shell, after what HOW makes of it, or there is a reason why it is not.


def test_ws_020_03_somebody_has_thought_of_each_command():
    unknown = [f"{place}: {command}" for place, command in all_commands() if how(command) is None]
    assert not unknown, "\n".join(unknown)


def all_commands():
    for snippet in document.snippets("shell"):
        for command in document.commands(snippet):
            yield snippet.place, command
    yield from document.inline_commands()


def how(command):
    plain = re.sub(r"\bsudo ", "", command)
    return next((way for pattern, way in HOW if re.fullmatch(pattern, plain)), None)


def targets_of_make():
    text = (settings.ROOT / "Makefile.am").read_text()
    rules = re.findall(r"^([a-z][a-z -]*):", text, re.MULTILINE)
    hooks = {name.removesuffix("-local") for rule in rules for name in rule.split()}
    return {*hooks, "install", "check", "dist"}


def is_a_target(command, _world):
    words = command.split()[1:]
    assert {word for word in words if "=" not in word} <= targets_of_make(), command


def is_an_option(command, _world):
    """A program of this tree: its help knows each option."""
    program, *words = command.split()
    path = settings.PLUGIN_HOST if program == "plugin-host" else settings.ROOT / program
    told = subprocess.run([path, "--help"], check=True, capture_output=True, text=True, timeout=60).stdout
    unknown = [word for word in words if word.startswith("--") and word not in told]
    assert not unknown, f"{program} knows no {unknown}"


def is_a_word_of_quickstart(command, _world):
    assert re.search(rf"^    {command.split()[1]}\)", (settings.ROOT / "quickstart").read_text(), re.MULTILINE), command


def is_a_package(command, _world):
    (name,) = re.findall(r"-p (\S+)", command)[:1] or [None]
    listing = "".join(path.read_text() for path in settings.ROOT.glob("crates/*/Cargo.toml"))
    listing += "".join(path.read_text() for path in settings.ROOT.glob("plugins-examples/rust/*/Cargo.toml"))
    assert name is None or f'name = "{name}"' in listing, command


def runs(command, world):
    world.run(command)


class World:
    """A server with what the documents set up, and a folder to work in."""

    def __init__(self, server, folder):
        self.server = server
        self.folder = folder

    def run(self, command):
        server = self.server
        httpd = f"{settings.httpd_binary()} -d {server.directory} -f {server.configuration_file}"
        (child,) = server.children()[:1]
        command = fitted(re.sub(r"\bsudo ", "", command), server)
        command = re.sub(r"\b(apachectl|httpd) (?=-)", f"{httpd} ", command)
        command = command.replace("$(apxs -q INCLUDEDIR)", str(settings.ROOT / "include"))
        command = command.replace("-I include", f"-I {settings.ROOT}/include")
        command = command.replace("$(apxs -q LIBEXECDIR)", str(self.folder / "installed"))
        command = re.sub(r"\bplugin-host ", f"{settings.PLUGIN_HOST} ", command)
        command = re.sub(r"\bPID\b", str(child), command)
        command = re.sub(r"\bcurl ", "curl --fail --max-time 20 ", command)
        result = subprocess.run(
            ["sh", "-e", "-c", command], cwd=self.folder, text=True, stdin=subprocess.DEVNULL, timeout=100, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, **self.environment()},
        )
        assert result.returncode == 0, f"{command}\n{result.stdout}"
        return result.stdout

    @staticmethod
    def environment():
        return {"CARGO_TARGET_DIR": str(settings.ROOT / "target/new-plugin")}


@pytest.fixture(scope="module")
def world(certificates, mpm, plugins, tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("world")

    def configuration(server):
        return (
            "<Location /topics>\n  SetHandler websocket-topics\n</Location>\n"
            + "<Location /publish>\n  SetHandler websocket-publish\n</Location>\n"
            + "<Location /websocket-status>\n  SetHandler websocket-status\n  Require local\n</Location>\n"
            + location("/echo", example(ECHO)) + location("/recorder", plugin("recorder"))
        )

    server = Httpd(mpm, modules=("authz_host",))
    server.certificates = certificates
    server.configure(configuration)
    server.start()
    (tmp_path / "installed").mkdir()
    shutil.copy(plugins / "shout.c", tmp_path)
    shutil.copy(plugins / "all.so", tmp_path / "shout.so")
    for name in ("mod_websocket_room.cpp", "exports.map"):
        shutil.copy(settings.ROOT / "plugins-examples/cpp" / name, tmp_path)
    shutil.copy(tmp_path / "mod_websocket_room.cpp", tmp_path / "room.cpp")
    (tmp_path / "target/release").mkdir(parents=True)
    shutil.copy(plugins / "all.so", tmp_path / "target/release/libshout.so")
    conversation = next(s.text for s in document.snippets() if s.text.startswith("# shout.conversation"))
    # Its last lines are of a plugin that refuses.
    (tmp_path / "shout.conversation").write_text(conversation.partition("ada:")[0])
    try:
        yield World(server, tmp_path)
        server.stop()
        server.error_log.verify()
    finally:
        server.stop()
        server.remove()


def closes_one(command, world):
    """The number in it stands for one of the list."""
    with world.server.open("/echo") as client:
        listing = world.server.ask("/websocket-status?format=json").body
        number = re.search(rb'"id": ?(\d+)', listing)[1].decode()
        world.run(command.replace("4711", number))
        client.expect_close(1008)


def reloads(command, world):
    """httpd's own words for it, and a new generation comes."""
    before = set(world.server.children())
    world.run(command)
    eventually(lambda: set(world.server.children()) - before, "new children")


def finds_the_limit(command, world):
    assert "Max open files" in world.run(command)


def is_there(command, world):
    """Runs for as long as one wants: only its program and its options."""
    is_an_option(re.sub(r".*(?=plugin-host)", "", command), world)


SYSTEM = "changes the system that it is typed on: it has been read, not run"
OTHERS = {
    "another suite builds it": r"cargo build --release|cargo new --lib shout",
    "make check is what runs this": r"(?:TEST_MPM=\w+ )?target/venv/bin/python -m pytest .*|target/venv/bin/pip .*|"
    r"python3 -m venv .*|TEST_BROWSER=none make check|cargo (?:fmt --check|clippy|test)",
    SYSTEM: r"a2enmod .*|a2dismod .*|a2enconf .*|apt-get .*|systemctl .*|kill -USR1|ulimit .*|make (?:install|uninstall).*",
    "it does not end by itself": r"top .*|gdb -p PID|perf top .*|httpd -X|gdb --args .*",
    "it takes a tree that is not configured": r"\./autogen\.sh|\./configure.*",
    "an option, behind a command that is named before": r"apachectl (?:graceful|graceful-stop)",
}
HOW = [
    (r"curl .*id=4711.*", closes_one),
    (r"curl .*", runs),
    (r"grep 'open files' .*", finds_the_limit),
    (r"(?:install .* && )?(?:apachectl|httpd) -t && apachectl -k graceful", reloads),
    (r"(?:apachectl|httpd) (?:-t|-V|-S|-M|-t -D DUMP_MODULES)", runs),
    (r"ss .*", runs),
    (r"ps .*", runs),
    (r"sysctl .*", runs),
    (r"export [A-Z_]+=.*", runs),
    (r"echo .*", runs),
    (r"install .*", runs),
    (r"(?:cc|c\+\+) .*", runs),
    (r"valgrind .*|LD_PRELOAD=.*", is_there),
    (r"plugin-host .*", is_an_option),
    (r"bench/run.*", is_an_option),
    (r"\./quickstart .*", is_a_word_of_quickstart),
    (r"cargo (?:test|doc) -p .*", is_a_package),
    *((pattern, reason) for reason, pattern in OTHERS.items()),
    (r"make(?: .*)?", is_a_target),
]


def _ids():
    """Each command once, where it stands first."""
    first = {}
    for place, command in all_commands():
        if callable(how(command)):
            first.setdefault(command, place)
    return [pytest.param(command, id=place) for command, place in first.items()]


@pytest.mark.parametrize("command", [each for each in _ids() if how(each.values[0]) not in (is_a_target, is_an_option)])
def test_ws_020_04_each_command_does_what_it_should(command, world):
    how(command)(command, world)


@pytest.mark.parametrize("command", [each for each in _ids() if how(each.values[0]) in (is_a_target, is_an_option)])
def test_ws_020_05_each_target_and_each_option_is_there(command):
    how(command)(command, None)


@pytest.mark.parametrize("target", ["install", "install-examples", "install-conf", "uninstall"])
def test_ws_020_06_what_is_installed_has_its_targets(target):
    """692 runs them."""
    is_a_target(f"make {target}", None)
