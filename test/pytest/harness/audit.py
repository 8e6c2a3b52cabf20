"""An access log with what it has to say of a WebSocket: status, duration, and which one it was."""

import itertools
import time

from .waiting import eventually

_FILE = "audit.log"
_numbers = itertools.count()
CONFIGURATION = f'LogFormat "%>s %D %q" audit\nCustomLog "{_FILE}" audit\n'


class Audit:
    """Names WebSockets by their queries, and checks that each gets its one line from now on."""

    def __init__(self, server):
        self._path = server.directory / _FILE
        self._begin = self._path.stat().st_size if self._path.exists() else 0
        self._opened = {}
        self._left = {}

    def name(self, path):
        """`path` with a name for a WebSocket that is opened now."""
        return f"{path}?{next(_numbers)}"

    def opened(self, path):
        self._opened[path.partition("?")[2]] = time.monotonic()

    def leaving(self, path):
        """Nothing has been done yet to end this WebSocket."""
        self._left[path.partition("?")[2]] = time.monotonic()

    def verify(self):
        """Each WebSocket has one line, with 101 and no less time than it was open."""

        def complete():
            lines = self._lines()
            return lines if {name for _, _, name in lines} >= set(self._opened) else None

        lines = eventually(complete, "an access log line for each WebSocket")
        names = [name for _, _, name in lines]
        assert len(names) == len(set(names)), "a WebSocket has more than one access log line"
        for status, duration, name in lines:
            assert status == 101, (status, name)
            if name in self._left:
                # It was open in between, for the server longer than for us; clocks may differ a bit.
                least = self._left[name] - self._opened[name]
                assert duration > least * 0.9, f"{duration} s, but {name} was open for {least} s"

    def _lines(self):
        """Status, duration in seconds and name of each request with a query."""
        if not self._path.exists():
            return []
        text = self._path.read_bytes()[self._begin :].decode("utf-8", "replace")
        fields = [line.split(" ", 2) for line in text[: text.rfind("\n") + 1].splitlines()]
        return [
            (int(status), int(duration) / 1e6, name[1:])
            for status, duration, name in fields if name.startswith("?")
        ]
