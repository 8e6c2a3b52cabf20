"""Topics without a plugin: what is published on one child reaches the subscribers of all."""

import base64
import json
import os
import signal
from contextlib import ExitStack
from urllib.parse import quote

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from harness.rawclient import BINARY, TEXT
from harness.status import LOCATION, Status
from harness.topics import (
    Subscriber, ask, on_several_children, publish, publishing, several_children, topics,
)
from harness.waiting import eventually

WORKERS = 40
MODULES = ("authz_host", "env", "setenvif")


def configuration(server):
    return (
        several_children(server)
        + LOCATION
        + topics("/topics")
        + topics("/open", "WebSocketTopicFromClient On", "WebSocketTopic /open")
        + topics("/several", "WebSocketTopic /a", "WebSocketTopic /b", "WebSocketTopic /a")
        + topics("/guarded", "Require ip 192.0.2.1")
        + topics("/failing", 'WebSocketTopic "%{base64:x}-%{unbase64:!}"')
        + "<LocationMatch ^/room/(?<ROOM>[^/]+)$>\n  SetHandler websocket-topics\n"
        + "  WebSocketTopic /rooms/%{env:MATCH_ROOM}\n</LocationMatch>\n"
        + "SetEnvIf X-Tenant (.+) TENANT=$1\n"
        + topics("/tenant", "WebSocketTopic %{reqenv:TENANT}:%{PATH_INFO}")
        + publishing("/publish")
        + topics("/outer", "WebSocketTopic /outer/a", "WebSocketTopic /outer/b",
                 "WebSocketTopicFromClient On", "WebSocketTopicHistory 0")
        + "<Location /outer/nothing>\n</Location>\n"
        + "<Location /outer/topic>\n  WebSocketTopic /inner\n</Location>\n"
        + "<Location /outer/off>\n  WebSocketTopicFromClient Off\n</Location>\n"
        + "<Location /outer/history>\n  WebSocketTopicHistory 10\n</Location>\n"
    )


@pytest.fixture
def keep():
    """Enters what it is given, until the test's end."""
    with ExitStack() as stack:
        yield stack.enter_context


def test_ws_790_01_a_publish_reaches_every_subscriber_of_every_child_in_one_order(httpd, keep):
    clients = on_several_children(httpd, lambda: keep(httpd.open("/topics/one")))
    for number in range(50):
        response = publish(httpd, "/publish/one", f"number {number}")
        assert response.status == 201
        assert response.document["subscribers"] == len(clients)
        assert response.document["topic"] == "/one"
    for client in clients:
        received = [client.receive_message() for _ in range(50)]
        assert {each.opcode for each in received} == {TEXT}
        assert [each.text for each in received] == [f"number {n}" for n in range(50)]
        client.close_properly()


def test_ws_790_02_publishers_at_once_have_one_order_for_everybody(httpd, keep):
    count, publishers = 20, 4
    subscribers = on_several_children(httpd, lambda: keep(httpd.open("/topics/order")))
    sending = [keep(httpd.open("/open")) for _ in range(publishers)]
    listening = [keep(httpd.open("/open")) for _ in range(3)]
    for number in range(count):
        for each, client in enumerate(sending):
            client.send_frame(TEXT, f"{each}:{number}".encode())
    orders = []
    for client in [*sending, *listening]:
        orders.append([client.receive_message().text for _ in range(count * publishers)])
    assert all(order == orders[0] for order in orders)
    for each in range(publishers):
        own = [text for text in orders[0] if text.startswith(f"{each}:")]
        assert own == [f"{each}:{number}" for number in range(count)]
    # Nothing of it is for others.
    publish(httpd, "/publish/order", "last")
    for client in subscribers:
        assert client.receive_message().text == "last"
    for client in [*sending, *listening]:
        client.close_properly()


@pytest.mark.parametrize(
    "path, headers, topic",
    [
        ("/room/blue", (), "/rooms/blue"),
        ("/room/gr%C3%BCn", (), "/rooms/gr\N{LATIN SMALL LETTER U WITH DIAERESIS}n"),
        ("/tenant/x/y", [("X-Tenant", "acme")], "acme:/x/y"),
        ("/topics/deep/er", (), "/deep/er"),
        ("/topics/a%20b", (), "/a b"),
    ],
    ids=["capture", "utf-8", "reqenv", "path", "space"],
)
def test_ws_790_03_an_expression_names_the_topic(httpd, path, headers, topic):
    with Subscriber(httpd, path, headers=headers) as subscriber:
        assert subscriber.hello["topics"] == [topic]
        response = publish(httpd, f"/publish?topic={quote(topic, safe='')}", "here")
        assert (response.status, response.document["subscribers"]) == (201, 1)
        message = subscriber.next()
        assert (message["topic"], message["data"]) == (topic, "here")
        subscriber.leave()


