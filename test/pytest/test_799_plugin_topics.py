"""Topics of plugins: subscribe, publish, who is there; on several children, from any thread, up to the limits."""

import os
import re
import signal
import threading
from contextlib import ExitStack

import pytest

from harness import settings
from harness.conf import location, plugin
from harness.rawclient import BINARY, TEXT
from harness.scripted import Records, ask, scripts, tell
from harness.status import LOCATION, Status
from harness.topics import (
    Subscriber, on_several_children, publish, publishing, several_children, topics,
)
from harness.waiting import eventually

WORKERS = 40
MISUSE = r"\[websocket:warn\].* WS0401: .*"
DONE, LOST, NOT_SO, CLOSED, INVALID, UNAVAILABLE, FULL, TAKEN, TOO_LARGE = (
    "1", "2", "0", "-1", "-2", "-3", "-4", "-5", "-6"
)
ON_TOPIC, JSON, PRESENCE, UNIQUE = 1, 2, 4, 8
EXCLUDE_SELF, VOLATILE, RETAIN, UNCOMPRESSED = 1, 2, 4, 8
CHILD, HOST = 0, 1


def configuration(server):
    return (
        several_children(server)
        + LOCATION
        + location("/scripted", plugin("scripted"))
        + location("/without", plugin("scripted", "scripted_without_timer_init"))
        + location("/short", plugin("scripted"), "WebSocketTopicHistory 3")
        + location("/small", plugin("scripted"), "WebSocketSendBuffer 4K",
                   "WebSocketTopicSlow drop")
        + location("/packed", plugin("scripted"), "WebSocketCompression On",
                   "WebSocketCompressionMinSize 0")
        + topics("/topics")
        + topics("/values", "WebSocketTopic /values/one", "WebSocketTopic /values/two")
        + publishing("/publish")
    )


@pytest.fixture
def keep():
    """Enters what it is given, until the test's end."""
    with ExitStack() as stack:
        yield stack.enter_context


def subscriber(httpd, topic, since="-", member="-", flags=0, path="/scripted"):
    """A WebSocket that is subscribed by its on_connect."""
    fields = scripts(on_connect=f"subscribe {topic} {since} {member} {flags}")
    return httpd.open(path, fields)


def texts(client, count):
    return [client.receive_message().text for _ in range(count)]


