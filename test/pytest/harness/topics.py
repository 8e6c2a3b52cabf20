"""Locations for topics, on several children; publishing over HTTP, and clients that subscribe."""

import json
from urllib.parse import quote

from .rawclient import TEXT
from .status import Status

TEXT_TYPE = "text/plain; charset=utf-8"
CHILDREN = 4


def several_children(server, threads=16, children=CHILDREN):
    """Lines by which the server has several children from the start on, and keeps them."""
    if server.mpm == "prefork":
        return ""
    return (
        f"ServerLimit {2 * children}\nStartServers {children}\nThreadsPerChild {threads}\n"
        f"MaxRequestWorkers {children * threads}\n"
        f"MinSpareThreads 1\nMaxSpareThreads {children * threads}\n"
    )


def topics(path, *lines):
    """A <Location> whose clients subscribe."""
    return _location(path, "websocket-topics", lines)


def publishing(path, *lines):
    """A <Location> that publishes."""
    return _location(path, "websocket-publish", lines)


def _location(path, handler, lines):
    body = "".join(f"  {line}\n" for line in (f"SetHandler {handler}", *lines))
    return f"<Location {path}>\n{body}</Location>\n"


def publish(httpd, path, body, *, type=TEXT_TYPE, method="POST", headers=(), host=None):
    """Publishes, and gives the response with its document."""
    body = body.encode() if isinstance(body, str) else body
    fields = [("Content-Length", str(len(body))), ("Connection", "close"), *headers]
    if type is not None:
        fields.append(("Content-Type", type))
    response = httpd.ask(path, fields, method=method, body=body, host=host)
    response.document = json.loads(response.body)
    return response


def ask(httpd, path, method="GET", headers=()):
    response = httpd.ask(path, [("Connection", "close"), *headers], method=method)
    response.document = json.loads(response.body)
    return response


class Subscriber:
    """A client of `topics.json`, which knows what it has seen last."""

    def __init__(self, httpd, path, since=None, **options):
        query = f"?since={quote(since)}" if since else ""
        self.client = httpd.open(path + query, protocol="topics.json", **options)
        assert self.client.response.get("Sec-WebSocket-Protocol") == "topics.json"
        self.hello = self.next()
        self.id = self.hello["id"]

    def next(self):
        received = self.client.receive_message()
        assert received.opcode == TEXT
        document = json.loads(received.text)
        self.id = document.get("id", getattr(self, "id", None))
        return document

    def data(self, count):
        """What the next messages have."""
        return [self.next()["data"] for _ in range(count)]

    def leave(self):
        self.client.close_properly()

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.client.vanish()


def on_several_children(httpd, open_one, least=3, most=200):
    """Opens WebSockets until so many children have some; prefork's have one each."""
    opened = []
    pids = set()
    while len(pids) < least or len(opened) < 2 * least:
        assert len(opened) < most, f"{most} WebSockets on the children {pids}"
        opened.append(open_one())
        pids = {each["pid"] for each in Status(httpd).read()["connections"]}
    return opened
