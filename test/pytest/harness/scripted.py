"""The scripted plugin: what its callbacks are to do, and what it has recorded."""

import re

from .rawclient import BINARY, TEXT
from .recorder import Recorder
from .waiting import eventually

ACCEPTED, WOULD_BLOCK, CLOSED, INVALID = "1", "0", "-1", "-2"


def scripts(**scripts):
    """The handshake's header fields that give callbacks their scripts, by name: `on_open="…"`."""
    return [(f"X-{callback.replace('_', '-')}", script) for callback, script in scripts.items()]


def ask(client, script):
    """Has on_message run `script`, and returns the results, joined as the commands were."""
    client.send_frame(TEXT, script)
    return client.receive_message().text


def tell(client, script):
    """Has on_message run `script` and record the results; the client receives no answer."""
    client.send_frame(BINARY, script)


class Records(Recorder):
    """What the plugin has recorded since this was made, of connections that began since."""

    def lines(self):
        lines = super().lines()
        whos = [tuple(line.split(" ", 2)[:2]) for line in lines]
        begun = {who for who, line in zip(whos, lines) if line.endswith(" connect")}
        return [line for who, line in zip(whos, lines) if who[1] == "-" or who in begun]

    def connections(self):
        """Without the results: a thread of the plugin may have recorded one at any time."""
        return {
            connection: [what for what in records if not what.startswith("does ")]
            for connection, records in super().connections().items()
        }

    def of_connection(self):
        """Everything of the only connection that there was."""
        (records,) = super().connections().values()
        return records

    def of_process(self, pid):
        """What a process has recorded that is not about a connection."""
        return [line.split(" ", 2)[2] for line in self.lines() if line.startswith(f"{pid} - ")]

    def find(self, pattern):
        """The matches of what was recorded, whole lines but for process and connection."""
        whats = (line.split(" ", 2)[2] for line in self.lines())
        return [match for match in (re.fullmatch(pattern, what) for what in whats) if match]

    def wait_for(self, pattern, count=1):
        """Waits until `count` lines match."""

        def enough():
            found = self.find(pattern)
            return found if len(found) >= count else None

        return eventually(enough, f"{count} line(s) {pattern!r} of the plugin")

    def result(self, command, number=0):
        """The result of a command, of its first run by default."""
        return self.wait_for(f"does {re.escape(command)} = (.*)", number + 1)[number][1]

    def wait_for_ends(self, count=1):
        """As before; and each connection must have had its callbacks in their order."""
        connections = super().wait_for_ends(count)
        for callbacks in connections.values():
            names = [what.partition(" ")[0] for what in callbacks]
            assert "overlap" not in names, callbacks
            assert names.count("open") == names.count("close") <= 1, callbacks
            if "open" in names:
                assert names[1] == "open" and names[-2] == "close", callbacks
            else:
                assert names == ["connect", "disconnect"], callbacks
        return connections

    def wait_for_end(self):
        """The callbacks of the only connection, which ends."""
        (callbacks,) = self.wait_for_ends(1).values()
        return callbacks
