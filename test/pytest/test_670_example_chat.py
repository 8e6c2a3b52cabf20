"""The example chat: nicknames, who comes and goes, history, and readers that are slow."""

import json
import threading

import pytest

from harness.conf import example, location
from harness.rawclient import BINARY, TEXT
from harness.waiting import eventually

WORKERS = 24
CHAT = ("mod_websocket_rust_chat", "chat_init")
TOO_SLOW = 1013
TAKEN = "somebody has this nickname"
# More than a socket and the send buffer hold, of the longest messages.
FLOOD = 100
# All of the present test.
_guests = []


def configuration(_server):
    return (
        "SendBufferSize 16384\n"
        + location("/chat", example(CHAT))
        # The time is counted from when the Close is queued, behind what has not been read yet.
        + location("/small", example(CHAT), "WebSocketSendBuffer 16K", "WebSocketCloseTimeout 1min")
    )


class Guest:
    """A client, and what it says and hears."""

    def __init__(self, httpd, path="/chat", **options):
        self.client = httpd.open(path, **options)
        _guests.append(self.client)

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.client.vanish()

    def send(self, **message):
        self.client.send_frame(TEXT, json.dumps(message))

    def hear(self, kind):
        """The next message, which is of that type; without the type."""
        found, news = self._next()
        assert found == kind, (kind, found, news)
        return news

    def _next(self):
        """The type of the next message, and the rest of it.

        How many members there are is told, too, where a join or a leave may have been missed: a guest of the test before
        may leave just when the next one is let in.
        """
        while True:
            news = json.loads(self.client.receive_message().text)
            kind = news.pop("type")
            if kind != "members":
                return kind, news

    def is_in(self):
        """Whether the server lets one in, behind what was said before; if not, the nickname is still somebody's."""
        self.history = []
        while True:
            kind, news = self._next()
            if kind == "error":
                assert news["error"] == TAKEN
                return False
            if kind == "join":
                self.joined = news
                return True
            assert kind == "message"
            self.history.append(news)

    def hear_without_time(self, kind):
        news = self.hear(kind)
        assert news.pop("time") > 1.6e9
        return news

    def join(self, nick, members):
        """Joins, as one of `members`; returns what was said before."""
        self.send(nick=nick)
        assert self.is_in()
        assert self.joined.pop("time") > 1.6e9
        assert self.joined == {"nick": nick, "members": members}
        return self.history

    def join_when_free(self, nick):
        """Joins once the one who had the nickname in the test before has left."""

        def joined():
            self.send(nick=nick)
            return self.is_in()

        eventually(joined, "the nickname to be free")
        assert self.joined["nick"] == nick

    def leave(self):
        self.client.close_properly()
        self.client.vanish()


def alone(httpd, nick):
    """A guest who is the only one, because those of the test before have left."""

    def only_one():
        guest = Guest(httpd)
        guest.send(nick=nick)
        if guest.is_in() and guest.joined["members"] == 1:
            return guest
        guest.client.vanish()
        return None

    return eventually(only_one, "the room to be empty")


@pytest.fixture(autouse=True)
def room(httpd, error_log):
    """Everybody has left it when the next test begins, or who joins there hears of it: a guest may see its end before."""
    _guests.clear()
    yield
    for client in _guests:
        error_log.wait_for_end(client)


@pytest.fixture
def ada(httpd):
    with alone(httpd, "Ada") as guest:
        yield guest


@pytest.fixture
def bob(httpd, ada):
    with Guest(httpd) as guest:
        guest.join("Bob", 2)
        assert ada.hear_without_time("join") == {"nick": "Bob", "members": 2}
        yield guest


def test_ws_670_01_everybody_hears_what_anybody_says(ada, bob):
    for guest, nick, text in ((ada, "Ada", "Hello!"), (bob, "Bob", "Hello to you.")):
        guest.send(text=text)
        heard = ada.hear("message")
        assert bob.hear("message") == heard
        assert heard.pop("time") > 1.6e9
        assert heard == {"nick": nick, "text": text}
    bob.leave()
    assert ada.hear_without_time("leave") == {"nick": "Bob", "members": 1}
    ada.leave()


@pytest.mark.parametrize("text", [
    "x", "x" * 1000, "é" * 1000, "😀" * 1000, "\x00\x1f\n\t\"\\</script>", "\u2028\ufeff ",
])
def test_ws_670_02_a_message_comes_as_it_was_said(ada, text):
    ada.send(text=text)
    assert ada.hear_without_time("message") == {"nick": "Ada", "text": text}
    ada.leave()


def test_ws_670_03_who_comes_later_gets_the_last_fifty(httpd, ada):
    for number in range(60):
        ada.send(text=f"number {number}")
        ada.hear("message")
    with Guest(httpd) as bob:
        history = bob.join("Bob", 2)
        assert [said["text"] for said in history] == [f"number {n}" for n in range(10, 60)]
        assert {said["nick"] for said in history} == {"Ada"}
        times = [said["time"] for said in history]
        assert times == sorted(times)
        assert all(set(said) == {"nick", "text", "time"} for said in history)
        ada.hear("join")
        bob.leave()
    ada.hear("leave")
    ada.leave()


def test_ws_670_04_a_nickname_is_free_again_when_its_owner_has_left(httpd, ada):
    with Guest(httpd) as other:
        for nick in ("Ada", " Ada "):
            other.send(nick=nick)
            assert other.hear("error") == {"error": TAKEN}
        ada.leave()
        other.join_when_free("Ada")
        other.leave()


