"""A headless Chromium of the tests' own; nothing that it does leaves loopback."""

import base64
import contextlib
import hashlib
import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from . import settings
from .page import Page
from .waiting import eventually

# TEST_BROWSER names the browser's program, TEST_BROWSER_DRIVER that of its driver;
# TEST_BROWSER=none leaves the suites out that need them.
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
DRIVERS = ("chromedriver",)
LEFT_OUT = os.environ.get("TEST_BROWSER") == "none"

_ARGUMENTS = (
    "--headless",
    "--window-size=1280,900",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--disable-crash-reporter",
    # A container's /dev/shm may be small.
    "--disable-dev-shm-usage",
    # A window behind another one works on.
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
)
# How long a page may take to load, and a script to run.
PATIENCE = 60


class Browser:
    """A driver, its Chromium, and their profile, which goes when they do."""

    def __init__(self, certificates):
        program = _program("TEST_BROWSER", PROGRAMS)
        driver = _program("TEST_BROWSER_DRIVER", DRIVERS)
        self.directory = Path(tempfile.mkdtemp(prefix="mod_websocket-browser-")).resolve()
        profile = self.directory / "profile"
        options = webdriver.ChromeOptions()
        options.binary_location = program
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        for argument in (
            *_ARGUMENTS,
            f"--user-data-dir={profile}",
            # Of all certificates that no authority vouches for, this one is good.
            f"--ignore-certificate-errors-spki-list={_key_hash(certificates.server)}",
            # Chromium's sandbox refuses to work for root.
            *(("--no-sandbox",) if os.geteuid() == 0 else ()),
        ):
            options.add_argument(argument)
        service = Service(
            # Selenium looks for no driver, here or elsewhere, when it is given one.
            driver,
            log_output=str(self.directory / "chromedriver.log"),
            env=self._environment(),
            popen_kw={"start_new_session": True},
        )
        self._service = service
        self._driver = None
        try:
            self._driver = webdriver.Chrome(options, service)
            self._driver.set_page_load_timeout(PATIENCE)
            self._driver.set_script_timeout(PATIENCE)
        except BaseException:
            self.stop()
            raise
        self._first = self._driver.current_window_handle

    def _environment(self):
        """Programs that keep files in their user's folders find the tests' own there."""
        home = str(self.directory)
        return {
            **os.environ,
            "HOME": home,
            "XDG_CONFIG_HOME": home,
            "XDG_CACHE_HOME": home,
            "TMPDIR": home,
            "TZ": "UTC",
            "LANG": "C.UTF-8",
        }

    def open(self, url):
        """A page in a window of its own."""
        self._driver.switch_to.window(self._first)
        self._driver.switch_to.new_window("window")
        page = Page(self._driver, self._driver.current_window_handle)
        try:
            page.go(url)
        except BaseException:
            page.close()
            raise
        return page

    def console(self):
        """What the pages complained of in the console since the last call."""
        self._driver.switch_to.window(self._first)
        return [
            entry["message"] for entry in self._driver.get_log("browser")
            if entry["level"] == "SEVERE"
        ]

    def stop(self):
        """Ends both programs, by their process ids if they do not obey."""
        try:
            if self._driver is not None:
                self._driver.quit()
            eventually(lambda: not self._processes(), "the end of Chromium")
        finally:
            for pid in self._processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if not settings.KEEP_DIRECTORIES:
                shutil.rmtree(self.directory, ignore_errors=True)

    def _processes(self):
        """What is alive of the driver's session, or was started with our directory."""
        driver = getattr(self._service, "process", None)
        pids = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                command = (entry / "cmdline").read_bytes()
            except OSError:  # it has ended meanwhile
                continue
            ours = driver is not None and int(fields[3]) == driver.pid
            if (ours or os.fsencode(self.directory) in command) and fields[0] != "Z":
                pids.append(int(entry.name))
        return pids


def _program(variable, candidates):
    named = os.environ.get(variable)
    found = next(filter(None, map(shutil.which, [named] if named else candidates)), None)
    if found is None:
        pytest.fail(
            f"{named or ' or '.join(candidates)} not found. Install Chromium and its driver "
            "(Debian: apt-get install chromium chromium-driver; ./quickstart check does), or name "
            "the programs with TEST_BROWSER and TEST_BROWSER_DRIVER, or leave these suites out "
            "with TEST_BROWSER=none.",
            pytrace=False,
        )
    return found


def _key_hash(certificate):
    """The hash of a certificate's public key, as Chromium wants it."""
    key = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    encoded = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return base64.b64encode(hashlib.sha256(encoded).digest()).decode()
