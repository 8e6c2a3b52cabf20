"""A socket below something that speaks TLS for it: what goes straight through."""


class WrappedSocket:
    """Its `_socket` is the one below."""

    def settimeout(self, timeout):
        self._socket.settimeout(timeout)

    def gettimeout(self):
        return self._socket.gettimeout()

    def setsockopt(self, *option):
        self._socket.setsockopt(*option)

    def fileno(self):
        return self._socket.fileno()

    def close(self):
        self._socket.close()
