"""The example mirror: rooms, circles, and readers that are slow."""

import itertools
import json

import pytest

from harness.conf import example, location
from harness.rawclient import BINARY, CLOSE, TEXT, frame

WORKERS = 16
MIRROR = ("mod_websocket_rust_mirror", "mirror_init")
CIRCLE = '{"x":0.5,"y":0.25,"r":0.01,"c":"#2f80ed"}'
NOT_A_CIRCLE = 1008
# More than a socket and the send buffer hold.
FLOOD = 2000
AT_A_TIME = 200
_numbers = itertools.count()


def configuration(_server):
    return (
        "SendBufferSize 16384\n"
        + location("/mirror", example(MIRROR))
        + location("/small", example(MIRROR), "WebSocketSendBuffer 16K", "WebSocketTopicSlow drop")
    )


@pytest.fixture
def room():
    """One that nobody was in before."""
    return f"room-{next(_numbers)}"


def enter(httpd, room, count):
    """Enters a room, as one of `count` members."""
    client = httpd.open(f"/mirror?mirror={room}")
    assert members(client) == count
    return client


def members(client):
    news = json.loads(client.receive_message().text)
    assert set(news) == {"members", "process"}
    return news["members"]


def be_closed(client):
    """The closing handshake that the server begins."""
    received = client.receive_frame()
    assert (received.opcode, received.close_code) == (CLOSE, NOT_A_CIRCLE)
    assert received.payload[2:] == b"not a circle"
    client.send_close(NOT_A_CIRCLE)
    assert client.receive_to_eof() == b""


def circle(x, size=0):
    """A circle that can be told from others, of at least `size` bytes."""
    text = f'{{"x":{x:.6f},"y":0,"r":0.01,"c":"#000000"}}'
    return text + " " * (size - len(text))


def test_ws_660_01_everybody_in_the_room_gets_a_circle_as_it_was_sent(httpd, room):
    with enter(httpd, room, 1) as ada, enter(httpd, room, 2) as bob:
        assert members(ada) == 2
        for sender, text in ((ada, CIRCLE), (bob, ' { "c":"#FFffFF", "y":0,\n"r":2e-1, "x":1 }')):
            sender.send_frame(TEXT, text)
            assert ada.receive_message().text == text
            assert bob.receive_message().text == text
        ada.close_properly()
        assert members(bob) == 1
        bob.close_properly()


def test_ws_660_02_rooms_are_apart(httpd, room):
    with enter(httpd, room, 1) as ada, enter(httpd, f"{room}-b", 1) as bob:
        ada.send_frame(TEXT, circle(0.1))
        bob.send_frame(TEXT, circle(0.2))
        assert ada.receive_message().text == circle(0.1)
        assert bob.receive_message().text == circle(0.2)
        ada.close_properly()
        bob.close_properly()


def test_ws_660_03_the_room_is_main_unless_it_is_named(httpd):
    with enter(httpd, "main", 1) as ada:
        for path in ("/mirror", "/mirror?other=x", "/mirror?mirror=main"):
            with httpd.open(path) as other:
                assert [members(ada), members(other)] == [2, 2]
                other.close_properly()
            assert members(ada) == 1
        ada.close_properly()


# No room twice: who was in it may not have left yet.
@pytest.mark.parametrize("room", ["a", "A-z_09", "-", "x" * 64, "%62"])
def test_ws_660_04_names_of_rooms(httpd, room):
    with enter(httpd, room, 1) as client:
        client.close_properly()


@pytest.mark.parametrize("room", ["", "a+b", "a/b", "a.b", "%00", "%ff", "%C3%A4", "x" * 65])
def test_ws_660_05_other_names_are_refused(httpd, room):
    with httpd.client() as client:
        assert client.upgrade(f"/mirror?mirror={room}").status == 400


@pytest.mark.parametrize("text", [
    '{"x":0,"y":0,"r":0.005,"c":"#000000"}',
    '{"x":1,"y":1,"r":0.2,"c":"#FFFFFF"}',
    '\r\n\t {"x":-0,"y":1e-9,"r":5E-3,"c":"\\u0023aBcDeF"}',
    circle(0.5, 256),
])
def test_ws_660_06_circles_at_the_limits(httpd, room, text):
    with enter(httpd, room, 1) as client:
        client.send_frame(TEXT, text)
        assert client.receive_message().text == text
        client.close_properly()
        client.vanish()