def test_ws_799_01_what_a_plugin_publishes_reaches_all_children_in_one_order(httpd, keep):
    clients = on_several_children(httpd, lambda: keep(subscriber(httpd, "/order")))
    plain = keep(httpd.open("/topics/order"))
    publishers = [keep(httpd.open("/scripted")) for _ in range(4)]
    threads = [
        threading.Thread(target=ask, args=(client, f"busy 25 /order {number}"))
        for number, client in enumerate(publishers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    orders = [texts(client, 100) for client in [*clients, plain]]
    assert all(order == orders[0] for order in orders)
    for number in range(4):
        own = [text for text in orders[0] if text.startswith(f"{number}:")]
        assert own == [f"{number}:{count}" for count in range(25)]
    for client in [*clients, plain, *publishers]:
        client.close_properly()


def test_ws_799_02_binary_text_and_http_are_the_same_topic(httpd):
    with subscriber(httpd, "/kinds") as client, httpd.open("/scripted") as other:
        done, token = ask(other, "publish /kinds binary 0 hex:00ff").split()
        assert (done, token.count("-")) == (DONE, 1)
        assert publish(httpd, "/publish/kinds", "over HTTP").document["subscribers"] == 1
        received = client.receive_message()
        assert (received.opcode, received.payload) == (BINARY, b"\0\xff")
        assert texts(client, 1) == ["over HTTP"]
        client.close_properly()
        other.close_properly()


def test_ws_799_03_whoever_comes_back_gets_what_it_has_missed(httpd, keep):
    sender = keep(httpd.open("/scripted"))
    _, first = ask(sender, "publish /since text 0 one").split()
    for text in "two", "three", "four":
        ask(sender, f"publish /since text 0 {text}")
    on_several_children(
        httpd, lambda: check_since(keep, httpd, first, ["two", "three", "four"])
    )
    back = keep(subscriber(httpd, "/since", "last:2"))
    ask(sender, "publish /since text 0 five")
    assert texts(back, 3) == ["three", "four", "five"]
    # More than the history of its section is lost, and that is told.
    short = keep(httpd.open("/short"))
    assert ask(short, f"subscribe /since {first} - 0") == LOST
    ask(sender, "publish /since text 0 six")
    assert texts(short, 1) == ["six"]
    longest = keep(httpd.open("/short"))
    tell(longest, "subscribe /since last:100 - 0")
    assert texts(longest, 3) == ["four", "five", "six"]


def check_since(keep, httpd, since, expected):
    client = keep(subscriber(httpd, "/since", since))
    assert texts(client, len(expected)) == expected
    return client


def test_ws_799_04_a_publisher_may_leave_itself_out(httpd, keep):
    one, two = (keep(subscriber(httpd, "/self")) for _ in range(2))
    tell(one, f"publish /self text {EXCLUDE_SELF} not to myself")
    tell(one, "publish /self text 0 to all")
    assert texts(two, 2) == ["not to myself", "to all"]
    assert texts(one, 1) == ["to all"]
    # Another WebSocket is another one.
    back = keep(subscriber(httpd, "/self", "last:2"))
    assert texts(back, 2) == ["not to myself", "to all"]


def test_ws_799_05_newcomers_get_what_is_retained(httpd, keep):
    sender = keep(httpd.open("/scripted"))
    for text in "old", "value":
        ask(sender, f"publish /value text {RETAIN} {text}")
    # It is there however much is published meanwhile: 24 MB through 16.
    for _ in range(24):
        ask(sender, "publish /value text 0 x:1000000")
    clients = on_several_children(httpd, lambda: keep(subscriber(httpd, "/value")), least=2)
    clients.append(keep(httpd.open("/topics/value")))
    for client in clients:
        assert texts(client, 1) == ["value"]
    ask(sender, f"publish /value text {RETAIN} next")
    for client in clients:
        assert texts(client, 1) == ["next"]


def test_ws_799_06_what_is_volatile_is_in_no_history(httpd, keep):
    client, sender = keep(subscriber(httpd, "/volatile")), keep(httpd.open("/scripted"))
    _, before = ask(sender, "publish /volatile text 0 before").split()
    ask(sender, f"publish /volatile text {VOLATILE} now or never")
    ask(sender, "publish /volatile text 0 after")
    assert texts(client, 3) == ["before", "now or never", "after"]
    back = keep(subscriber(httpd, "/volatile", before))
    assert texts(back, 1) == ["after"]


def test_ws_799_07_uncompressed_is_uncompressed(httpd, keep):
    fields = [
        *scripts(on_connect="subscribe /packed - - 0"),
        ("Sec-WebSocket-Extensions", "permessage-deflate"),
    ]
    client = keep(httpd.open("/packed", fields))
    sender = keep(httpd.open("/scripted"))
    ask(sender, "publish /packed text 0 x:500")
    ask(sender, f"publish /packed text {UNCOMPRESSED} x:500")
    assert [client.receive_frame().rsv for _ in range(2)] == [4, 0]


def test_ws_799_08_a_plugin_sees_changes_and_skips(httpd, keep):
    records = Records(httpd)
    client = keep(subscriber(httpd, "/seen", flags=ON_TOPIC))
    sender = keep(httpd.open("/scripted"))
    for text in "as it is", "skip", "change me", "skip", "last":
        ask(sender, f"publish /seen text 0 {text}")
    assert texts(client, 3) == ["as it is", "changed: me", "last"]
    assert ask(client, "unsubscribe /seen") == DONE
    client.close_properly()
    sender.close_properly()
    # Each callback by itself, and those of the end last.
    (callbacks,) = [each for each in records.wait_for_ends(2).values() if "topic message" in each]
    assert callbacks.count("topic message") == 5


def test_ws_799_09_on_topic_overlaps_with_nothing(httpd, keep):
    records = Records(httpd)
    client = keep(subscriber(httpd, "/busy", flags=ON_TOPIC))
    publishers = [keep(httpd.open("/scripted")) for _ in range(3)]
    for number, each in enumerate(publishers):
        each.send_frame(TEXT, f"busy 300 /busy {number}")
    for number in range(50):
        client.send_frame(TEXT, f"echo {number}")
    received = texts(client, 950)
    assert [text for text in received if ":" not in text] == [str(n) for n in range(50)]
    for number in range(3):
        own = [text for text in received if text.startswith(f"{number}:")]
        assert own == [f"{number}:{count}" for count in range(300)]
    for each in publishers:
        assert texts(each, 1) == ["300"]
    for each in [client, *publishers]:
        each.close_properly()
    records.wait_for_ends(4)


def test_ws_799_10_members_join_and_leave_on_every_child(httpd, keep):
    watch = keep(subscriber(httpd, "/room", member="watch", flags=ON_TOPIC | PRESENCE))
    assert texts(watch, 1) == ["joined /room 1 watch"]
    told = keep(Subscriber(httpd, "/topics/room"))
    number = iter(range(1000))
    people = on_several_children(
        httpd,
        lambda: keep(subscriber(httpd, "/room", member=f"m{next(number)}", flags=JSON | PRESENCE)),
    )
    names = {f"m{index}" for index in range(len(people))}
    assert texts(watch, len(people)) == [
        f"joined /room {index + 2} m{index}" for index in range(len(people))
    ]
    count, *members = ask(watch, "topic_members /room").split()
    assert int(count) == len(members) == len(people) + 1
    assert set(members) == names | {"watch"}
    assert ask(watch, f"topic_count /room {HOST}") == str(len(people) + 2)
    here = int(ask(watch, f"topic_count /room {CHILD}"))
    assert 1 <= here < len(people) + 2
    # A nickname is one member's, whatever the child.
    other = keep(httpd.open("/scripted"))
    assert ask(other, f"subscribe /room - m0 {UNIQUE}") == TAKEN
    assert ask(other, f"subscribe /room - own {UNIQUE}") == DONE
    assert texts(watch, 1) == [f"joined /room {len(people) + 2} own"]
    people[0].vanish()
    assert texts(watch, 1) == [f"left /room {len(people) + 1} m0"]
    assert ask(other, f"subscribe /room2 - m0 {UNIQUE}") == DONE
    people[1].reset()
    assert texts(watch, 1) == [f"left /room {len(people)} m1"]
    hello = people[2].receive_message().text
    assert '"topics":["/room"]' in hello
    # It joins behind what it has missed, and hears of itself; joins of others may come to be known before.
    joined = people[2].receive_message().text
    assert '"joined":"m2"' in joined or '"members":' in joined, joined
    # Who did not ask is not told.
    publish(httpd, "/publish/room", "said")
    assert told.next()["data"] == "said"


def test_ws_799_11_the_members_of_a_killed_child_leave(httpd, keep):
    watchers = on_several_children(
        httpd,
        lambda: keep(subscriber(httpd, "/killed", member="watch", flags=ON_TOPIC | PRESENCE)),
        least=2,
    )
    connections = Status(httpd).read()["connections"]
    pids = [each["pid"] for each in connections]
    victim = next(pid for pid in pids if pids.count(pid) < len(watchers))
    gone = pids.count(victim)
    httpd.error_log.expect_death(victim, gone)
    os.kill(victim, signal.SIGKILL)
    left = 0
    for client in watchers:
        while True:
            try:
                text = client.receive_message().text
            except (EOFError, OSError):
                break
            if text == f"left /killed {len(watchers) - gone} watch":
                left += 1
                break
            assert text.startswith(("joined /killed", "left /killed"))
    assert left == len(watchers) - gone
    survivor = keep(httpd.open("/scripted"))
    count, *members = ask(survivor, "topic_members /killed").split()
    assert (int(count), len(members)) == (left, left)


def test_ws_799_12_limits_are_refused_and_told(httpd, keep):
    httpd.error_log.expect(MISUSE)
    client = keep(httpd.open("/scripted"))
    for number in range(128):
        assert ask(client, f"subscribe /many/{number} - - 0") == DONE
    assert ask(client, "subscribe /many/128 - - 0") == FULL
    assert ask(client, "unsubscribe /many/7") == DONE
    assert ask(client, "subscribe /many/128 - - 0") == DONE
    refused = {
        "subscribe null:0 - - 0": INVALID,
        "subscribe x:256 - - 0": INVALID,
        "subscribe hex:6107 - - 0": INVALID,
        "subscribe hex:ff - - 0": INVALID,
        "subscribe /many/1 - - 0": INVALID,
        "subscribe /x nonsense - 0": INVALID,
        "subscribe /x last:x - 0": INVALID,
        "subscribe /x - - 16": INVALID,
        f"subscribe /x - - {PRESENCE}": INVALID,
        f"subscribe /x - - {ON_TOPIC | JSON}": INVALID,
        f"subscribe /x - - {UNIQUE}": INVALID,
        "subscribe /x - " + "m" * 129 + " 0": INVALID,
        "unsubscribe null:0": INVALID,
        "unsubscribe /nothing": NOT_SO,
        "publish null:0 text 0 x": INVALID,
        "publish /x ping 0 x": INVALID,
        "publish /x text 0 hex:ff": INVALID,
        "publish /x binary 0 null:5": INVALID,
        "publish /x text 16 x": INVALID,
        f"publish /x text {VOLATILE | RETAIN} x": INVALID,
        "publish /x text 0 x:2200000": TOO_LARGE,
        f"publish /x text {RETAIN} x:300000": FULL,
        "topic_count null:0 1": INVALID,
        "topic_count /x 7": INVALID,
    }
    for command, result in refused.items():
        assert ask(client, command) == result, command
    assert ask(client, "topic_count /x 1") == "0"
    assert ask(client, "publish /x text 0 x:2000000").startswith(DONE)
    without = keep(httpd.open("/without"))
    assert ask(without, f"subscribe /x - - {ON_TOPIC}") == INVALID
    for reason in (
        "128 topics at most", "at most 255 bytes", "no control characters", "is UTF-8",
        "subscribed to this topic already", "neither an id nor", "no such flag",
        "PRESENCE needs", "exclude each other", "without a member", "at most 128 bytes",
        "neither text nor binary", "more than", "no room for more retained", "no such scope",
        "without an on_topic",
    ):
        httpd.error_log.wait_for(f"{MISUSE}.*{re.escape(reason)}")


def test_ws_799_13_subscriptions_end_with_the_websocket(httpd, keep):
    watch = keep(httpd.open("/scripted"))
    clients = [keep(subscriber(httpd, "/ends")) for _ in range(4)]
    refused = httpd.client()
    keep(refused)
    response = refused.upgrade(
        "/scripted", scripts(on_connect="subscribe /ends - member 0; refuse")
    )
    assert response.status == 403
    assert ask(watch, f"topic_count /ends {HOST}") == "4"
    assert ask(watch, "topic_members /ends") == "0"
    clients[0].close_properly()
    clients[1].reset()
    clients[2].vanish()
    assert ask(clients[3], "unsubscribe /ends") == DONE
    eventually(lambda: ask(watch, f"topic_count /ends {HOST}") == "0", "no subscriber")


def test_ws_799_14_a_thread_of_the_plugins_may_do_all_of_it_up_to_the_end(httpd):
    records = Records(httpd)
    fields = scripts(
        on_connect="thread subscribe /thread - t 5; publish /thread text 0 hello; "
        f"topic_count /thread {HOST}; topic_members /thread",
        on_disconnect="subscribe /thread - - 0; unsubscribe /thread; publish /thread text 0 bye",
    )
    with httpd.open("/scripted", fields) as client:
        assert texts(client, 2) == ["joined /thread 1 t", "hello"]
        assert records.result("subscribe /thread - t 5") == DONE
        assert records.result(f"topic_count /thread {HOST}") == "1"
        assert records.result("topic_members /thread") == "1 t"
        client.send_frame(BINARY, "thread unsubscribe /thread")
        assert records.result("unsubscribe /thread") == DONE
        client.close_properly()
    records.wait_for_end()
    assert records.result("subscribe /thread - - 0") == CLOSED
    assert records.result("unsubscribe /thread", 1) == CLOSED
    assert records.result("publish /thread text 0 bye").startswith(DONE)


def test_ws_799_15_a_process_publishes_and_counts_too(make_httpd, mpm, keep):
    lines = location("/x", plugin("scripted"))
    option = (
        'WebSocketPluginOption on-child-start "subscribe /p - - 0; publish /p text 4 begun; '
        f'topic_count /p {HOST}; topic_members /p; publish /p ping 0 x"\n'
    )
    server = make_httpd(mpm, option + lines, workers=3)
    server.error_log.expect(MISUSE + "neither text nor binary .said once for each process")
    server.start()
    records = Records(server)
    with server.open("/x", scripts(on_connect="subscribe /p - - 0")) as client:
        assert texts(client, 1) == ["begun"]
    assert records.result("subscribe /p - - 0") in (CLOSED, DONE)
    does = [line for line in server.recorded() if " - does " in line or " 0 does " in line]
    assert any(line.endswith("subscribe /p - - 0 = -1") for line in does), does
    assert any(line.endswith("publish /p ping 0 x = -2") for line in does), does
    assert any("topic_members /p = 0" in line for line in does), does


def test_ws_799_16_a_slow_one_is_told_what_it_has_lost(httpd, keep):
    slow = keep(subscriber(httpd, "/slow", member="slow", flags=ON_TOPIC | PRESENCE, path="/small"))
    assert texts(slow, 1) == ["joined /slow 1 slow"]
    sender = keep(httpd.open("/scripted"))
    # More than sockets and buffers take.
    for number in range(40):
        ask(sender, "publish /slow text 0 x:500000")
    ask(sender, "publish /slow text 0 end")
    received = []
    while not received or received[-1] != "end":
        ask(sender, "publish /slow text 0 end")
        received.append(slow.receive_message().text)
    dropped = [text for text in received if text.startswith("dropped /slow ")]
    whole = [text for text in received if text.startswith("xxx")]
    lost = sum(int(text.split()[2]) for text in dropped)
    assert dropped and len(whole) < 40
    assert lost >= 40 - len(whole)


def test_ws_799_17_members_and_history_go_through_reloads(make_httpd, mpm, keep):
    lines = (
        "WebSocketDrainTimeout 0\n" + LOCATION + location("/scripted", plugin("scripted"))
    )
    server = make_httpd(mpm, lines).start()
    old = keep(subscriber(server, "/reload", member="old", flags=ON_TOPIC | PRESENCE))
    assert texts(old, 1) == ["joined /reload 1 old"]
    for number in range(2):
        server.graceful()
        new = keep(subscriber(server, "/reload", "last:9", f"new{number}", flags=JSON))
        assert texts(old, 1) == [f"joined /reload {number + 2} new{number}"]
        assert ask(old, f"publish /reload text 0 {number}").startswith(DONE)
        assert texts(old, 1) == [str(number)]
        received = texts(new, 2 + number)
        assert received[-1].endswith(f'"data":"{number}"}}')
    count, *members = ask(old, "topic_members /reload").split()
    assert sorted(members) == ["new0", "new1", "old"]


def test_ws_799_18_without_memory_functions_say_so(make_httpd, mpm, monkeypatch):
    if settings.wrapper():
        pytest.skip("the server runs under another program")
    monkeypatch.setenv("HTTPD_WRAPPER", f"prlimit --as={8 << 30}")
    lines = "WebSocketTopicMemory 64G\n" + location("/scripted", plugin("scripted"))
    server = make_httpd(mpm, lines)
    server.error_log.expect("WS0114: ")
    server.error_log.expect(MISUSE + "there is no shared memory for topics")
    server.start()
    with server.open("/scripted") as client:
        for command in (
            "subscribe /x - - 0", "publish /x text 0 x", "topic_count /x 1", "topic_count /x 0",
            "topic_members /x",
        ):
            assert ask(client, command) == UNAVAILABLE, command
        assert ask(client, "unsubscribe /x") == NOT_SO
        client.close_properly()


def test_ws_799_19_who_comes_back_behind_retained_messages_gets_nothing_twice(httpd, keep):
    """With the last `id` that it has seen, as docs/directives.md says."""
    sender = keep(httpd.open("/scripted"))
    # The one that comes last is the oldest.
    for name in "two", "one":
        ask(sender, f"publish /values/{name} text {RETAIN} of {name}")
    ask(sender, "publish /values/one text 0 between")
    with Subscriber(httpd, "/values") as newcomer:
        greeted = newcomer.id
        assert newcomer.data(2) == ["of one", "of two"]
        assert newcomer.id == greeted
    back = keep(Subscriber(httpd, "/values", newcomer.id))
    assert back.hello["recovered"]
    ask(sender, "publish /values/two text 0 new")
    assert back.data(1) == ["new"]
    # Who cannot be told what it has missed begins as a newcomer does.
    lost = keep(Subscriber(httpd, "/values", f"{'0' * 15}1-1"))
    assert lost.hello["recovered"] is False
    since = lost.id
    assert lost.data(2) == ["of one", "of two"] and lost.id == since
