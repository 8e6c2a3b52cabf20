"""What the recorder plugin wrote: which callbacks ran, in which process, for which connection."""

from collections import defaultdict

from . import processes
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
            connections = self._new_connections()
            complete = [c for c in connections.values() if c[-1] == "disconnect"]
            return connections if len(complete) == len(connections) >= count else None

        connections = eventually(
            ended, f"{count} connection(s) with on_disconnect, but: {self.lines()}"
        )
        assert len(connections) == count, connections
        _each_ended_once(connections)
        return connections

    def wait_until_all_ended(self):
        """Waits until the server has no connection, and all that came have ended; each must have ended once.

        For clients that leave before their request was read, if it ever is: nobody knows how many came before
        the last of their sockets is closed.
        """

        def ended():
            # In this order: who has been accepted has a socket, and who has none any more has written that it came.
            children = self._server.children()
            try:
                if any(map(processes.unaccepted, children)) or any(map(processes.connections, children)):
                    return False
            except OSError:  # a child has ended meanwhile
                return False
            return all(callbacks[-1] == "disconnect" for callbacks in self._new_connections().values())

        eventually(ended, "the server to be done with all of them")
        ended = self._new_connections()
        _each_ended_once(ended)
        return ended

    def _new_connections(self):
        return {
            connection: callbacks for connection, callbacks in self.connections().items()
            if connection not in self._open
        }


def _each_ended_once(connections):
    for callbacks in connections.values():
        assert callbacks[0] == "connect", callbacks
        assert callbacks.count("connect") == callbacks.count("disconnect") == 1, callbacks


def _by_connection(lines):
    callbacks = defaultdict(list)
    for line in lines:
        pid, number, what = line.split(" ", 2)
        if number != "-":
            callbacks[int(pid), int(number)].append(what)
    return dict(callbacks)
