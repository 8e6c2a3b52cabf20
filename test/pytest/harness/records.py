"""A TLS 1.3 client that makes its records itself: Python's ssl cannot send a KeyUpdate, or a broken record.

Python does the handshake in memory and says what it has agreed on; from then on each record is made and opened
here (RFC 8446, 5 and 7).
"""

import os
import ssl
import struct
import tempfile

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from .rawclient import RawClient
from .wrapped import WrappedSocket

ALERT, HANDSHAKE, APPLICATION_DATA = 21, 22, 23
NEW_SESSION_TICKET, KEY_UPDATE = 4, 24
CLOSE_NOTIFY, UNEXPECTED_MESSAGE, BAD_RECORD_MAC = 0, 10, 20
MOST_IN_A_RECORD = 16384

# Name: hash, AEAD, length of its key.
_SUITES = {
    "TLS_AES_128_GCM_SHA256": (hashes.SHA256, AESGCM, 16),
    "TLS_AES_256_GCM_SHA384": (hashes.SHA384, AESGCM, 32),
    "TLS_CHACHA20_POLY1305_SHA256": (hashes.SHA256, ChaCha20Poly1305, 32),
}


class _Direction:
    """Keys and count of the records that go one way (RFC 8446, 7.2 and 7.3)."""

    def __init__(self, suite, secret):
        self._hash, self._aead, self._key_length = _SUITES[suite]
        self._use(secret)

    def _use(self, secret):
        self._secret = secret
        self._cipher = self._aead(self._expand(b"key", self._key_length))
        self._iv = int.from_bytes(self._expand(b"iv", 12), "big")
        self._count = 0

    def _expand(self, label, length):
        label = b"tls13 " + label
        info = struct.pack("!HB", length, len(label)) + label + b"\0"
        return HKDFExpand(self._hash(), length, info).derive(self._secret)

    def update(self):
        self._use(self._expand(b"traffic upd", self._hash.digest_size))

    def _nonce(self):
        nonce = (self._iv ^ self._count).to_bytes(12, "big")
        self._count += 1
        return nonce

    def seal(self, kind, content):
        inner = content + bytes([kind])
        header = struct.pack("!BHH", APPLICATION_DATA, 0x0303, len(inner) + 16)
        return header + self._cipher.encrypt(self._nonce(), inner, header)

    def open(self, header, sealed):
        inner = self._cipher.decrypt(self._nonce(), sealed, header).rstrip(b"\0")
        return inner[-1], inner[:-1]


class RecordSocket(WrappedSocket):
    """A connected socket under TLS 1.3. What it sends is made of the records that its methods return."""

    def __init__(self, sock, context, server_name="localhost"):
        self._socket = sock
        self._raw = bytearray()
        self._data = bytearray()
        self._is_over = False
        # What has come besides data: handshake messages by their type, and the alerts.
        self.messages = []
        self.alerts = []
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        with tempfile.TemporaryDirectory() as directory:
            context.keylog_filename = os.path.join(directory, "keys")
            suite = self._shake_hands(context, server_name)
            with open(context.keylog_filename, encoding="ascii") as file:
                lines = [line.split() for line in file if not line.startswith("#")]
        secrets = {label: bytes.fromhex(secret) for label, _random, secret in lines}
        self._out = _Direction(suite, secrets["CLIENT_TRAFFIC_SECRET_0"])
        self._in = _Direction(suite, secrets["SERVER_TRAFFIC_SECRET_0"])

    def _shake_hands(self, context, server_name):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_hostname=server_name)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._socket.sendall(outgoing.read())
                data = self._socket.recv(65536)
                if not data:
                    raise EOFError("the server ended the handshake") from None
                incoming.write(data)
        self._socket.sendall(outgoing.read())
        # Records behind the handshake.
        self._raw += incoming.read()
        return tls.cipher()[0]

    # Records, each in the order in which it is to be sent

    def data(self, content=b""):
        """Records with application data; one without any is a record, too."""
        pieces = range(0, len(content) or 1, MOST_IN_A_RECORD)
        return b"".join(
            self._out.seal(APPLICATION_DATA, content[start : start + MOST_IN_A_RECORD])
            for start in pieces
        )

    def key_update(self, is_requested=False):
        """A record that announces new keys, which those after it are made with, and may ask the server for the same."""
        record = self._out.seal(HANDSHAKE, struct.pack("!BBHB", KEY_UPDATE, 0, 1, is_requested))
        self._out.update()
        return record

    def handshake(self, content):
        """A record with bytes of handshake messages."""
        return self._out.seal(HANDSHAKE, content)

    def broken(self):
        """A record that nobody can decrypt."""
        record = bytearray(self._out.seal(APPLICATION_DATA, b"nobody reads this"))
        record[-1] ^= 1
        return bytes(record)

    def send_records(self, *records, piece=None):
        """Sends records in one write, or in writes of `piece` bytes."""
        data = b"".join(records)
        for start in range(0, len(data), piece or len(data)):
            self._socket.sendall(data[start : start + (piece or len(data))])

    # As a socket

    def sendall(self, data):
        self._socket.sendall(self.data(data))

    def recv(self, _most):
        while not self._data and not self._is_over:
            self._receive_record()
        data = bytes(self._data)
        self._data.clear()
        return data

    def _receive_record(self):
        header = self._receive_exactly(5)
        if header is None:
            self._is_over = True
            return
        content = self._receive_exactly(struct.unpack("!H", header[3:])[0])
        if content is None:
            raise EOFError("the stream ended in a record")
        kind, content = self._in.open(header, content)
        if kind == APPLICATION_DATA:
            self._data += content
        elif kind == ALERT:
            self.alerts.append(content[1])
            self._is_over = True
        elif kind == HANDSHAKE:
            self.messages.append(content[0])
            if content[0] == KEY_UPDATE:
                self._in.update()

    def _receive_exactly(self, count):
        while len(self._raw) < count:
            data = self._socket.recv(65536)
            if not data:
                return None
            self._raw += data
        data = bytes(self._raw[:count])
        del self._raw[:count]
        return data


class RecordClient(RawClient):
    """A client whose `socket` is a `RecordSocket`."""

    def __init__(self, httpd, **options):
        super().__init__("127.0.0.1", httpd.tls_port, **options)
        try:
            self.socket = RecordSocket(self.socket, httpd.certificates.client_context())
        except BaseException:
            self.socket.close()
            raise
