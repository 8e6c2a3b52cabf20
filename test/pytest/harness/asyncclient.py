"""A WebSocket client for asyncio, to have hundreds of in one thread. As plain as RawClient."""

import asyncio
import socket
import struct

from .rawclient import (
    BINARY, CLOSE, TEXT, Frame, accept_for, close_frame, frame, handshake_headers, new_key,
)

# Bounds how long a broken server can hold a test up.
PATIENCE = 60.0


# Those of the present `run`.
_clients = set()


class AsyncClient:
    """One WebSocket, to be used in `run`, at the end of which it vanishes unless it has left."""

    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer
        _clients.add(self)

    @classmethod
    async def open(cls, httpd, path, *, tls=None, then=b"", headers=()):
        """Opens a WebSocket; `then` goes out in the same write as the handshake."""
        port = httpd.port if tls is None else httpd.tls_port
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=tls, server_hostname=None if tls is None else "localhost",
        )
        client = cls(reader, writer)
        try:
            await client._shake_hands(path, headers, then)
        except BaseException:
            client.vanish()
            raise
        return client

    async def _shake_hands(self, path, headers, then):
        key = new_key()
        fields = [("Host", "localhost"), *handshake_headers(key=key), *headers]
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
        self.writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + then)
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        assert head.startswith("http/1.1 101 "), head
        assert f"sec-websocket-accept: {accept_for(key)}\r\n".lower() in head, head

    # Sending

    def write(self, data):
        """Sends without waiting for room."""
        self.writer.write(data)

    async def send(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def send_frame(self, opcode, payload=b"", **options):
        await self.send(frame(opcode, payload, **options))

    # Receiving

    async def receive_frame(self):
        header = await self.reader.readexactly(2)
        length = header[1] & 0x7F
        if length == 126:
            header += await self.reader.readexactly(2)
            length = struct.unpack("!H", header[2:])[0]
        elif length == 127:
            header += await self.reader.readexactly(8)
            length = struct.unpack("!Q", header[2:])[0]
        payload = await self.reader.readexactly(length)
        return Frame(
            opcode=header[0] & 0x0F,
            payload=payload,
            fin=bool(header[0] & 0x80),
            rsv=header[0] >> 4 & 0x7,
            masked=bool(header[1] & 0x80),
            header=header,
        )

    async def receive_message(self):
        """The next frame, which must be a whole unmasked message without reserved bits."""
        received = await self.receive_frame()
        assert received.opcode in (TEXT, BINARY), received
        assert received.fin and not received.rsv and not received.masked, received
        return received

    async def echo(self, payload, opcode=BINARY):
        """Sends a message to an echoing plugin and checks what comes back."""
        await self.send_frame(opcode, payload)
        received = await self.receive_message()
        assert received.opcode == opcode and received.payload == payload, "another message"

    async def expect_close(self, code):
        """The next frame is a Close with `code`; nothing follows it but the end of the stream."""
        received = await self.receive_frame()
        assert received.opcode == CLOSE and not received.masked, received
        assert received.close_code == code, f"close code {received.close_code}, not {code}"
        rest = await self.reader.read()
        assert rest == b"", f"{len(rest)} bytes follow the Close frame"

    # Leaving

    async def be_closed(self, code):
        """The closing handshake, begun by the server: a Close with `code`, the answer, the end."""
        received = await self.receive_frame()
        assert received.opcode == CLOSE and not received.masked, received
        assert received.close_code == code, f"close code {received.close_code}, not {code}"
        self.write(close_frame(code))
        assert await self.reader.read() == b"", "bytes follow the Close frame"
        self.vanish()

    async def close_properly(self, code=1000):
        """The closing handshake, begun by the client."""
        self.write(close_frame(code))
        await self.expect_close(code)
        self.vanish()

    def vanish(self):
        """Closes the socket at once, without a Close frame."""
        _clients.discard(self)
        self.writer.transport.abort()

    def reset(self):
        """Closes the socket so that the server sees a reset."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.vanish()


async def gather(*coroutines):
    """Runs all; the first failure cancels the others and is raised."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def run(coroutine, patience=PATIENCE):
    """Runs `coroutine` in an event loop of its own."""

    async def main():
        try:
            return await asyncio.wait_for(coroutine, patience)
        finally:
            for client in list(_clients):
                client.vanish()
            # Transports close their sockets in the loop's next round, or the one after it.
            for _ in range(3):
                await asyncio.sleep(0)

    return asyncio.run(main())
