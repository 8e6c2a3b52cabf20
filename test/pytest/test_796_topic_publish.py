"""Publishing over HTTP: what is answered, what is refused, and what a page of another origin cannot do."""

import json
import time
from contextlib import ExitStack
from urllib.parse import quote

import pytest

from harness import users
from harness.topics import Subscriber, ask, publish, publishing, several_children, topics

WORKERS = 40
MODULES = ("authz_host", *users.MODULES)
MOST = 8 << 10


def configuration(server):
    return (
        "WebSocketTopicMemory 64K\n"
        + several_children(server, children=2)
        + topics("/topics")
        + topics("/wide", *(f"WebSocketTopic %{{PATH_INFO}}/{number}" for number in range(128)))
        + publishing("/publish")
        + publishing("/one", "WebSocketTopic /only")
        + publishing("/small", "WebSocketMaxMessageSize 10")
        + publishing("/limited", "WebSocketRateLimit 1 3")
        + publishing("/limited-too", "WebSocketRateLimit 1 3")
        + publishing("/trusted", "WebSocketOriginCheck Trusted",
                     "WebSocketTrustedOrigin https://example.org")
        + publishing("/any-page", "WebSocketOriginCheck Off")
        + publishing("/any-host", "WebSocketTrustedHost *")
        + publishing("/alias", "WebSocketTrustedHost alias.example")
        + topics("/deep/down/topics")
        + publishing("/deep/down/publish")
        + publishing("/on-disk")
        + publishing("/slash/")
        + publishing("/slash/inner")
        + publishing("/case").replace("websocket-publish", "WebSocket-Publish")
        + topics("/both") + publishing("/both/publish")
        + publishing("/guarded", "Require ip 192.0.2.1")
        + guarded(server)
    )


def guarded(server):
    """A place that more may use than some of the places below it; and a directory with an .htaccess file."""
    (server.document_root / "on-disk" / "there").mkdir(parents=True)
    tenant = server.document_root / "tenant"
    for name in "topics", "publish":
        (tenant / name).mkdir(parents=True)
        (tenant / name / ".htaccess").write_text(f"SetHandler websocket-{name}\n")
    below = server.document_root / "below" / "tenant"
    below.mkdir(parents=True)
    (below / ".htaccess").write_text("SetHandler websocket-publish\n")
    return (
        publishing("/users", *users.authentication(server, "alice", "root"),
                   "<RequireAll>", "Require valid-user",
                   "Require expr %{REQUEST_URI} !~ m#^/users/expr#", "</RequireAll>")
        + "<Location /users/admin>\n  Require user root\n</Location>\n"
        + "<Location /users/none>\n  Require all denied\n</Location>\n"
        + "<Location /users/other>\n  SetHandler none\n</Location>\n"
        + "<Location /users/trusted>\n  WebSocketOriginCheck Trusted\n"
          "  WebSocketTrustedOrigin https://example.org\n</Location>\n"
        + publishing("/below")
        + "".join(f'<Directory "{path}">\n  AllowOverride FileInfo\n</Directory>\n' for path in (tenant, below))
        + "<Location /tenant/publish/wanted>\n  WebSocketTopicFromClient Off\n</Location>\n"
    )


def test_ws_796_01_nobody_is_202_and_somebody_is_201(httpd):
    nobody = publish(httpd, "/publish/who", "hello")
    assert (nobody.status, nobody.document["subscribers"]) == (202, 0)
    assert nobody.get("Content-Type") == "application/json"
    with Subscriber(httpd, "/topics/who") as subscriber:
        somebody = publish(httpd, "/publish/who", "hello", method="PUT")
        assert (somebody.status, somebody.document["subscribers"]) == (201, 1)
        assert subscriber.next()["id"] == somebody.document["id"]


def test_ws_796_02_a_chunked_body_is_a_message(httpd):
    with Subscriber(httpd, "/topics/chunked") as subscriber, httpd.client() as client:
        fields = [("Transfer-Encoding", "chunked"), ("Content-Type", "text/plain")]
        body = b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
        assert client.request("/publish/chunked", fields, method="POST", body=body).status == 201
        assert subscriber.next()["data"] == "hello"
        # The connection is good for the next one.
        body = b"1\r\n!\r\n0\r\n\r\n"
        assert client.request("/publish/chunked", fields, method="POST", body=body).status == 201
        assert subscriber.next()["data"] == "!"


