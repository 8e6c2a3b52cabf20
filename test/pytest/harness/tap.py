"""A TLS client that takes records from the wire one by one, and knows what came with which: Python's own sockets hide what
follows a close_notify, and whether anything does."""

import ssl

from .rawclient import RawClient
from .wrapped import WrappedSocket

ALERT = 21


class TapSocket(WrappedSocket):
    """A connected socket under TLS."""

    def __init__(self, sock, context, server_name="localhost"):
        self._socket = sock
        self._raw = bytearray()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)
        # Records since the last that had data, as they were on the wire.
        self.records = []
        self._run(self._tls.do_handshake)

    def _run(self, step, *arguments):
        """Does `step`, with as many records as that takes."""
        while True:
            try:
                return step(*arguments)
            except ssl.SSLWantReadError:
                self._flush()
                record = self._receive_record()
                if record is None:
                    raise EOFError("the stream ended without a close_notify") from None
                self.records.append(record)
                self._incoming.write(record)
            finally:
                self._flush()

    def _flush(self):
        if self._outgoing.pending:
            self._socket.sendall(self._outgoing.read())

    def _receive_record(self):
        header = self._receive_exactly(5)
        return header and header + self._receive_exactly(int.from_bytes(header[3:], "big"))

    def _receive_exactly(self, count):
        """None at the end of the stream."""
        while len(self._raw) < count:
            data = self._socket.recv(65536)
            if not data:
                if self._raw:
                    raise EOFError("the stream ended in a record")
                return None
            self._raw += data
        data = bytes(self._raw[:count])
        del self._raw[:count]
        return data

    def records_to_the_end(self):
        """The records behind the last that had data, up to the end of the stream, whatever they are."""
        while (record := self._receive_record()) is not None:
            self.records.append(record)
            self._incoming.write(record)
        return self.records

    def version(self):
        return self._tls.version()

    def cipher(self):
        return self._tls.cipher()[0]

    # As a socket

    def sendall(self, data):
        self._run(self._tls.write, data)

    def recv(self, most):
        """b"" at a close_notify; an end without one raises."""
        try:
            data = self._run(self._tls.read, most)
        except ssl.SSLZeroReturnError:
            return b""
        if data:
            self.records.clear()
        return data


class TapClient(RawClient):
    """A client whose `socket` is a `TapSocket`."""

    def __init__(self, httpd, context, *, port=None, **options):
        super().__init__("127.0.0.1", port or httpd.tls_port, **options)
        try:
            self.socket = TapSocket(self.socket, context)
        except BaseException:
            self.socket.close()
            raise
