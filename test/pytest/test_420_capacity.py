"""The warning at start-up when the event MPM allows few WebSockets in a child."""

from harness.conf import ECHO, example, location

MPMS = ("event",)
WORKERS = 25
EXPECTED_AT_START = (
    # ThreadsPerChild, and one less times the factor, whose fraction httpd drops.
    r"WS0102: a child accepts at most 49 connections, .*ThreadsPerChild 25, AsyncRequestWorkerFactor 1\.5\); "
    r"AsyncRequestWorkerFactor 41 would allow 1009",
)


def configuration(server):
    return "AsyncRequestWorkerFactor 1.5\n" + location("/echo", example(ECHO))


def test_ws_420_01_the_warning_has_the_numbers_and_the_directive(httpd):
    log = httpd.error_log.tail()
    assert log.count("WS0102") == 1, log
    with httpd.open("/echo") as client:
        client.echo("and it works")