@pytest.mark.parametrize("media_type", ["text/plain", "TEXT/HTML;charset=x", "application/json"])
def test_ws_796_03_text_that_is_not_utf_8_is_refused(httpd, media_type):
    refused = publish(httpd, "/publish/bytes", b"\xff\xfe", type=media_type)
    assert refused.status == 400 and "UTF-8" in refused.document["error"]


@pytest.mark.parametrize("media_type", ["application/octet-stream", "image/png", None])
def test_ws_796_04_any_other_type_is_bytes(httpd, media_type):
    with Subscriber(httpd, "/topics/any") as subscriber:
        assert publish(httpd, "/publish/any", b"\xff\xfe", type=media_type).status == 201
        assert subscriber.next()["encoding"] == "base64"


def test_ws_796_05_too_large_is_413(httpd):
    for path, size in ("/publish/large", MOST + 1), ("/small/large", 11):
        assert publish(httpd, path, "x" * size).status == 413
    assert publish(httpd, "/small/large", "x" * 10).status == 202
    assert publish(httpd, "/publish/large", "x" * (MOST - 400)).status == 202


@pytest.mark.parametrize(
    "path",
    ["/publish", "/publish/", "/publish/a?topic=/b", "/one?topic=/other", "/publish?topic=",
     "/publish?topic=%07", "/publish?topic=%FF", "/publish/%0A", "/publish/" + "x" * 255,
     "/publish?" + "&".join(f"topic=/{number}" for number in range(129))],
)
def test_ws_796_06_what_names_no_topic_is_400(httpd, path):
    refused = publish(httpd, path, "x")
    assert refused.status == 400 and refused.document["error"]


def test_ws_796_07_the_configuration_may_name_the_topic(httpd):
    assert publish(httpd, "/one", "x").document["topic"] == "/only"
    assert publish(httpd, "/one/whatever", "x").document["topic"] == "/only"


def test_ws_796_08_the_same_key_publishes_once(httpd):
    with Subscriber(httpd, "/topics/key") as subscriber:
        key = [("Idempotency-Key", "8e03978e-40d5")]
        answers = [publish(httpd, "/publish/key", "once", headers=key) for _ in range(3)]
        assert {each.status for each in answers} == {201}
        assert len({each.document["id"] for each in answers}) == 1
        other = publish(httpd, "/publish/key", "another", headers=key)
        assert other.status == 422 and "key" in other.document["error"]
        for body, type in (b"once\0", "text/plain"), (b"once", "image/png"):
            other = publish(httpd, "/publish/key", body, type=type, headers=key)
            assert other.status == 422
        publish(httpd, "/publish/key", "next")
        assert subscriber.data(2) == ["once", "next"]
    for bad in "", "x" * 256:
        refused = publish(httpd, "/publish/key", "x", headers=[("Idempotency-Key", bad)])
        assert refused.status == 400


def test_ws_796_09_a_topic_is_shown_and_forgotten(httpd):
    assert ask(httpd, "/publish/shown").status == 404
    assert ask(httpd, "/publish/shown", "DELETE").status == 404
    ids = [publish(httpd, "/publish/shown", str(number)).document["id"] for number in range(3)]
    shown = ask(httpd, "/publish/shown")
    assert shown.status == 200
    assert shown.document == {
        "topic": "/shown", "subscribers": 0, "id": ids[-1], "recent": ids,
        "published": 3, "delivered": 0, "dropped": 0, "gaps": 0, "resumed": 0,
    }
    assert ask(httpd, "/publish/shown", "DELETE").document["forgotten"] is True
    assert ask(httpd, "/publish/shown").document["recent"] == []


def test_ws_796_10_a_page_of_another_origin_cannot_publish(httpd):
    evil = [("Origin", "https://evil.example")]
    with Subscriber(httpd, "/topics/origin") as subscriber:
        for method in "POST", "PUT":
            refused = publish(httpd, "/publish/origin", "evil", method=method, headers=evil)
            assert refused.status == 403
        assert ask(httpd, "/publish/origin", "DELETE", headers=evil).status == 403
        own = [("Origin", f"http://127.0.0.1:{httpd.port}")]
        assert publish(httpd, "/publish/origin", "own", headers=own).status == 201
        assert subscriber.next()["data"] == "own"
    trusted = [("Origin", "https://example.org")]
    # To another topic: the subscriber may still count.
    assert publish(httpd, "/trusted/other", "x", headers=trusted).status == 202
    assert publish(httpd, "/trusted/other", "x", headers=evil).status == 403


