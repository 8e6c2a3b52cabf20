"""The status handler's answers: the page, JSON, OpenMetrics, and what is no good request."""

import re

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from harness.conf import ECHO, example, location
from harness.status import LOCATION, Status

MODULES = ("authz_host",)


def configuration(server):
    return (
        LOCATION
        + location("/echo", example(ECHO))
        + location("/pinged", example(ECHO), "WebSocketPingInterval 50ms")
        + location(r'''"/quote'\\\"<b>&amp;"''', example(ECHO))
        + "<Location /guarded>\n  SetHandler websocket-status\n  Require ip 192.0.2.1\n</Location>\n"
    )


@pytest.fixture
def status(httpd):
    return Status(httpd)


# A path that is trouble for every form of output, as a request has it.
QUOTE = "/quote'%5C%22%3Cb%3E&amp;"
QUOTE_NAME = "localhost/quote'\\\"<b>&amp;"


def test_ws_740_01_the_page_is_whole_in_itself(status):
    response = status.get()
    assert response.status == 200
    assert response.get("Content-Type") == "text/html; charset=utf-8"
    page = response.text
    assert page.startswith("<!DOCTYPE html>") and page.endswith("</html>\n")
    addresses = re.findall(r'\b(?:src|href|action|srcset)\s*=\s*"([^"]*)"', page)
    assert addresses and all(re.match(r"data:|\?", address) for address in addresses), addresses
    assert "@import" not in page and "url(" not in page


def test_ws_740_02_the_page_runs_its_own_script_and_no_other(status):
    def nonce_of(response):
        policy = response.get("Content-Security-Policy")
        assert "default-src 'none'" in policy and "unsafe" not in policy
        (nonce,) = set(re.findall(r"'nonce-([0-9a-f]{32})'", policy))
        assert set(re.findall(r'nonce="([^"]*)"', response.text)) == {nonce}
        assert "{nonce}" not in response.text
        return nonce

    assert nonce_of(status.get()) != nonce_of(status.get("?format=html"))
    page = status.get().text
    # The policy forbids both.
    assert not re.search(r"<[^>]*\son\w+\s*=", page)
    assert not re.search(r"<[^>]*\sstyle\s*=", page)


@pytest.mark.parametrize("query", ["", "?format=json", "?format=openmetrics", "?format=pdf"])
def test_ws_740_03_no_answer_is_kept_or_seen_by_other_sites(status, query):
    response = status.get(query)
    assert response.get("Cache-Control") == "no-store"
    assert response.get("X-Content-Type-Options") == "nosniff"
    assert response.get("Cross-Origin-Resource-Policy") == "same-origin"
    assert response.get("Access-Control-Allow-Origin") is None


def test_ws_740_04_head_is_get_without_a_body(status):
    response = status.get("?format=json", method="HEAD")
    assert response.status == 200
    assert response.get("Content-Type") == "application/json"


COUNTS = {
    "accepted": int,
    "bytes": {"in": int, "out": int},
    "closes": dict,
    "closing": int,
    "longest_callback": float,
    "messages": {"in": int, "out": int},
    "open": int,
    "opening": int,
    "ping_round_trip": {"count": int, "p50": (float, type(None)), "p99": (float, type(None))},
    "queued_bytes": int,
    "refused": dict.fromkeys(
        [
            "bad_handshake", "origin", "plugin", "too_many_connections", "too_many_of_client",
            "too_many_in_location", "no_plugin", "other",
        ],
        int,
    ),
}
LIMIT = (int, type(None))
SHAPE = {
    "build": str,
    "children_died": int,
    "children": [
        {
            "build": str, "connections": int, "generation": int,
            "limits": {"connections": LIMIT, "message_bytes": LIMIT, "websockets": LIMIT},
            "message_bytes": int, "outdated": bool, "pid": int, "since": float, "stopping": bool,
            "threads": {"busy": int, "idle": int},
        }
    ],
    "connections": [
        {
            "bytes": {"in": int, "out": int}, "client": str, "compressed": bool, "id": int,
            "location": str, "origin": (str, type(None)), "path": str,
            "subprotocol": (str, type(None)), "tls": bool, "user": (str, type(None)),
            "messages": {"in": int, "out": int}, "pid": int,
            "ping_round_trip": (float, type(None)), "queued_bytes": int, "since": float,
            "state": str,
        }
    ],
    "locations": [{"location": str, "plugin": str, **COUNTS}],
    "matching": int,
    "mpm": str,
    "next": (int, type(None)),
    "now": float,
    "server": str,
    "since": float,
    "threads": {"busy": int, "idle": int},
    "topics": {
        "published": int, "delivered": int, "dropped": int, "gaps": int, "resumed": int,
        "known": int, "most": int, "evicted": int, "used_bytes": int, "memory_bytes": int,
        "children": [{"pid": int, "lag_bytes": int}],
        "list": [{
            "topic": str, "subscribers": int,
            "published": int, "delivered": int, "dropped": int, "gaps": int, "resumed": int,
        }],
    },
    "total": COUNTS,
}