@pytest.mark.parametrize("nick", ["", " ", "x" * 25, "a\nb", "a\x00", "\x7f", "\x85b\x85c"])
def test_ws_670_05_a_nickname_that_is_none_can_be_tried_again(httpd, nick):
    with Guest(httpd) as guest:
        guest.send(nick=nick)
        assert guest.hear("error")["error"].startswith("a nickname has ")
        guest.join_when_free("Ada")
        guest.leave()


@pytest.mark.parametrize("nick", ["x", "x" * 24, "😀" * 24, "Ada Lovelace", "<b>"])
def test_ws_670_06_nicknames(httpd, nick):
    with Guest(httpd) as guest:
        guest.join_when_free(nick)
        guest.leave()


def test_ws_670_07_blanks_around_a_nickname_do_not_count(httpd):
    with Guest(httpd) as guest:
        guest.send(nick="  " + "y" * 24 + "\t")
        assert guest.is_in()
        assert guest.joined["nick"] == "y" * 24
        guest.leave()


@pytest.mark.parametrize("text", [
    "", "Ada", "null", "{}", '{"nick":', '{"nick":1}', '{"text":"Hello!"}', '{"nick":"A","nick":"B"}',
    '{"nick":"\\ud800"}',
])
def test_ws_670_08_before_one_has_said_who_one_is(httpd, text):
    with Guest(httpd) as guest:
        guest.client.send_frame(TEXT, text)
        assert guest.hear("error")["error"].startswith("first say who you are")
        guest.join_when_free("Ada")
        guest.leave()


@pytest.mark.parametrize(("text", "complaint"), [
    ("", "this is no message"),
    ("Hello!", "this is no message"),
    ('{"text":["Hello!"]}', "this is no message"),
    ('{"nick":"Another"}', "this is no message"),
    ('{"text":""}', "a message has 1 to 1000 characters"),
    (json.dumps({"text": "x" * 1001}), "a message has 1 to 1000 characters"),
])
def test_ws_670_09_what_is_no_message_is_told_its_sender(ada, text, complaint):
    ada.client.send_frame(TEXT, text)
    assert ada.hear("error")["error"].startswith(complaint)
    ada.send(text="Sorry.")
    assert ada.hear("message")["text"] == "Sorry."
    ada.leave()


def test_ws_670_10_a_binary_message_is_none(httpd):
    with Guest(httpd) as guest:
        guest.client.send_frame(BINARY, '{"nick":"Ada"}')
        assert guest.hear("error") == {"error": "messages are texts"}
        guest.leave()


def test_ws_670_11_who_never_joined_does_not_leave(httpd, ada):
    with Guest(httpd) as other:
        other.leave()
    ada.send(text="Was somebody there?")
    assert ada.hear("message")["text"] == "Was somebody there?"
    ada.leave()


@pytest.mark.parametrize("way", ["vanish", "reset"])
def test_ws_670_12_who_vanishes_has_left(ada, bob, way):
    getattr(bob.client, way)()
    assert ada.hear_without_time("leave") == {"nick": "Bob", "members": 1}
    ada.leave()


def test_ws_670_13_a_slow_reader_is_closed_and_holds_up_nobody(make_httpd, mpm):
    # One in whose room nothing was said before.
    httpd = make_httpd(mpm, configuration(None), workers=4).start()
    with Guest(httpd) as ada, Guest(httpd, "/small", receive_buffer=4096) as slow:
        assert ada.join("Ada", 1) == []
        slow.send(nick="Slow")
        ada.hear("join")
        for _ in range(FLOOD):
            # Six bytes of JSON for each character.
            ada.send(text="\x01" * 1000)
            assert ada.hear("message")["nick"] == "Ada"
        assert slow.is_in()
        heard = 0
        while (received := slow.client.receive_frame()).opcode == TEXT:
            assert json.loads(received.text)["type"] == "message"
            heard += 1
        assert received.close_code == TOO_SLOW and received.payload[2:] == b"slow"
        assert 0 < heard < FLOOD
        slow.client.send_close(TOO_SLOW)
        assert slow.client.receive_to_eof() == b""
        assert ada.hear_without_time("leave") == {"nick": "Slow", "members": 1}
        ada.leave()
    # Their ends are in the log of that server.
    _guests.clear()


def test_ws_670_14_many_talk_at_once_and_all_hear_the_same(httpd):
    count, each = 6, 50
    guests = [alone(httpd, "guest 0")]
    try:
        for number in range(1, count):
            guests.append(Guest(httpd))
            guests[-1].join(f"guest {number}", number + 1)
            for earlier in guests[:-1]:
                earlier.hear("join")
        heard = [None] * count

        def talk(number):
            guest = guests[number]
            for turn in range(each):
                guest.send(text=f"{number} {turn}")
            heard[number] = [guest.hear("message") for _ in range(count * each)]

        threads = [threading.Thread(target=talk, args=(number,)) for number in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert heard[0] is not None
        assert all(other == heard[0] for other in heard)
        for number in range(count):
            own = [said["text"] for said in heard[0] if said["nick"] == f"guest {number}"]
            assert own == [f"{number} {turn}" for turn in range(each)]
    finally:
        for guest in guests:
            guest.client.vanish()