def test_ws_796_11_other_methods_are_405(httpd):
    response = httpd.ask("/publish/x", [("Connection", "close")], method="PATCH")
    assert response.status == 405
    assert response.get("Allow") == "GET, HEAD, POST, PUT, DELETE"
    assert json.loads(response.body)["error"]


def test_ws_796_12_require_decides_who_publishes(httpd, error_log):
    error_log.expect("AH01630: client denied by server configuration")
    fields = [("Content-Length", "1"), ("Connection", "close")]
    assert httpd.ask("/guarded/x", fields, method="POST", body=b"x").status == 403


@pytest.fixture
def wide(mpm):
    """How many WebSockets of 128 topics there may be at once. The other MPMs have a thread or a process for each."""
    if mpm != "event":
        pytest.skip("it is the log that is full, which has no MPM")
    return 10_000 // 128


def test_ws_796_13_more_topics_with_subscribers_than_there_may_be_are_503(httpd, wide, error_log):
    error_log.expect("WS0212: 503 for /publish/.*: too many topics")
    with ExitStack() as stack:
        for number in range(wide):
            stack.enter_context(httpd.open(f"/wide/{number}"))
        with httpd.client() as client:
            refused = client.upgrade("/wide/one-more")
            assert (refused.status, refused.get("Retry-After")) == (503, "10")
        # What it had got before it was refused is free again.
        left = 10_000 - 128 * wide
        for number in range(left):
            stack.enter_context(httpd.open(f"/topics/{number}"))
        refused = publish(httpd, "/publish/one-more", "x")
        assert (refused.status, refused.get("Retry-After")) == (503, "1")
        assert publish(httpd, "/publish/0", "x").status == 201
    assert publish(httpd, "/publish/after", "x").status in (202, 503)


@pytest.mark.parametrize("method", ["POST", "PUT", "GET", "DELETE"])
@pytest.mark.parametrize("topic, status", [
    ("/admin", 401), ("/admin/deep", 401), ("admin", 401), ("/none/x", 403), ("/expr", 403),
    ("/other/x", 403), ("/x/../admin", 401), ("/x/../free", 400), ("//free", 400), ("/./free", 400),
])
def test_ws_796_14_who_may_not_use_the_path_may_not_use_the_query(
        httpd, error_log, method, topic, status):
    if status == 401:
        error_log.expect("AH01631: user alice: authorization failure")
    elif topic in ("/none/x", "/expr"):
        error_log.expect("AH01630: client denied by server configuration")
    publish(httpd, "/publish/free", "it is there")
    before = ask(httpd, "/publish/free").document["published"]
    query = f"topic=/free&topic={quote(topic, safe='')}"
    body = "x" if method in ("POST", "PUT") else ""
    refused = publish(httpd, f"/users?{query}", body, method=method, headers=users.basic("alice"))
    assert refused.status == status and refused.document["error"]
    assert (refused.get("WWW-Authenticate") is not None) == (status == 401)
    after = ask(httpd, "/publish/free").document
    assert after["published"] == before and after["recent"]


def test_ws_796_15_who_may_use_the_path_may_use_the_query(httpd):
    for user, path in (("root", "/users?topic=/admin&topic=/free"), ("alice", "/users?topic=/free"),
                       ("alice", "/users/?topic=/fr%C3%BCh%20%25%3F%23&topic=acme:/x")):
        assert publish(httpd, path, "x", headers=users.basic(user)).status == 202
    evil = [*users.basic("alice"), ("Origin", f"http://127.0.0.1:{httpd.port}")]
    assert publish(httpd, "/users?topic=/free", "x", headers=evil).status == 202
    assert publish(httpd, "/users?topic=/trusted", "x", headers=evil).status == 403


def test_ws_796_16_htaccess_opens_no_topics(httpd):
    for path in ("/tenant/publish/x", "/tenant/publish?topic=/x", "/tenant/publish/?topic=/x",
                 "/below/tenant/x", "/below?topic=/tenant/x"):
        refused = publish(httpd, path, "x")
        assert refused.status == 403 and "WebSocketTopicFromClient" in refused.document["error"]
    with httpd.client() as client:
        assert client.upgrade("/tenant/topics/x").status == 403
    assert publish(httpd, "/below?topic=/x", "x").status == 202
    # The administrator's own word makes it a place for topics.
    assert publish(httpd, "/tenant/publish/wanted/x", "x").status == 202