def test_ws_790_04_one_websocket_may_have_several_topics(httpd):
    with Subscriber(httpd, "/several") as subscriber:
        assert subscriber.hello["topics"] == ["/a", "/b"]
        for number in range(10):
            publish(httpd, f"/publish/{'ab'[number % 2]}", str(number))
        messages = [subscriber.next() for _ in range(10)]
        assert [each["data"] for each in messages] == [str(number) for number in range(10)]
        assert [each["topic"] for each in messages] == ["/a", "/b"] * 5
        ids = [int(each["id"].partition("-")[2]) for each in messages]
        assert ids == sorted(set(ids))
        subscriber.leave()


def test_ws_790_05_what_is_published_twice_in_one_request_comes_to_both_topics(httpd):
    with Subscriber(httpd, "/several") as subscriber:
        response = publish(httpd, "/publish?topic=/b&topic=/a", "both")
        assert response.status == 201
        assert [each["topic"] for each in response.document] == ["/b", "/a"]
        assert [subscriber.next()["topic"] for _ in range(2)] == ["/b", "/a"]


def test_ws_790_06_bytes_are_binary_and_text_is_text(httpd, keep):
    plain = keep(httpd.open("/topics/kinds"))
    told = keep(Subscriber(httpd, "/topics/kinds"))
    every = bytes(range(256))
    publish(httpd, "/publish/kinds", every, type="application/octet-stream")
    publish(httpd, "/publish/kinds", 'a "quoted"\n\u2603', type="application/json")
    publish(httpd, "/publish/kinds", "", type="text/html")
    received = [plain.receive_message() for _ in range(3)]
    assert [(each.opcode, each.payload) for each in received] == [
        (BINARY, every), (TEXT, 'a "quoted"\n\u2603'.encode()), (TEXT, b""),
    ]
    binary, text, empty = (told.next() for _ in range(3))
    assert binary["encoding"] == "base64"
    assert base64.b64decode(binary["data"]) == every
    assert "encoding" not in text and text["data"] == 'a "quoted"\n\u2603'
    assert empty["data"] == ""
    plain.close_properly()
    told.leave()


def test_ws_790_07_a_client_may_not_publish_unless_it_may(httpd):
    with httpd.open("/topics/quiet") as client:
        client.send_frame(TEXT, b"hello?")
        client.be_closed(1008, b"no messages are taken here")
    assert ask(httpd, "/publish/quiet", "GET").document["published"] == 0


@pytest.mark.parametrize(
    "path, status",
    [
        ("/topics", 400),
        ("/topics/", 400),
        ("/topics/" + "x" * 254, 101),
        ("/topics/" + "x" * 255, 400),
        ("/topics/a%07b", 400),
        ("/topics/%FF", 400),
        ("/topics/%C2%85", 400),
        ("/guarded/x", 403),
        ("/topics/x?since=nonsense", 400),
        ("/topics/x?since=00c0ffee00c0ffee-1", 400),
    ],
)
def test_ws_790_08_what_names_no_topic_is_refused(httpd, path, status, error_log):
    if status == 403:
        error_log.expect("AH01630: client denied by server configuration")
    with httpd.client() as client:
        assert client.upgrade(path).status == status


def test_ws_790_09_a_subscriber_that_has_left_is_not_counted(httpd, keep):
    clients = [keep(httpd.open("/topics/leaving")) for _ in range(4)]
    assert ask(httpd, "/publish/leaving").document["subscribers"] == 4
    clients[0].close_properly()
    clients[1].reset()
    clients[2].vanish()

    def count():
        return ask(httpd, "/publish/leaving").document["subscribers"]

    eventually(lambda: count() == 1, "one subscriber")
    clients[3].close_properly()
    eventually(lambda: count() == 0, "no subscriber")
    assert publish(httpd, "/publish/leaving", "nobody").status == 202


