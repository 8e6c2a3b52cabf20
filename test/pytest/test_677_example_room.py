"""The example in C++: a room, whose new version a reload takes."""

import pytest

from harness import settings
from harness.conf import location
from harness.rawclient import TEXT

FILE = settings.MODULES / "mod_websocket_cpp_room.so"
pytestmark = pytest.mark.skipif(not FILE.exists(), reason="not built: no C++ compiler")
# They share a process.
MPMS = ("event", "worker")


def configuration(server):
    return location("/room", f'WebSocketHandler "{FILE}" room_init')


def test_ws_677_01_what_one_says_all_hear(httpd):
    with httpd.open("/room") as ada, httpd.open("/room") as bob:
        ada.send_frame(TEXT, "hello")
        assert [client.receive_message().text for client in (ada, bob)] == ["hello", "hello"]
        bob.close_properly()
        ada.send_frame(TEXT, "alone?")
        assert ada.receive_message().text == "alone?"
        ada.close_properly()


def test_ws_677_02_its_thread_ends_with_the_process(make_httpd, mpm):
    server = make_httpd(mpm, configuration, workers=3)
    server.start()
    for go_on in (server.graceful, server.restart):
        with server.open("/room") as client:
            client.send_frame(TEXT, "x")
            assert client.receive_message().text == "x"
            client.close_properly()
        go_on()
