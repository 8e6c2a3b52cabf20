"""Ports that nobody else gets as long as a test may want them."""

import socket

from . import settings


class Ports:
    """Free ports of 127.0.0.1 and [::1], each with a socket bound to it that does not listen.

    The system then gives such a port to nobody who asks for any, neither a server nor a client. A server that says
    SO_REUSEADDR, as httpd does, may listen on it, stop, and listen again; in between connections are refused.
    """

    def __init__(self, count):
        self._sockets = []
        self.numbers = [self._hold() for _ in range(count)]

    def _hold(self):
        while True:
            sockets = [socket.socket(socket.AF_INET)]
            if settings.ipv6():
                sockets.append(socket.socket(socket.AF_INET6))
            self._sockets += sockets
            sockets[0].bind(("127.0.0.1", 0))
            port = sockets[0].getsockname()[1]
            try:
                for other in sockets[1:]:
                    other.bind(("::1", port))
            except OSError:  # somebody has it there; this one is held in vain
                continue
            for each in sockets:
                # Now, not before: one that is asked for any port shall not get what another may use again.
                each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            return port

    def close(self):
        for each in self._sockets:
            each.close()
