"""Lines about frames are made while the transport is held: a log that hangs must not be waited for there, on any MPM."""

import pytest

from harness.conf import ECHO, example, location
from harness.pipe import Pipe
from harness.waiting import eventually

ROUNDS = 200


@pytest.fixture
def hung(make_httpd, mpm):
    """A server with a virtual host whose error log, with frames, is a pipe that nobody reads."""
    pipes = []

    def configuration(server):
        path = server.directory / "error.pipe"
        if not path.exists():
            pipes.append(Pipe(path))
        return f"""
{location("/echo", example(ECHO))}
{server.listen(server.spare_port)}
<VirtualHost *:{server.spare_port}>
  ErrorLog "{path}"
  LogLevel websocket:trace4
</VirtualHost>
"""

    server = make_httpd(mpm, configuration).start()
    yield server, *pipes
    for pipe in pipes:
        pipe.close()


def test_ws_486_01_frames_in_a_log_that_hangs_stop_no_frame(hung):
    server, errors = hung
    with server.open("/echo", port=server.spare_port) as client:
        for _ in range(ROUNDS):
            client.echo("hello")
        eventually(errors.is_full, "the log to hang")
        client.close_properly()
    eventually(
        lambda: errors.read().count(b"WS0501: frame in: text FIN, 5 bytes") == ROUNDS,
        "a line for each frame, once the log is read",
    )


def test_ws_486_02_a_child_ends_while_the_log_hangs(hung):
    server, errors = hung
    with server.open("/echo", port=server.spare_port) as client:
        for _ in range(ROUNDS):
            client.echo("hello")
        eventually(errors.is_full, "the log to hang")
        server.stop()
