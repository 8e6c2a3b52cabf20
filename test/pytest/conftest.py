"""Fixtures of the suites.

A suite is a module with a function `configuration(server)` that returns its part of httpd.conf,
and optionally `MODULES` (names of httpd's modules to load), `WORKERS` (how many connections at
once), `MPMS` (those that the suite is about), `ENVIRONMENT`, and `EXPECTED_AT_START` (patterns of
warnings that starting provokes). It gets one httpd per MPM.
"""

import itertools
import os
import signal
import time

import pytest

pytest.register_assert_rewrite("harness.rawclient", "harness.recorder", "harness.scripted")

from harness import settings  # noqa: E402
from harness.certificates import Certificates  # noqa: E402
from harness.httpd import Httpd  # noqa: E402

# Suites that make check-fast leaves out, because they wait (timeouts, drains, restarts) or work (crowds, loads,
# builds) for longer than all the others together.
SLOW = set(
    "320 430 435 440 460 470 490 495 560 570 580 590 600 610 616 620 650 690 692 700 710 715 720 770 792 794 900".split()
)


# Suites of `make neighbours`, which need what it fetches.
collect_ignore_glob = [] if os.environ.get("WEBSOCKET_NEIGHBOURS") else ["test_91*"]
# As many rounds as one has the time for.
collect_ignore_glob += [] if os.environ.get("WEBSOCKET_STOP_ROUNDS") else ["test_717*"]


def pytest_configure():
    # Ended from outside, the run still stops its servers.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    # Autobahn's cases take minutes and one worker: beside everything else, not after it.
    items.sort(key=lambda item: not item.path.name.startswith("test_900_"))
    for item in items:
        if item.path.name.split("_")[1] in SLOW:
            item.add_marker(pytest.mark.slow)


def pytest_generate_tests(metafunc):
    if "mpm" in metafunc.fixturenames:
        about = getattr(metafunc.module, "MPMS", settings.MPMS)
        metafunc.parametrize(
            "mpm", [mpm for mpm in settings.mpms() if mpm in about], scope="module"
        )


def pytest_report_header():
    return [
        f"httpd: {settings.httpd_binary()}, MPMs: {', '.join(settings.mpms())}",
        f"modules: {settings.MODULES}",
        f"test plugins: {settings.TEST_PLUGINS}",
    ]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows the end of the error log."""
    report = yield
    server = item.funcargs.get("httpd") if hasattr(item, "funcargs") else None
    if report.failed and server is not None:
        report.sections.append(("error log of httpd", server.error_log.tail()))
    return report


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def httpd(request, mpm):
    """The server of this suite under one MPM."""
    suite = request.module
    server = Httpd(
        mpm,
        modules=getattr(suite, "MODULES", ()),
        workers=getattr(suite, "WORKERS", 16),
        environment=getattr(suite, "ENVIRONMENT", None),
    )
    server.certificates = request.getfixturevalue("certificates")
    server.configure(suite.configuration)
    try:
        for pattern in getattr(suite, "EXPECTED_AT_START", ()):
            server.error_log.expect(pattern)
        server.start()
        server.error_log.verify()
        yield server
        server.stop()
        server.error_log.verify()
    finally:
        server.stop()
        server.remove()


@pytest.fixture(autouse=True)
def error_log(request):
    """The suite's error log. After each test it must hold no line that nobody announced."""
    if "httpd" not in request.fixturenames:
        yield None
        return
    log = request.getfixturevalue("httpd").error_log
    yield log
    log.verify()


_gates = itertools.count()


@pytest.fixture
def gate(httpd):
    """A file that is not there yet, for the scripted plugin's `await`; in the end it is. Each test has one of its own: a
    callback may still have to find the last one's."""
    gate = httpd.directory / f"gate-{next(_gates)}"
    yield gate
    gate.touch()


@pytest.fixture
def make_httpd(certificates):
    """Makes servers for one test, for what would disturb the suite's own."""
    servers = []

    def make(mpm, text, **options):
        server = Httpd(mpm, **options)
        server.certificates = certificates
        servers.append(server)
        server.configure(text)
        return server

    yield make
    problems = []
    for server in servers:
        try:
            server.stop()
            server.error_log.verify()
        except AssertionError as problem:
            problems.append(f"{problem}\n{server.error_log.tail()}")
        finally:
            server.remove()
    assert not problems, "\n".join(problems)


@pytest.fixture
def burns_no_cpu():
    """Checks that a server with nothing to do uses next to no processor time."""

    def check(server, seconds=2.0):
        before = server.cpu_seconds()
        time.sleep(seconds)
        used = server.cpu_seconds() - before
        # One spinning thread would use all of it.
        assert used < seconds / 4, f"{used:g} s of processor time in {seconds:g} s of idleness"

    return check