@pytest.mark.parametrize("text", [
    "", "circle", "null", "{}", "[]", "0", CIRCLE[:-1], CIRCLE + ",", CIRCLE * 2,
    '[0.5,0.25,0.01,"#2f80ed"]',
    '{"x":0.5,"y":0.25,"r":0.01}',
    '{"x":0.5,"y":0.25,"r":0.01,"c":"#2f80ed","z":1}',
    '{"x":0.5,"x":0.5,"y":0.25,"r":0.01,"c":"#2f80ed"}',
    '{"x":-0.001,"y":0.25,"r":0.01,"c":"#2f80ed"}',
    '{"x":0.5,"y":1.001,"r":0.01,"c":"#2f80ed"}',
    '{"x":0.5,"y":0.25,"r":0.0049,"c":"#2f80ed"}',
    '{"x":0.5,"y":0.25,"r":0.201,"c":"#2f80ed"}',
    '{"x":"0.5","y":0.25,"r":0.01,"c":"#2f80ed"}',
    '{"x":1e999,"y":0.25,"r":0.01,"c":"#2f80ed"}',
    '{"x":NaN,"y":0.25,"r":0.01,"c":"#2f80ed"}',
    '{"x":0.5,"y":0.25,"r":0.01,"c":"2f80ed"}',
    '{"x":0.5,"y":0.25,"r":0.01,"c":"#2f80e"}',
    '{"x":0.5,"y":0.25,"r":0.01,"c":"#2f80edd"}',
    '{"x":0.5,"y":0.25,"r":0.01,"c":"#2f80eg"}',
    '{"x":0.5,"y":0.25,"r":0.01,"c":"url(x)"}',
    circle(0.5, 257),
])
def test_ws_660_07_what_is_no_circle_closes_its_sender_only(httpd, room, text):
    with enter(httpd, room, 1) as other:
        with httpd.open(f"/mirror?mirror={room}") as client:
            members(client)
            client.send_frame(TEXT, text)
            be_closed(client)
        assert [members(other), members(other)] == [2, 1]
        other.send_frame(TEXT, CIRCLE)
        assert other.receive_message().text == CIRCLE
        other.close_properly()


def test_ws_660_08_a_binary_message_is_no_circle(httpd, room):
    with enter(httpd, room, 1) as client:
        client.send_frame(BINARY, CIRCLE)
        be_closed(client)


def test_ws_660_09_a_slow_reader_misses_circles_and_holds_up_nobody(httpd, room):
    slow = httpd.open(f"/small?mirror={room}", receive_buffer=4096)
    with slow, enter(httpd, room, 2) as ada:
        for first in range(0, FLOOD, AT_A_TIME):
            numbers = range(first, first + AT_A_TIME)
            ada.send(b"".join(frame(TEXT, circle(n / FLOOD, 256)) for n in numbers))
            for n in numbers:
                assert ada.receive_message().text == circle(n / FLOOD, 256)
        # What the slow one may not be told now: that somebody has come, and somebody has gone.
        with enter(httpd, room, 3) as bob:
            assert members(ada) == 3
            ada.send_frame(TEXT, circle(1))
            assert ada.receive_message().text == circle(1)
            ada.close_properly()
            assert bob.receive_message().text == circle(1)
            assert members(bob) == 2

            # It catches up: with some circles, and with the number of members that is true by then.
            seen, counts = [], []
            while counts[-1:] != [2] or CIRCLE not in seen:
                news = slow.receive_message().text
                if "members" in news:
                    counts.append(json.loads(news)["members"])
                else:
                    seen.append(news)
                if not slow.has_input():
                    bob.send_frame(TEXT, CIRCLE)
            drawn = [json.loads(text)["x"] for text in seen if text != CIRCLE]
            assert drawn == sorted(set(drawn))
            assert 0 < len(drawn) < FLOOD


def test_ws_660_10_who_vanishes_has_left(httpd, room):
    with enter(httpd, room, 1) as ada:
        for way in ("vanish", "reset"):
            bob = enter(httpd, room, 2)
            assert members(ada) == 2
            getattr(bob, way)()
            assert members(ada) == 1
        ada.send_close(1000)
        received = ada.receive_frame()
        assert received.opcode == CLOSE, received
