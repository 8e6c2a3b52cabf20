"""The error log of a private httpd, and the rule that it holds no surprise."""

import re
from dataclasses import dataclass

from .waiting import eventually

_LINE = re.compile(r"^\[[^\]]+\] \[(?P<module>[\w-]*):(?P<level>\w+)\] ")
# No prefix of httpd's: something was written to the standard error output of a child.
UNFORMATTED = "stderr"
_ALARMING_LEVELS = {"emerg", "alert", "crit", "error", "warn", UNFORMATTED}
_CHILD_DEATH = re.compile(r"exit signal")
# Said about the machine, not about what happens in a test: mod_ssl saw another build of OpenSSL;
# the event MPM was stopped between an error response and the end of its lingering close.
_ABOUT_THE_MACHINE = re.compile(r" AH01882: | AH03092: process_lingering_close: apr_pollset_add")


# What the system's libraries say of what is about to end a process.
_LAST_WORDS = (
    r"exit signal|^terminate called|^  what\(\):|^FATAL: exception not rethrown|Rust cannot catch foreign exceptions|"
    r"^fatal runtime error"
)


def died(pid=r"\d+", lost=r"\d+", calls=""):
    """The line about a child that has died with so many WebSockets, and what it was calling."""
    lost = {0: "no WebSocket was", 1: "1 WebSocket was"}.get(lost, f"{lost} WebSockets? w(as|ere)")
    return rf"\[websocket:error\] .* WS0003: the child process {pid} has died: {lost} lost; .*{calls}"


@dataclass(frozen=True)
class Entry:
    text: str
    module: str
    level: str

    @property
    def alarming(self):
        if _ABOUT_THE_MACHINE.search(self.text):
            return False
        return self.level in _ALARMING_LEVELS or bool(_CHILD_DEATH.search(self.text))


def parse(text):
    match = _LINE.match(text)
    if match:
        return Entry(text, match["module"], match["level"])
    return Entry(text, "", UNFORMATTED)


class ErrorLog:
    """Knows which lines came since the test began and which of them the test has announced."""

    def __init__(self, path):
        self.path = path
        self._begin = 0
        self._expected = []
        self._tolerated = []
        self._announced_before = []

    def begin(self):
        """Starts the account of a new test; what came before it belongs to nobody."""
        self._begin = self._end()
        # A line that a test announced may come twice, and later than its client has left: the scribe writes it, or
        # the parent when it has noticed.
        self._announced_before = self._expected + self._tolerated
        self._expected, self._tolerated = [], []

    def expect(self, pattern):
        """Announces lines at warn or above that match `pattern`. At least one must come."""
        self._expected.append(re.compile(pattern))

    def expect_death(self, *which, **what):
        """Announces the end of a child, as `died` describes it; whatever the system says of it may come, too."""
        self.expect(died(*which, **what))
        self._tolerated.append(re.compile(_LAST_WORDS))

    def entries(self):
        """The complete lines logged since the test began."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            # One byte more, which tells whether a line was being written when the test began: that
            # line is not this test's.
            file.seek(max(self._begin - 1, 0))
            data = file.read()
        if self._begin > 0:
            data = data[data.find(b"\n") + 1 :] if b"\n" in data else b""
        data = data[: data.rfind(b"\n") + 1]
        return [parse(line) for line in data.decode("utf-8", "replace").splitlines() if line]

    def find(self, pattern, level=None):
        """The entries since the test began whose text matches, of that level if one is named."""
        wanted = re.compile(pattern)
        return [
            entry
            for entry in self.entries()
            if wanted.search(entry.text) and (level is None or entry.level == level)
        ]

    def wait_for(self, pattern, level=None, count=1):
        """Waits until `count` entries match and returns them all."""

        def enough():
            found = self.find(pattern, level)
            return found if len(found) >= count else None

        return eventually(enough, f"{count} error log line(s) matching {pattern!r}")

    def wait_for_end(self, client):
        """Waits for the line about the end of this client's WebSocket, and returns it.

        Clients of the test before may have theirs later than it has ended.
        """
        (line,) = self.wait_for(rf"\[client {re.escape(client.address)}\] WS0302: ")
        return line

    def verify(self):
        """Ends the account: every alarming line was announced, every announced line came."""
        for pattern in self._expected:
            eventually(
                lambda pattern=pattern: any(
                    entry.alarming and pattern.search(entry.text) for entry in self.entries()
                ),
                f"an error log line at warn or above matching {pattern.pattern!r}",
            )
        announced = self._expected + self._tolerated + self._announced_before
        surprises = [
            entry.text
            for entry in self.entries()
            if entry.alarming and not any(p.search(entry.text) for p in announced)
        ]
        self.begin()
        if surprises:
            raise AssertionError("unexpected lines in the error log:\n" + "\n".join(surprises))

    def tail(self, lines=60):
        if not self.path.exists():
            return ""
        return "\n".join(self.path.read_text("utf-8", "replace").splitlines()[-lines:])

    def _end(self):
        return self.path.stat().st_size if self.path.exists() else 0