def test_ws_796_17_a_client_publishes_no_more_often_than_it_may(httpd):
    begun = time.monotonic()
    answers = []
    while not answers or answers[-1].status == 202 and len(answers) < 300:
        answers.append(publish(httpd, "/limited/rate", "x"))
    # A slow machine may publish more in the time that it takes, and never less.
    assert 3 < len(answers) < 3 + 2 + time.monotonic() - begun
    refused = answers[-1]
    assert refused.status == 429 and int(refused.get("Retry-After")) >= 1
    assert "WebSocketRateLimit" in refused.document["error"]
    # Another place has an allowance of its own, and several topics take of it what several messages do.
    assert publish(httpd, "/limited-too?topic=/a&topic=/b&topic=/c", "x").status == 202
    assert ask(httpd, "/publish/rate").document["published"] == len(answers) - 1


def test_ws_796_18_a_topic_that_is_named_twice_gets_the_message_once(httpd):
    with Subscriber(httpd, "/topics/twice") as subscriber:
        answer = publish(httpd, "/publish?topic=/twice&topic=/other&topic=/twice", "once")
        assert [each["topic"] for each in answer.document] == ["/twice", "/other"]
        publish(httpd, "/publish/twice", "next")
        assert subscriber.data(2) == ["once", "next"]


def test_ws_796_19_of_several_topics_those_that_are_there_are_forgotten(httpd):
    publish(httpd, "/publish/there", "x")
    answer = ask(httpd, "/publish?topic=/not-there&topic=/there", "DELETE")
    assert (answer.status, [each["forgotten"] for each in answer.document]) == (200, [False, True])
    assert ask(httpd, "/publish?topic=/not-there&topic=/nor-there", "DELETE").status == 404


@pytest.mark.parametrize(("path", "name"), [
    ("/deep/down/publish/news", "/news"),
    ("/deep/down/publish?topic=/news", "/news"),
    ("/on-disk/news", "/news"),
    ("/on-disk/there/news", "/there/news"),
    ("/on-disk/not-there/admin", "/not-there/admin"),
    ("/on-disk?topic=/there/news", "/there/news"),
    ("/slash/news", "/news"),
    ("/slash/inner/news", "/inner/news"),
    ("/case/not-there/news", "/not-there/news"),
    ("/both/publish/news", "/news"),
])
def test_ws_796_20_a_name_is_what_follows_the_locations_path_whatever_is_on_disk(httpd, path, name):
    assert publish(httpd, path, "x").document["topic"] == name


def test_ws_796_21_locations_far_down_meet_in_their_topics(httpd):
    with Subscriber(httpd, "/deep/down/topics/meet") as subscriber:
        assert publish(httpd, "/deep/down/publish/meet", "x").status == 201
        assert publish(httpd, "/publish/meet", "y").status == 201
        assert subscriber.data(2) == ["x", "y"]


# What a browser sends for a page of evil.example, whose name server answers with this server's address.
REBOUND = {"host": "evil.example", "headers": [("Origin", "http://evil.example")]}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize("path", ["/publish/rebound", "/publish?topic=/rebound", "/trusted/rebound", "/alias/rebound"])
def test_ws_796_22_a_page_whose_name_server_points_here_cannot_publish(httpd, method, path):
    publish(httpd, "/publish/rebound", "it is there")
    before = ask(httpd, "/publish/rebound").document
    refused = publish(httpd, path, "x", method=method, **REBOUND)
    assert refused.status == 403
    if path.startswith("/publish"):
        assert "ServerAlias or WebSocketTrustedHost" in refused.document["error"]
    assert ask(httpd, "/publish/rebound").document == before


def test_ws_796_23_what_is_no_page_and_what_is_trusted_publishes_by_any_name(httpd):
    assert publish(httpd, "/publish/named", "x", host="evil.example").status == 202
    assert publish(httpd, "/any-page/named", "x", **REBOUND).status == 202
    assert publish(httpd, "/any-host/named", "x", **REBOUND).status == 202
    port = httpd.port
    for path, host in ("/publish", "localhost"), ("/publish", "[::1]"), ("/publish", "192.0.2.1"), ("/alias", "alias.example"):
        own = {"host": f"{host}:{port}", "headers": [("Origin", f"http://{host}:{port}")]}
        assert publish(httpd, f"{path}/named", "x", **own).status == 202
