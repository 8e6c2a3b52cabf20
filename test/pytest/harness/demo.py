"""The demo's server, as `make demo` starts it, and fixtures for its pages in a browser.

A suite that wants them says `pytest_plugins = "harness.demo"`.
"""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from . import settings
from .browser import LEFT_OUT, Browser
from .errorlog import ErrorLog

_SCRIPT = settings.ROOT / "scripts" / "private-httpd"
_TEMPLATE = "demo/httpd.conf.in"


class Demo:
    """The demo on ports of its own. What the tests add is a virtual host with TLS."""

    def __init__(self, certificates):
        self.directory = Path(tempfile.mkdtemp(prefix="mod_websocket-demo-")).resolve()
        self.error_log = None
        self._certificates = certificates
        self._choose_ports()

    @property
    def plain(self):
        return f"http://127.0.0.1:{self._port}/"

    @property
    def tls(self):
        return f"https://127.0.0.1:{self._tls_port}/"

    def start(self):
        # The script empties the file.
        self.error_log = ErrorLog(self.directory / "error.log")
        result = self._call("start", _TEMPLATE, str(self._port))
        for _ in range(2):
            if result.returncode and re.search("in use|could not bind", result.stdout):
                self._choose_ports()
                result = self._call("start", _TEMPLATE, str(self._port))
        assert result.returncode == 0, result.stdout
        return self

    def stop(self):
        result = self._call("stop")
        assert result.returncode == 0, result.stdout

    def remove(self):
        if not settings.KEEP_DIRECTORIES:
            shutil.rmtree(self.directory, ignore_errors=True)

    def _choose_ports(self):
        with contextlib.ExitStack() as held:
            sockets = [held.enter_context(socket.socket()) for _ in range(2)]
            for each in sockets:
                each.bind(("127.0.0.1", 0))
            self._port, self._tls_port = (each.getsockname()[1] for each in sockets)
        (self.directory / "tls.conf").write_text(self._tls_configuration())

    def _tls_configuration(self):
        modules = settings.httpd_modules_directory()
        load = "".join(
            f'LoadModule {name}_module "{modules}/mod_{name}.so"\n'
            for name in ("ssl", "socache_shmcb")
            if f"mod_{name}.c" not in settings.built_in_modules()
        )
        return f"""{load}
SSLSessionCache shmcb:ssl(512000)
Listen 127.0.0.1:{self._tls_port}
<VirtualHost 127.0.0.1:{self._tls_port}>
  ServerName localhost
  SSLEngine on
  SSLCertificateFile "{self._certificates.server}"
  SSLCertificateKeyFile "{self._certificates.server_key}"
</VirtualHost>
"""

    def _call(self, command, *arguments):
        return subprocess.run(
            [_SCRIPT, command, self.directory, *arguments],
            env={
                **os.environ,
                "HTTPD": settings.httpd_binary(),
                "HTTPD_MODULES": str(settings.httpd_modules_directory()),
                "WEBSOCKET_MODULES": str(settings.MODULES),
                "MPM": settings.mpms()[0],
            },
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=60, check=False,
        )


def pytest_collection_modifyitems(config, items):
    """TEST_BROWSER=none: what needs a browser is left out, and counted as deselected."""
    if not LEFT_OUT:
        return
    left_out = [item for item in items if "browser" in item.fixturenames]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


@pytest.fixture(scope="module")
def browser(certificates):
    chromium = Browser(certificates)
    yield chromium
    chromium.stop()


@contextlib.contextmanager
def _running_demo(certificates):
    server = Demo(certificates)
    try:
        server.start()
        server.error_log.verify()
        yield server
        server.error_log.verify()
    finally:
        try:
            server.stop()
        finally:
            server.remove()


@pytest.fixture(scope="module")
def demo_server(certificates):
    with _running_demo(certificates) as server:
        yield server


@pytest.fixture
def demo(demo_server):
    """The demo's server; its error log holds no surprise after the test."""
    demo_server.error_log.begin()
    yield demo_server
    demo_server.error_log.verify()


@pytest.fixture
def brief_demo(certificates):
    """A server for one test, which may stop and start it."""
    with _running_demo(certificates) as server:
        yield server


@pytest.fixture(params=["ws", "wss"])
def site(request, demo):
    """Where the demo's pages are, without and with TLS; their WebSockets follow."""
    return demo.plain if request.param == "ws" else demo.tls


@pytest.fixture
def window(browser):
    """Opens a page in a window of its own. No page may have complained in the console at the end.

    What a test provokes it announces: `window.complaints.append(pattern)`.
    """
    pages = []

    def open_window(url):
        page = browser.open(url)
        pages.append(page)
        return page

    open_window.complaints = []
    browser.console()
    yield open_window
    for page in pages:
        page.close()
    surprises = [
        message for message in browser.console()
        if not any(re.search(pattern, message) for pattern in open_window.complaints)
    ]
    assert not surprises, surprises
