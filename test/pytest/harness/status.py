"""What the status handler says, and closing connections through it."""

import json
from urllib.parse import urlencode

from .processes import connections
from .waiting import eventually

PATH = "/websocket-status"
LOCATION = f"<Location {PATH}>\n  SetHandler websocket-status\n  WebSocketStatusActions On\n</Location>\n"
FORM = "application/x-www-form-urlencoded"


class Status:
    """The status handler of a server."""

    def __init__(self, server, path=PATH):
        self._server = server
        self._path = path

    def get(self, query="", headers=(), **request):
        # A connection that is kept for a next request is one more that a server may be stopped with.
        headers = [("Connection", "close"), *headers]
        return self._server.ask(self._path + query, headers, **request)

    def read(self, connections=None):
        """The JSON document; `connections` is the page to list."""
        query = "?format=json" + (f"&connections={connections}" if connections else "")
        response = self.get(query)
        assert response.status == 200, response
        assert response.get("Content-Type") == "application/json"
        return json.loads(response.body)

    @property
    def total(self):
        return self.read()["total"]

    def name_of(self, path):
        """What a Location of the server is called."""
        return f"ws://localhost:{self._server.port}{path}"

    def location(self, path):
        """The figures of one Location."""
        found = [each for each in self.read()["locations"] if each["location"] == self.name_of(path)]
        assert len(found) <= 1, found
        return found[0] if found else None

    def wait_for(self, condition, what):
        """Waits until the document meets the condition, and returns it."""
        seen = []

        def met():
            seen.append(self.read())
            return condition(seen[-1])

        try:
            eventually(met, what)
        except AssertionError as problem:
            raise AssertionError(f"{problem}; the last status was {seen[-1]}") from None
        return seen[-1]

    def wait_for_open(self, count):
        """Waits until so many WebSockets are open and none is closing, which is listed, too, and has its place still."""
        return self.wait_for(
            lambda status: (status["total"]["open"], status["total"]["closing"]) == (count, 0),
            f"{count} open WebSockets, and none that is closing",
        )

    def generation_of(self, number):
        """The generation of the child that has this connection."""
        document = self.read()
        pids = {each["id"]: each["pid"] for each in document["connections"]}
        generations = {each["pid"]: each["generation"] for each in document["children"]}
        return generations[pids[number]]

    def open_in_new_generation(self, path):
        """A WebSocket in a later generation than those that are open.

        For a moment after a graceful restart the old one may still take connections.
        """
        known = {each["id"] for each in self.read()["connections"]}
        latest = max(self.generation_of(number) for number in known)

        def in_new_generation():
            client = self._server.open(path)
            try:
                (number,) = {each["id"] for each in self.read()["connections"]} - known
                if self.generation_of(number) > latest:
                    return client
            except BaseException:
                client.vanish()
                raise
            client.vanish()
            self.wait_for_open(len(known))
            return None

        return eventually(in_new_generation, "a WebSocket in the new generation")

    def close(self, number, code=1001, reason=None, headers=()):
        """Asks for the end of a connection; the response."""
        fields = {"id": number, "code": code}
        if reason is not None:
            fields["reason"] = reason
        return self.post(urlencode(fields), headers)

    def post(self, body, headers=(), content_type=FORM, **request):
        body = body.encode()
        fields = [("Content-Length", str(len(body))), *headers]
        if content_type:
            fields.append(("Content-Type", content_type))
        return self.get("", fields, method="POST", body=body, **request)


def wait_until_quiet(server, websockets=0):
    """Waits until every child has all its threads, and none has a connection but these.

    The event MPM may crash when it is stopped at once before that: its main thread looks at the sockets
    of its worker threads while those still start, or end a connection.
    """

    def is_quiet():
        children = server.children()
        try:
            return (
                children and not any(map(server.is_starting, children))
                and sum(map(connections, children)) <= websockets
            )
        except OSError:  # one has ended meanwhile
            return False

    eventually(is_quiet, "a server that has started and does nothing")
