"""plugin-host in the place of httpd: suites about plugins run against it, too.

A suite that takes another one's tests with `take_tests` and has `SITES` runs those tests without httpd: SITES gives for
each path the plugin, its init function and more arguments of plugin-host.
"""

import os
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from . import settings
from .errorlog import ErrorLog, parse
from .lines import whole_lines
from .rawclient import RawClient
from .recorder import Recorder
from .waiting import PATIENCE, eventually

_OWN_LINE = re.compile(r"^\[(\w+)\] ")


class HostLog(ErrorLog):
    """plugin-host's standard error, its lines as httpd would have written them."""

    def entries(self):
        lines = (_OWN_LINE.sub(r"[-] [websocket:\1] ", entry.text) for entry in super().entries())
        return [parse(line) for line in lines]


class PluginHost:
    """One plugin-host, for one plugin."""

    def __init__(self, directory, plugin, init, *arguments, quiet=True, environment=None):
        self.log_path = Path(directory) / "log"
        # Several may share it: what comes before is another one's.
        self._log_begin = self.log_path.stat().st_size if self.log_path.exists() else 0
        self.file = Path(plugin)
        command = [settings.PLUGIN_HOST, plugin, init, "--port", "0", *arguments]
        if quiet:
            command.append("--quiet")
        # Not the lines of a backtrace.
        inherited = {name: value for name, value in os.environ.items() if name != "RUST_BACKTRACE"}
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                command, stderr=log, stdout=log, env={**inherited, **(environment or {})}
            )

        def listens():
            assert self.process.poll() is None, self.text()
            return re.search(r"ws://127\.0\.0\.1:(\d+)/", self.text())

        try:
            self.port = int(eventually(listens, "plugin-host listens")[1])
        except BaseException:
            self.stop()
            raise

    def text(self):
        """What it has written, and those that began after it and share its log."""
        with self.log_path.open("rb") as log:
            log.seek(self._log_begin)
            return log.read().decode("utf-8", "replace")

    def client(self, **options):
        return RawClient("127.0.0.1", self.port, **options)

    def open(self, path="/", headers=(), **changes):
        client = self.client()
        try:
            return client.open(path, headers, **changes)
        except BaseException:
            client.vanish()
            raise

    def stop(self, number=signal.SIGTERM):
        """Ends it, and gives its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


class Anywhere(RawClient):
    """A client that goes to whichever host has the path that it asks for."""

    def __init__(self, site, **options):
        self._site = site
        self._options = options
        super().__init__("127.0.0.1", site.port, **options)

    def upgrade(self, path, *arguments, **changes):
        port = self._site.hosts[path.partition("?")[0]].port
        if port != self._site.port:
            self.socket.close()
            super().__init__("127.0.0.1", port, **self._options)
        return super().upgrade(path, *arguments, **changes)


class Site:
    """Several of them, by path: what a suite knows as its httpd."""

    request_result = "NULL"

    def __init__(self, sites):
        self.directory = Path(tempfile.mkdtemp(prefix="plugin-host-"))
        self.recorder_file = self.directory / "recorder"
        self.recorder_file.touch()
        self.error_log = HostLog(self.directory / "log")
        threads_file = self.directory / "threads.log"
        threads_file.touch()
        environment = {
            "WEBSOCKET_RECORDER_FILE": str(self.recorder_file),
            "WEBSOCKET_THREADS_FILE": str(threads_file),
        }
        self.hosts = {}
        # Those that a suite compiles itself.
        sites = sites(self.directory) if callable(sites) else sites
        try:
            for path, (plugin, init, *arguments) in sites.items():
                self.hosts[path] = PluginHost(
                    self.directory, plugin, init, *arguments, environment=environment
                )
        except BaseException:
            self.stop()
            raise
        self.main = next(iter(self.hosts.values()))
        self.port = self.main.port

    def client(self, *, tls=None, **options):
        assert tls is None
        return Anywhere(self, **options)

    def open(self, path, headers=(), *, tls=None, receive_buffer=None, **changes):
        assert tls is None
        host = self.hosts[path.partition("?")[0]]
        client = host.client(receive_buffer=receive_buffer)
        try:
            return client.open(path, headers, **changes)
        except BaseException:
            client.vanish()
            raise

    def uri(self, path, *, tls=False):
        assert not tls
        return f"ws://127.0.0.1:{self.hosts[path].port}{path}"

    def children(self):
        """The processes that serve."""
        return [host.process.pid for host in self.hosts.values() if host.process.poll() is None]

    def recorder(self):
        return Recorder(self)

    def recorded(self):
        return [line for line in whole_lines(self.recorder_file) if line]

    def stop(self):
        for host in self.hosts.values():
            assert host.stop() == 0, host.text()
        self.hosts = {}

    def remove(self):
        shutil.rmtree(self.directory, ignore_errors=True)


def take_tests(suite, names, without=()):
    """Takes a suite's tests and fixtures into `names`, but for those that start an httpd of their own."""
    for name, what in vars(suite).items():
        arguments = getattr(getattr(what, "__code__", None), "co_varnames", ())
        if name.startswith("__") or name[:14] in without or {"make_httpd", "mpm"} & set(arguments):
            continue
        names[name] = what
    names.update(httpd=httpd, tls=tls)


def plugin_of(name, init=None):
    """The file of a test plugin, and its init function."""
    return str(settings.TEST_PLUGINS / f"{name}.so"), init or f"{name}_init"


@pytest.fixture(scope="module")
def httpd(request):
    """What the suite takes for its httpd."""
    site = Site(request.module.SITES)
    try:
        for pattern in getattr(request.module, "EXPECTED_AT_START", ()):
            site.error_log.expect(pattern)
        site.error_log.verify()
        yield site
        site.stop()
        site.error_log.verify()
    finally:
        site.stop()
        site.remove()


@pytest.fixture
def tls():
    """There is none."""
    return None
