"""What the recorder plugin wrote: which callbacks ran, in which process, for which connection."""

from collections import defaultdict

from .waiting import eventually


class Recorder:
    """The callbacks since it was made."""

    def __init__(self, server):
        self._server = server
        self._begin = len(server.recorded())

    def lines(self):
        return self._server.recorded()[self._begin:]

    def connections(self):
        """The callbacks of each connection, in their order, by process and connection number."""
        callbacks = defaultdict(list)
        for line in self.lines():
            pid, number, what = line.split(" ", 2)
            if number != "-":
                callbacks[int(pid), int(number)].append(what)
        return dict(callbacks)

    def destroyed(self):
        """The processes in which destroy ran, once for each time."""
        return [int(line.split()[0]) for line in self.lines() if line.endswith(" - destroy")]

    def wait_for_ends(self, count=1):
        """Waits until `count` connections came and all have ended; each must have ended once."""

        def ended():
            connections = self.connections()
            complete = [c for c in connections.values() if c[-1] == "disconnect"]
            return connections if len(complete) == len(connections) >= count else None

        connections = eventually(
            ended, f"{count} connection(s) with on_disconnect, but: {self.lines()}"
        )
        assert len(connections) == count, connections
        for callbacks in connections.values():
            assert callbacks[0] == "connect", callbacks
            assert callbacks.count("connect") == 1, callbacks
            assert callbacks.count("disconnect") == 1, callbacks
        return connections