def test_ws_790_10_the_subscribers_of_a_killed_child_are_not_counted(httpd, keep):
    clients = on_several_children(httpd, lambda: keep(httpd.open("/topics/killed")), least=2)
    everybody = ask(httpd, "/publish/killed").document["subscribers"]
    assert everybody == len(clients)
    # These, and none of the test before that is closing still.
    pids = [each["pid"] for each in Status(httpd).wait_for_open(len(clients))["connections"]]
    gone = pids.count(pids[0])
    httpd.error_log.expect_death(pids[0], gone)
    os.kill(pids[0], signal.SIGKILL)
    eventually(
        lambda: ask(httpd, "/publish/killed").document["subscribers"] == everybody - gone,
        "fewer subscribers",
    )
    assert publish(httpd, "/publish/killed", "to the others").document["subscribers"] == everybody - gone
    heard = 0
    for client in clients:
        try:
            heard += client.receive_message().text == "to the others"
        except (EOFError, ConnectionResetError):
            pass
    assert heard == everybody - gone


def test_ws_790_11_a_subscriber_costs_no_processor_time(httpd, keep, burns_no_cpu):
    clients = [keep(httpd.open("/topics/idle")) for _ in range(10)]
    burns_no_cpu(httpd)
    for client in clients:
        client.close_properly()


def test_ws_790_12_the_status_has_such_a_location(httpd):
    with httpd.open("/several"):
        (found,) = [
            each for each in Status(httpd).read()["locations"]
            if each["location"] == "localhost/several"
        ]
        assert (found["plugin"], found["open"]) == ("topics", 1)


def test_ws_790_13_what_a_section_does_not_set_it_takes_from_outside(httpd):
    for path, names, may_publish, has_history in [
        ("/outer", ["/outer/a", "/outer/b"], True, False),
        ("/outer/nothing", ["/outer/a", "/outer/b"], True, False),
        ("/outer/topic", ["/inner"], True, False),
        ("/outer/off", ["/outer/a", "/outer/b"], False, False),
        ("/outer/history", ["/outer/a", "/outer/b"], True, True),
    ]:
        with Subscriber(httpd, path) as subscriber:
            assert subscriber.hello["topics"] == names, path
            since = subscriber.id
            publish(httpd, f"/publish{names[0]}", "x")
            assert subscriber.next()["data"] == "x"
            with Subscriber(httpd, path, since) as back:
                assert back.hello["recovered"] is has_history, path
            subscriber.client.send_frame(TEXT, b"from the client")
            if may_publish:
                assert subscriber.next()["data"] == "from the client"
            else:
                subscriber.client.be_closed(1008, b"no messages are taken here")


def test_ws_790_14_the_figures_of_topics_are_the_same_in_each_form(make_httpd, mpm):
    # One that has delivered nothing before: that may be counted late.
    httpd = make_httpd(mpm, configuration, modules=MODULES, workers=WORKERS).start()
    before = Status(httpd).read()["topics"]
    with Subscriber(httpd, "/topics/counted") as one, Subscriber(httpd, "/topics/counted") as other:
        since = one.id
        for _ in range(3):
            publish(httpd, "/publish/counted", "x")
        one.data(3)
        other.data(3)
        with Subscriber(httpd, "/topics/counted", since) as back:
            back.data(3)
        with Subscriber(httpd, "/topics/counted", "0123456789abcdef-1") as lost:
            assert lost.hello["recovered"] is False
        # Counted when a round is over, behind what it has sent.
        after = Status(httpd).wait_for(
            lambda status: status["topics"]["delivered"] >= before["delivered"] + 9
            # A child that has no subscriber of what is published looks once in a while.
            and not any(each["lag_bytes"] for each in status["topics"]["children"]),
            "9 deliveries",
        )["topics"]
        assert after["published"] == before["published"] + 3
        assert after["delivered"] == before["delivered"] + 9
        assert after["resumed"] == before["resumed"] + 1
        assert after["gaps"] == before["gaps"] + 1
        assert 0 < after["used_bytes"] <= after["memory_bytes"] == 16 << 20
        assert after["children"]
        response = Status(httpd).get("?format=json&topics=1000")
        (found,) = [
            each for each in json.loads(response.body)["topics"]["list"]
            if each["topic"] == "/counted"
        ]
        assert found["published"] == 3 and found["subscribers"] >= 2
    metrics = Status(httpd).get("?format=openmetrics").text
    families = {family.name: family for family in text_string_to_metric_families(metrics)}
    now = Status(httpd).read()["topics"]
    for name in "published", "delivered", "gaps", "resumed":
        (sample,) = families[f"websocket_topics_{name}"].samples
        assert sample.value == now[name]
    (sample,) = families["websocket_topics_used_bytes"].samples
    assert sample.value == now["used_bytes"]
    assert Status(httpd).get("?format=json&topics=1001").status == 400
