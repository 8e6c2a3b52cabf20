"""The demo's server, as `make demo` starts it, and fixtures for its pages in a browser.

A suite that wants them says `pytest_plugins = "harness.demo"`.
"""

import contextlib
import http.client
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from . import settings
from .browser import LEFT_OUT, Browser
from .errorlog import ErrorLog
from .ports import Ports
from .waiting import eventually

_SCRIPT = settings.ROOT / "scripts" / "private-httpd"
_TEMPLATE = "demo/httpd.conf.in"


class Demo:
    """The demo on ports of its own. What the tests add is a virtual host with TLS."""

    def __init__(self, certificates):
        self.directory = Path(tempfile.mkdtemp(prefix="mod_websocket-demo-")).resolve()
        self.error_log = None
        self._certificates = certificates
        self._ports = Ports(2)
        self._port, self._tls_port = self._ports.numbers
        (self.directory / "tls.conf").write_text(self._tls_configuration())

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
        assert result.returncode == 0, result.stdout
        return self

    def stop(self):
        result = self._call("stop")
        assert result.returncode == 0, result.stdout

    def websockets(self):
        """How many there are, those that are closing included."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        with contextlib.closing(connection):
            connection.request("GET", "/websocket-status?format=json")
            total = json.load(connection.getresponse())["total"]
        return total["open"] + total["closing"]

    def remove(self):
        self._ports.close()
        if not settings.KEEP_DIRECTORIES:
            shutil.rmtree(self.directory, ignore_errors=True)

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
    # Whoever is in a room still is a member of it, and has a nickname.
    eventually(lambda: demo_server.websockets() == 0, "the windows of the test before to have left")
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
