"""Many WebSockets of the recorder plugin on a server that may lose some of its children."""

import itertools
import select

from .audit import CONFIGURATION as AUDIT
from .audit import Audit
from .conf import location, plugin
from .processes import is_alive
from .rawclient import CLOSE
from .waiting import eventually

GOING_AWAY = 1001
TLS = ("ssl", "socache_shmcb")
_sizes = itertools.count(1)


def configuration(drain, *lines):
    """A server with the plugins that are of use here, plain and TLS, and an audit log."""

    def text(server):
        certificates = server.certificates
        return (
            f"WebSocketDrainTimeout {drain}\n"
            + "".join(f"{line}\n" for line in lines)
            + AUDIT
            + location("/recorder", plugin("recorder"))
            + location("/sleep", plugin("sleep"))
            + location("/threads", plugin("threads"))
            + location("/threads/brief", plugin("threads"), "WebSocketSendTimeout 3s")
            + f"""
{server.listen(server.tls_port)}
SSLSessionCache shmcb:run/ssl(512000)
<VirtualHost *:{server.tls_port}>
  SSLEngine on
  SSLCertificateFile "{certificates.server}"
  SSLCertificateKeyFile "{certificates.server_key}"
</VirtualHost>
"""
        )

    return text


class Crowd:
    """WebSockets of the recorder plugin, every other one under TLS, each in a child that is known."""

    def __init__(self, server):
        self.server = server
        self._tls = server.certificates.client_context()
        self.recorder = server.recorder()
        self.audit = Audit(server)
        self.clients = []
        self.pids = {}
        self._paths = {}

    def open(self, count):
        """Opens that many more and returns them."""
        new = []
        for _ in range(count):
            path = self.audit.name("/recorder")
            tls = self._tls if len(self.clients) % 2 else None
            client = self.server.open(path, tls=tls)
            self.audit.opened(path)
            self._paths[client] = path
            self.clients.append(client)
            new.append(client)
            # A size of its own, so that the recorder's line tells which child has it.
            size = next(_sizes)
            client.echo("x" * size)
            (line,) = [line for line in self.recorder.lines() if line.endswith(f"message {size}")]
            self.pids[client] = int(line.split()[0])
        return new

    def of(self, *pids):
        return [client for client in self.clients if self.pids[client] in pids]

    def echo(self, clients, text):
        for client in clients:
            # A size beyond those that identify.
            client.echo(text + "." * 50_000)

    def answer_close(self, client):
        """The closing handshake that the server begins, and nothing behind it."""
        received = client.receive_frame()
        assert received.opcode == CLOSE, received
        assert received.close_code == GOING_AWAY, received.close_code
        self.audit.leaving(self._paths[client])
        client.send_close(GOING_AWAY)
        assert client.receive_to_eof() == b""
        client.vanish()

    def leave(self, clients):
        for client in clients:
            self.audit.leaving(self._paths[client])
            client.close_properly()
            client.vanish()

    def drain(self, clients, between=lambda: None):
        """Answers each Close as it comes; the clients of each moment, in order of the moments."""
        moments = []
        waiting = list(clients)
        while waiting:
            ready, _, _ = select.select([client.socket for client in waiting], [], [], 15)
            assert ready, f"{len(waiting)} of {len(clients)} clients were told nothing"
            moment = [client for client in waiting if client.socket in ready]
            for client in moment:
                self.answer_close(client)
                waiting.remove(client)
            moments.append(moment)
            between()
        return moments

    def verify(self):
        """After all have left: one on_disconnect, one access log line."""
        self.recorder.wait_for_ends(len(self.clients))
        self.audit.verify()

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        for client in self.clients:
            client.vanish()


def wait_until_gone(pids):
    eventually(lambda: not any(map(is_alive, pids)), f"the children {pids} to leave")
