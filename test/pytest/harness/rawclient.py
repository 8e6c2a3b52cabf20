"""A WebSocket client that decides about every byte it sends and hides none that it receives."""

import base64
import hashlib
import os
import select
import socket
import ssl
import struct
from dataclasses import dataclass, field

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

MASK = b"\x37\xfa\x21\x3d"
TIMEOUT = 15.0
_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept_for(key):
    """The Sec-WebSocket-Accept that answers `key` (RFC 6455 §4.2.2)."""
    return base64.b64encode(hashlib.sha1(key.encode("ascii") + _GUID).digest()).decode("ascii")


def new_key():
    return base64.b64encode(os.urandom(16)).decode("ascii")


def apply_mask(payload, key):
    """XORs `payload` with the repeated four bytes of `key` (RFC 6455 §5.3)."""
    if not payload:
        return b""
    repeated = (key * (len(payload) // 4 + 1))[: len(payload)]
    mixed = int.from_bytes(payload, "little") ^ int.from_bytes(repeated, "little")
    return mixed.to_bytes(len(payload), "little")


def frame(opcode, payload=b"", *, fin=True, rsv=0, mask=MASK, length=None, length_bits=None):
    """One frame, right or wrong.

    `mask` None leaves the frame unmasked. `length` announces another length than the payload
    has; `length_bits` (7, 16 or 64) asks for one form of the length, the shortest by default.
    """
    if isinstance(payload, str):
        payload = payload.encode("utf-8")
    announced = len(payload) if length is None else length
    if length_bits is None:
        length_bits = 7 if announced < 126 else 16 if announced < 65536 else 64
    mask_bit = 0x80 if mask is not None else 0
    header = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    if length_bits == 7:
        header += bytes([mask_bit | announced])
    elif length_bits == 16:
        header += bytes([mask_bit | 126]) + struct.pack("!H", announced)
    else:
        header += bytes([mask_bit | 127]) + struct.pack("!Q", announced)
    if mask is None:
        return header + payload
    return header + mask + apply_mask(payload, mask)


def close_frame(code=None, reason=b"", **options):
    if isinstance(reason, str):
        reason = reason.encode("utf-8")
    payload = b"" if code is None else struct.pack("!H", code) + reason
    return frame(CLOSE, payload, **options)


@dataclass
class Frame:
    opcode: int
    payload: bytes = field(repr=False)
    fin: bool = True
    rsv: int = 0
    masked: bool = False
    header: bytes = field(default=b"", repr=False)

    @property
    def text(self):
        assert self.opcode == TEXT, self
        return self.payload.decode("utf-8")

    @property
    def close_code(self):
        """The code of a Close frame; None when it carries none."""
        assert self.opcode == CLOSE, self
        if not self.payload:
            return None
        return struct.unpack("!H", self.payload[:2])[0]


@dataclass
class Response:
    status: int
    reason: str
    headers: list
    body: bytes = b""

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def get(self, name):
        """The only value of header `name`; None when the header is absent."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} occurs {len(values)} times: {values}"
        return values[0] if values else None

    def tokens(self, name):
        """The members of the comma-separated list in header `name`."""
        return [item.strip() for value in self.all(name) for item in value.split(",")]

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")


class RawClient:
    """One TCP or TLS connection. A context manager: leaving it closes the socket."""

    def __init__(self, host, port, *, tls=None, server_name="localhost", timeout=TIMEOUT,
                 receive_buffer=None, suppress_ragged_eofs=True):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._buffer = bytearray()
        self.authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.response = None
        try:
            self.socket.connect((host, port))
            # As the server's logs have it.
            self.address = "{}:{}".format(*self.socket.getsockname()[:2])
            if tls is not None:
                self.socket = tls.wrap_socket(
                    self.socket, server_hostname=server_name,
                    suppress_ragged_eofs=suppress_ragged_eofs,
                )
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.vanish()

    # Sending

    def send(self, data):
        self.socket.sendall(data)

    def send_in_pieces(self, data, size=1):
        """Sends `data` in separate writes of `size` bytes."""
        for start in range(0, len(data), size):
            self.socket.sendall(data[start : start + size])

    def send_while_receiving(self, data):
        """Sends `data`, and keeps what arrives meanwhile to be received afterwards.

        In one thread, since a TLS connection must not be used by two at once.
        """
        rest = memoryview(data)
        timeout = self.socket.gettimeout()
        self.socket.setblocking(False)
        try:
            while rest:
                if not any(select.select([self.socket], [self.socket], [], timeout)):
                    raise TimeoutError("the server neither takes nor gives anything")
                try:
                    rest = rest[self.socket.send(rest[:65536]) :]
                except _WOULD_BLOCK:
                    pass
                try:
                    while more := self.socket.recv(262144):
                        self._buffer += more
                except _WOULD_BLOCK:
                    pass
        finally:
            self.socket.settimeout(timeout)

    def send_frame(self, opcode, payload=b"", **options):
        self.send(frame(opcode, payload, **options))

    def send_close(self, code=None, reason=b""):
        self.send(close_frame(code, reason))

    # Receiving

    def receive_some(self):
        """What the socket gives now: bytes, or b"" at its end. A reset raises."""
        if self._buffer:
            data = bytes(self._buffer)
            self._buffer.clear()
            return data
        return self.socket.recv(262144)

    def has_input(self):
        """Whether something has arrived that was not yet received."""
        return bool(self._buffer) or bool(select.select([self.socket], [], [], 0)[0])

    def receive_exactly(self, count):
        while len(self._buffer) < count:
            data = self.socket.recv(262144)
            if not data:
                raise EOFError(f"{len(self._buffer)} of {count} bytes, then the end of the stream")
            self._buffer += data
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    def receive_to_eof(self):
        """Everything up to the orderly end of the stream. A reset raises."""
        data = bytearray(self._buffer)
        self._buffer.clear()
        while True:
            more = self.socket.recv(262144)
            if not more:
                return bytes(data)
            data += more

    def receive_frame(self):
        header = self.receive_exactly(2)
        length = header[1] & 0x7F
        if length == 126:
            header += self.receive_exactly(2)
            length = struct.unpack("!H", header[2:])[0]
        elif length == 127:
            header += self.receive_exactly(8)
            length = struct.unpack("!Q", header[2:])[0]
        masked = bool(header[1] & 0x80)
        key = self.receive_exactly(4) if masked else b""
        payload = self.receive_exactly(length)
        if masked:
            payload = apply_mask(payload, key)
        return Frame(
            opcode=header[0] & 0x0F,
            payload=payload,
            fin=bool(header[0] & 0x80),
            rsv=header[0] >> 4 & 0x7,
            masked=masked,
            header=header,
        )

    def receive_message(self):
        """The next frame, which must be a whole unmasked message without reserved bits."""
        received = self.receive_frame()
        assert received.opcode in (TEXT, BINARY), received
        assert received.fin and not received.rsv and not received.masked, received
        return received

    # HTTP

    def request(self, path="/", headers=(), *, method="GET", version="HTTP/1.1", host=None,
                then=b"", body=b""):
        """Sends a request and reads its response. `then` goes out in the same write."""
        self.send_request(path, headers, method=method, version=version, host=host,
                          then=then, body=body)
        return self.receive_response(method=method)

    def send_request(self, path="/", headers=(), *, method="GET", version="HTTP/1.1", host=None,
                     then=b"", body=b""):
        lines = [f"{method} {path} {version}"]
        if host is not False:
            lines.append(f"Host: {host or self.authority}")
        lines += [f"{name}: {value}" for name, value in headers]
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        self.send(head + body + then)

    def receive_response(self, method="GET"):
        while b"\r\n\r\n" not in self._buffer:
            data = self.socket.recv(65536)
            if not data:
                raise EOFError(f"no whole HTTP response: {bytes(self._buffer)!r}")
            self._buffer += data
        end = self._buffer.index(b"\r\n\r\n") + 4
        head = bytes(self._buffer[:end]).decode("latin-1")
        del self._buffer[:end]
        status_line, *lines = head.split("\r\n")[:-2]
        _version, status, reason = (status_line + " ").split(" ", 2)
        headers = []
        for line in lines:
            name, _colon, value = line.partition(":")
            headers.append((name, value.strip()))
        response = Response(int(status), reason.strip(), headers)
        if response.status != 101 and response.status != 204 and method != "HEAD":
            response.body = self._receive_body(response)
        self.response = response
        return response

    def _receive_body(self, response):
        if response.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self._receive_line(), 16):
                body += self.receive_exactly(size)
                self._receive_line()
            while self._receive_line():
                pass
            return body
        if response.get("Content-Length") is not None:
            return self.receive_exactly(int(response.get("Content-Length")))
        return self.receive_to_eof()

    def _receive_line(self):
        line = b""
        while not line.endswith(b"\r\n"):
            line += self.receive_exactly(1)
        return line[:-2]

    # WebSocket

    def upgrade(self, path, headers=(), *, then=b"", **changes):
        """A good opening handshake, but for `changes` (see `handshake_headers`)."""
        host = changes.pop("host", None)
        method = changes.pop("method", "GET")
        http = changes.pop("http", "HTTP/1.1")
        fields = handshake_headers(**changes) + list(headers)
        return self.request(path, fields, method=method, version=http, host=host, then=then)

    def open(self, path, headers=(), **changes):
        """Opens a WebSocket, and fails if the server refuses or its proof is wrong."""
        key = changes.setdefault("key", new_key())
        response = self.upgrade(path, headers, **changes)
        assert response.status == 101, f"{response.status} {response.text}"
        assert response.get("Sec-WebSocket-Accept") == accept_for(key)
        return self

    def echo(self, payload, opcode=TEXT):
        """Sends a message to an echoing plugin and checks what comes back."""
        payload = payload.encode("utf-8") if isinstance(payload, str) else payload
        self.send_frame(opcode, payload)
        received = self.receive_message()
        assert (received.opcode, received.payload) == (opcode, payload)

    def expect_close(self, code):
        """The next frame is a Close with `code`; nothing follows it but the end of the stream."""
        received = self.receive_frame()
        assert received.opcode == CLOSE, received
        assert received.fin and not received.rsv and not received.masked, received
        assert received.close_code == code, f"close code {received.close_code}, not {code}"
        rest = self.receive_to_eof()
        assert rest == b"", f"{len(rest)} bytes follow the Close frame: {rest[:80]!r}"
        return received

    def be_closed(self, code, reason=b""):
        """The closing handshake, begun by the server: a Close with `code` and `reason`, the answer, the end."""
        received = self.receive_frame()
        assert received.opcode == CLOSE and not received.masked, received
        assert (received.close_code, received.payload[2:]) == (code, reason), received
        self.send_close(code)
        assert self.receive_to_eof() == b"", "bytes follow the Close frame"

    def close_properly(self, code=1000, reason=b""):
        """The closing handshake, begun by the client."""
        self.send_close(code, reason)
        self.expect_close(code)

    # Leaving

    def vanish(self):
        """Closes the socket without a Close frame."""
        self.socket.close()

    def reset(self):
        """Closes the socket so that the server sees a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def handshake_headers(*, key=None, version="13", upgrade="websocket", connection="Upgrade",
                      protocol=None, origin=None):
    """The header fields of an opening handshake; None leaves one out."""
    fields = [
        ("Upgrade", upgrade),
        ("Connection", connection),
        ("Sec-WebSocket-Key", new_key() if key is None else key),
        ("Sec-WebSocket-Version", version),
        ("Sec-WebSocket-Protocol", protocol),
        ("Sec-WebSocket-Origin" if version == "7" else "Origin", origin),
    ]
    return [(name, value) for name, value in fields if value is not None and value is not False]
