"""The figures of topics, of each and in all: the same exact numbers in every form, behind a known sequence."""

import json
import re

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.parser import text_string_to_metric_families as older_families

from harness.status import LOCATION, Status
from harness.topics import Subscriber, ask, publish, publishing, several_children, topics
from harness.waiting import eventually

MODULES = ("status",)
WORKERS = 40
# What a client does not read waits in the server: little of it in the sockets' buffers.
SIZE = 60_000
RECEIVE_BUFFER = 4096
# Escaped in HTML, in labels, in JSON, and in a path.
NAME = "/drop/a<b>\"'&\\"
PATH = "/drop/a%3Cb%3E%22'&%5C"
COUNTS = ("published", "delivered", "dropped", "gaps", "resumed")


def configuration(server):
    return (
        "WebSocketTopicMemory 64M\nSendBufferSize 65536\n"
        + several_children(server)
        + LOCATION
        + "<Location /server-status>\n  SetHandler server-status\n</Location>\n"
        + topics("/topics", "WebSocketSendBuffer 64K", "WebSocketTopicSlow drop")
        + publishing("/publish")
    )


@pytest.fixture
def fresh(make_httpd, mpm):
    """A server that has counted nothing yet."""
    return make_httpd(mpm, configuration, modules=MODULES, workers=WORKERS).start()


def sequence(httpd):
    """Published: 2 small ones and some large; a client that drops, one that comes back, one that has lost something.
    Gives what is to be counted of the topic."""
    expected = dict.fromkeys(COUNTS, 0)

    def send(body):
        expected["published"] += 1
        return publish(httpd, f"/publish{PATH}", body).document["id"]

    with Subscriber(httpd, f"/topics{PATH}", receive_buffer=RECEIVE_BUFFER) as slow:
        since = send("1")
        send("2")
        assert slow.data(2) == ["1", "2"]
        # It reads nothing until some were dropped; once it reads, it is told how many.
        while not Status(httpd).read()["topics"]["dropped"]:
            assert expected["published"] < 200
            send("x" * SIZE)
        expected["delivered"] = 2
        while "dropped" not in (message := slow.next()):
            assert message["data"][0] == "x"
            expected["delivered"] += 1
        expected["dropped"] = message["dropped"]
        assert expected["delivered"] + expected["dropped"] == expected["published"]
    with Subscriber(httpd, f"/topics{PATH}", since) as back:
        assert back.hello["recovered"] is True
        back.data(expected["published"] - 1)
        expected["resumed"] = 1
        expected["delivered"] += expected["published"] - 1
    with Subscriber(httpd, f"/topics{PATH}", "0123456789abcdef-1") as lost:
        assert lost.hello["recovered"] is False
        expected["gaps"] = 1
    return expected


def of_json(httpd):
    (found,) = [each for each in Status(httpd).read()["topics"]["list"] if each["topic"] == NAME]
    return found


def of_openmetrics(httpd, families_of, query):
    text = Status(httpd).get(query).text
    samples = {
        (sample.name, sample.labels.get("topic")): sample.value
        for family in families_of(text)
        for sample in family.samples
    }
    topic = {name: samples[f"websocket_topic_{name}_total", NAME] for name in COUNTS}
    everything = {name: samples[f"websocket_topics_{name}_total", None] for name in COUNTS}
    return topic, everything


def of_lines(httpd):
    text = httpd.ask("/server-status?auto", [("Connection", "close")]).text
    fields = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
    (index,) = [
        key[len("WebSocketTopic["):-len("]Name")]
        for key, value in fields.items()
        if re.fullmatch(r"WebSocketTopic\[\d+\]Name", key) and value == NAME
    ]
    topic = {name: int(fields[f"WebSocketTopic[{index}]{name.capitalize()}"]) for name in COUNTS}
    everything = {name: int(fields[f"WebSocketTopics{name.capitalize()}"]) for name in COUNTS}
    lags = {key: value for key, value in fields.items() if key.endswith("]LagBytes")}
    return topic, everything, lags


def of_html(httpd, path):
    page = httpd.ask(path, [("Connection", "close")]).text
    assert "a<b>" not in page
    row = re.search(r"<td>/drop/a&lt;b&gt;[^<]*</td>(.*?)</tr>", page)
    cells = [int(cell) for cell in re.findall(r">(\d+)</td>", row[1])]
    # Behind the number of subscribers.
    topic = dict(zip(COUNTS, cells[1:], strict=True))
    found = re.search(r"(\d+) published, (\d+) delivered, (\d+) dropped, (\d+) gaps, (\d+) clients", page)
    everything = dict(zip(COUNTS, map(int, found.groups()), strict=True))
    assert "<th>Bytes behind</th>" in page
    return topic, everything


def test_ws_793_01_each_form_has_the_same_figures_of_a_topic_and_of_all(fresh):
    httpd = fresh
    expected = sequence(httpd)
    # Counted when a round is over, behind what it has sent.
    eventually(lambda: Status(httpd).read()["topics"]["delivered"] == expected["delivered"], expected)
    document = Status(httpd).read()["topics"]
    assert {name: document[name] for name in COUNTS} == expected
    assert {name: of_json(httpd)[name] for name in COUNTS} == expected
    shown = ask(httpd, f"/publish{PATH}").document
    assert shown["topic"] == NAME
    assert {name: shown[name] for name in COUNTS} == expected
    assert of_openmetrics(
        httpd, text_string_to_metric_families, "?format=openmetrics") == (expected, expected)
    assert of_openmetrics(httpd, older_families, "?format=prometheus") == (expected, expected)
    topic, everything, lags = of_lines(httpd)
    assert (topic, everything) == (expected, expected)
    assert len(lags) == len(document["children"]) > 0
    for path in "/server-status", "/websocket-status":
        assert of_html(httpd, path) == (expected, expected)


def test_ws_793_02_each_child_that_has_subscribers_has_its_lag(fresh):
    httpd = fresh
    with Subscriber(httpd, "/topics/lag"), Subscriber(httpd, "/topics/lag"):
        pids = {str(each["pid"]) for each in Status(httpd).read()["topics"]["children"]}
        assert pids
        text = Status(httpd).get("?format=openmetrics").text
        families = {family.name: family for family in text_string_to_metric_families(text)}
        samples = families["websocket_topics_child_lag_bytes"].samples
        assert {sample.labels["pid"] for sample in samples} == pids


def test_ws_793_03_so_many_topics_are_listed_as_are_asked_for(fresh):
    httpd = fresh
    for number in range(25):
        for _ in range(1 + (number in (3, 17))):
            publish(httpd, f"/publish/list/{number}", "x")

    def listed(query):
        document = json.loads(Status(httpd).get(f"?format=json{query}").body)
        return [each["topic"] for each in document["topics"]["list"]]

    def labels(query):
        text = Status(httpd).get(f"?format=openmetrics{query}").text
        families = {family.name: family for family in text_string_to_metric_families(text)}
        return {sample.labels["topic"] for sample in families["websocket_topic_published"].samples}

    # Those to which most was published are first.
    assert listed("&topics=2") == ["/list/17", "/list/3"]
    assert len(listed("")) == len(labels("")) == 20
    assert len(listed("&topics=1000")) == 25
    assert labels("&topics=2") == {"/list/17", "/list/3"}
    assert listed("&topics=0") == [] and labels("&topics=0") == set()
    for form in "json", "openmetrics", "prometheus", "html":
        assert Status(httpd).get(f"?format={form}&topics=1001").status == 400
