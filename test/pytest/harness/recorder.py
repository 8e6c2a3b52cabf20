"""What the recorder plugin wrote: which callbacks ran, in which process, for which connection."""

from collections import defaultdict

from .waiting import eventually


class Recorder:
    """The callbacks since it was made."""

    def __init__(self, server):
        self._server = server
        before = server.recorded()
        self._begin = len(before)
        # A peer may see the end of its connection before on_disconnect has run.
        self._open = {connection for connection, callbacks in _by_connection(before).items()
                      if callbacks[-1] != "disconnect"}

    def lines(self):
        return self._server.recorded()[self._begin:]

    def connections(self):
        """The callbacks of each connection, in their order, by process and connection number."""
        return _by_connection(self.lines())

    def destroyed(self):
        """The processes in which destroy ran, once for each time."""
        return [int(line.split()[0]) for line in self.lines() if line.endswith(" - destroy")]

    def wait_for_ends(self, count=1):
        """Waits until `count` new connections came and all of them have ended; each must have ended once."""

        def ended():
            connections = {
                connection: callbacks for connection, callbacks in self.connections().items()
                if connection not in self._open
            }
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


def _by_connection(lines):
    callbacks = defaultdict(list)
    for line in lines:
        pid, number, what = line.split(" ", 2)
        if number != "-":
            callbacks[int(pid), int(number)].append(what)
    return dict(callbacks)
