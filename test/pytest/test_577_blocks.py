"""What one opening handshake was read into is lent to the next."""

import pytest

from harness import settings
from harness.conf import ECHO, example, location

COUNT = 100
PRELOADED = settings.TEST_PLUGINS / "modules" / "block_count.so"

pytestmark = [
    pytest.mark.preload,
    pytest.mark.skipif("event" not in settings.mpms(), reason="about the event driver"),
]


class Blocks:
    """How many blocks the child has got from the system, and given back, since the last look."""

    def __init__(self, file):
        self._file = file
        self._seen = 0

    def look(self):
        new = self._file.read_bytes()[self._seen:]
        self._seen += len(new)
        return new.count(b"+"), new.count(b"-")


@pytest.fixture
def server(make_httpd):
    configuration = "StartServers 1\nServerLimit 1\nThreadsPerChild 2\nMaxRequestWorkers 2\n"
    server = make_httpd(
        "event", configuration + location("/echo", example(ECHO)),
        environment={"LD_PRELOAD": str(PRELOADED)},
    )
    return server.start()


@pytest.fixture
def blocks(server):
    return Blocks(server.recorder_file)


def test_ws_577_01_what_a_handshake_went_through_is_not_given_to_the_system(server, blocks):
    clients = []

    def open_websockets(count):
        for _ in range(count):
            clients.append(server.open("/echo"))
            # The server reads this when it has read all of the handshake, and given memory back.
            clients[-1].echo("here")

    try:
        open_websockets(10)
        blocks.look()
        open_websockets(COUNT)
        _, given = blocks.look()
    finally:
        for client in clients:
            client.vanish()
    # What is read and written on the way would be two of each; how many are got depends on what pages have left.
    assert given < COUNT