def differences(value, shape, place="status"):
    """Where a JSON value is not of the shape: types, lists of one shape, objects with all its keys."""
    if isinstance(shape, list):
        if not isinstance(value, list):
            return [f"{place} is no list"]
        return [
            each
            for index, item in enumerate(value)
            for each in differences(item, shape[0], f"{place}[{index}]")
        ]
    if isinstance(shape, dict):
        if not isinstance(value, dict) or value.keys() != shape.keys():
            return [f"{place} is {value!r}"]
        return [
            each for key in shape for each in differences(value[key], shape[key], f"{place}.{key}")
        ]
    is_right = isinstance(value, shape) and (shape is bool or not isinstance(value, bool))
    return [] if is_right else [f"{place} is {value!r}"]


def test_ws_740_05_json_has_the_shape_that_is_documented(httpd, status):
    with httpd.open("/echo") as client:
        client.echo("hello")
        document = status.read()
        assert differences(document, SHAPE) == []
        assert document["connections"] and document["locations"] and document["children"]
        assert document["mpm"] == httpd.mpm
        client.close_properly()
    status.wait_for_open(0)


def metrics(text):
    """The samples of OpenMetrics text, by name and labels; fails when the text is not right."""
    samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples[sample.name, frozenset(sample.labels.items())] = sample.value
    return samples


def test_ws_740_06_openmetrics_is_what_a_parser_takes_and_json_says(httpd, status):
    # Of one that has ended everything is counted.
    with httpd.open("/echo") as client:
        client.echo("hello")
        client.close_properly()
    status.wait_for_open(0)
    with httpd.open("/echo") as client, httpd.open("/pinged") as pinged:
        ping = pinged.receive_frame()
        pinged.send_frame(0xA, ping.payload)
        status.wait_for(
            lambda document: document["total"]["ping_round_trip"]["count"] >= 1, "a round trip"
        )
        response = status.get("?format=openmetrics")
        assert response.get("Content-Type") == (
            "application/openmetrics-text; version=1.0.0; charset=utf-8"
        )
        samples = metrics(response.text)
        figures = status.location("/echo")
        of = {"location": "localhost/echo", "plugin": "mod_websocket_echo"}

        def value(name, **labels):
            return samples[name, frozenset({**of, **labels}.items())]

        assert value("websocket_connections", state="open") == 1
        assert value("websocket_accepted_total") == figures["accepted"]
        assert value("websocket_messages_total", direction="in") == figures["messages"]["in"]
        assert value("websocket_transferred_bytes_total", direction="out") == figures["bytes"]["out"]
        assert value("websocket_queued_bytes") == 0
        assert value("websocket_refused_total", reason="origin") == figures["refused"]["origin"]
        assert value("websocket_closes_total", code="1000") == figures["closes"].get("1000", 0)
        assert value("websocket_longest_callback_seconds") == figures["longest_callback"] > 0
        of["location"] = "localhost/pinged"
        count = value("websocket_ping_round_trip_seconds_count")
        assert count >= 1
        assert value("websocket_ping_round_trip_seconds_bucket", le="+Inf") == count
        assert value("websocket_ping_round_trip_seconds_sum") > 0
        of.clear()
        assert value("websocket_children", state="running") >= 1
        assert value("websocket_threads", state="busy") >= 0
        client.close_properly()
        pinged.vanish()
    status.wait_for_open(0)


def test_ws_740_07_a_name_that_is_trouble_is_a_name_in_every_form(httpd, status):
    with httpd.open(QUOTE) as client:
        assert [each["location"] for each in status.read()["connections"]] == [QUOTE_NAME]
        samples = metrics(status.get("?format=openmetrics").text)
        key = frozenset({
            "location": QUOTE_NAME, "plugin": "mod_websocket_echo", "state": "open"
        }.items())
        assert samples["websocket_connections", key] == 1
        client.close_properly()


@pytest.mark.parametrize(
    "query",
    [
        "?format=xml", "?format=", "?format=json&connections=", "?format=json&connections=5",
        "?format=json&connections=0,1001", "?format=json&connections=-1,5",
        "?format=json&connections=0,x",
    ],
)
def test_ws_740_08_what_is_asked_for_wrongly_is_said(status, query):
    response = status.get(query)
    assert response.status == 400
    assert response.get("Content-Type") == "text/plain; charset=utf-8"
    assert re.match(r"(format|connections) is ", response.text)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
def test_ws_740_09_other_methods_are_not_allowed(status, method):
    response = status.get("", method=method)
    assert response.status == 405
    assert response.get("Allow") == "GET, HEAD, POST"


def test_ws_740_10_require_guards_it(httpd):
    httpd.error_log.expect("AH01630")
    guarded = Status(httpd, "/guarded")
    for query in ("", "?format=json", "?format=openmetrics"):
        assert guarded.get(query).status == 403
    assert guarded.close(1).status == 403


def test_ws_740_11_only_where_it_is_asked_for(httpd):
    response = httpd.ask("/index.html?format=json")
    assert (response.status, response.text) == (200, "<p>index</p>\n")
