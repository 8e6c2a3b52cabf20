"""The echo servers: each in processes of its own, on a free port of 127.0.0.1."""

import os
import pwd
import re
import socket
import subprocess
import time
from pathlib import Path

EVENT = "event"
WORKER = "worker"
LIBWEBSOCKETS = "libwebsockets"
TUNGSTENITE = "tungstenite"
FASTWEBSOCKETS = "fastwebsockets"
TCP = "bare TCP"
ZLIB = "bare zlib"
# For rooms and topics only.
BARE_ROOM = "bare room"
# For topics only.
NCHAN = "nchan"
# The others that are whole WebSocket servers.
PEERS = (LIBWEBSOCKETS, TUNGSTENITE, FASTWEBSOCKETS)
# Every echo server, in the order of the columns.
ALL = (EVENT, WORKER, *PEERS, TCP)
# Those that compress when they are told to.
COMPRESSING = (EVENT, LIBWEBSOCKETS, ZLIB)

STATIC_FILE = "/static.html"
# These warnings are meant: the child may take all that the limit of open files allows, or few, so that others have some,
# which the MPM then says as well; and a crowd that is gone at once is more than the log keeps up with.
COMPLAINT = re.compile(r":(warn|error|crit|alert|emerg)\] (?!.*(WS0108|WS0102|AH00484|WS0009))")


class Compression:
    """How a server compresses. Only this module's window and context takeover can be chosen here."""

    def __init__(self, level=6, window_bits=15, context_takeover=True):
        self.level = level
        self.window_bits = window_bits
        self.context_takeover = context_takeover

    def directives(self):
        return [
            "  WebSocketCompression On",
            f"  WebSocketCompressionLevel {self.level}",
            f"  WebSocketCompressionWindowBits {self.window_bits}",
            f"  WebSocketCompressionContextTakeover {'On' if self.context_takeover else 'Off'}",
        ]


class Fleet:
    """Starts servers, and stops them all at the end whatever happens."""

    def __init__(self, programs, folder, beside=(), beside_rooms=()):
        self.programs = programs
        # The commands of servers that are not the benchmark's own, by name.
        self.beside = named(beside)
        # Those that are rooms: what one of their WebSockets sends goes to all.
        self.rooms = named(beside_rooms)
        self.folder = Path(folder)
        self.servers = []
        self.count = 0
        # What httpd has logged, for the end of the run.
        self.complaints = []

    def names(self, wanted=ALL):
        missing = {WORKER} - set(self.programs.mpms)
        if not self.programs.libwebsockets:
            missing.add(LIBWEBSOCKETS)
        if not self.programs.nchan:
            missing.add(NCHAN)
        names = [name for name in wanted if name not in missing]
        if wanted is ALL:
            names[-1:-1] = self.beside
        return names

    def peers(self):
        """Those of `names` that are whole WebSocket servers, and not this module."""
        return [name for name in self.names() if name in PEERS or name in self.beside]

    def has_tls(self):
        """Whether httpd can have it."""
        return self.programs.openssl and (self.programs.httpd_modules / "mod_ssl.so").exists()

    def start(self, name, prefix=(), tls=False, compression=None, directives=(), children=1):
        """Starts a server; `prefix` is a command that runs it, such as a profiler, `directives` are more of
        them for this module's Location, and `children` are how many processes serve."""
        self.count += 1
        folder = self.folder / f"server-{self.count}"
        folder.mkdir()
        # Another program may take the port between the look for a free one and the start.
        for attempt in range(3):
            server = self.make(name, folder, free_port(), prefix, tls, compression, directives, children)
            self.servers.append(server)
            if server.answers():
                return server
            self.stop(server)
        log = (folder / "output").read_text(errors="replace")
        raise RuntimeError(f"the {name} server does not start:\n{log}")

    def make(self, name, folder, port, prefix, tls, compression, directives, children):
        programs = self.programs
        if name in (EVENT, WORKER):
            configuration = folder / "httpd.conf"
            lines = [*(compression.directives() if compression else []), *directives]
            configuration.write_text(httpd_conf(programs, folder, port, name, tls, lines, children))
            command = [programs.httpd, "-d", folder, "-f", configuration, "-DFOREGROUND"]
        elif name == NCHAN:
            nginx, module = programs.nchan
            configuration = folder / "nginx.conf"
            configuration.write_text(nginx_conf(module, folder, port, children))
            command = [nginx, "-p", folder, "-c", configuration, "-e", folder / "nginx.log"]
        elif name in self.beside or name in self.rooms:
            command = [*(self.beside.get(name) or self.rooms[name]), port]
        else:
            program = {
                LIBWEBSOCKETS: programs.libwebsockets,
                TUNGSTENITE: programs.tungstenite,
                FASTWEBSOCKETS: programs.fastwebsockets,
                TCP: programs.tcp_echo,
                ZLIB: programs.zlib_echo,
                BARE_ROOM: programs.tcp_room,
            }
            command = [program[name], port, *([compression.level] if compression else [])]
            if tls:
                command += certificate(programs, folder)
        return Server(name, folder, port, [*prefix, *command], compression, tls)

    def stop(self, *servers):
        """Stops these servers, or all."""
        for server in servers or tuple(self.servers):
            self.servers.remove(server)
            server.stop()
            self.complaints += server.complaints()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def named(commands):
    """By the names of their programs."""
    return {Path(command[0]).name: command for command in commands}


class Server:
    path = "/echo"
    # Who subscribes here publishes what it sends.
    topic_path = "/topic"
    publish_path = "/publish/room"

    def __init__(self, name, folder, port, command, compression, tls):
        self.name = name
        self.folder = folder
        self.port = port
        self.raw = name == TCP
        self.compresses = compression is not None
        self.tls = tls
        with open(folder / "output", "w") as output:
            self.process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            )
        self.pid = self.process.pid

    def answers(self):
        """Waits until the server takes connections; false when it has ended instead."""
        until = time.monotonic() + 30
        while time.monotonic() < until and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return True
            except OSError:
                time.sleep(0.02)
        return False

    def tree(self):
        """The process and its descendants."""
        parents = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    stat = Path("/proc", entry, "stat").read_text()
                except OSError:
                    continue
                parents[int(entry)] = int(stat.rpartition(")")[2].split()[1])
        tree = [self.pid]
        for pid in tree:
            tree += [child for child, parent in parents.items() if parent == pid]
        return tree

    def cpu(self):
        """Seconds that the whole tree has had of a core, by the scheduler's count."""
        # The clock of a process, as clock_getcpuclockid(3) makes it.
        return sum(time.clock_gettime(~pid << 3 | 2) for pid in self.tree())

    def memory(self):
        """KiB of the whole tree: proportional, so that what is shared counts once."""
        return sum(memory_of(pid) for pid in self.tree())

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            for pid in reversed(self.tree()):
                os.kill(pid, 9)
            self.process.wait()

    def complaints(self):
        log = self.folder / "error.log"
        if not log.exists():
            return []
        lines = log.read_text(errors="replace").splitlines()
        return [f"{self.name} logged: {line}" for line in lines if COMPLAINT.search(line)][:5]


def memory_of(pid):
    for name, field in (("smaps_rollup", "Pss:"), ("status", "VmRSS:")):
        try:
            for line in Path(f"/proc/{pid}/{name}").read_text().splitlines():
                if line.startswith(field):
                    return int(line.split()[1])
        except OSError:
            pass
    return 0


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def httpd_conf(programs, folder, port, mpm, tls, directives, children):
    pages = folder / "pages"
    pages.mkdir(exist_ok=True)
    (pages / STATIC_FILE[1:]).write_text("<!DOCTYPE html>\n" + "<p>A static page.</p>\n" * 48)
    lines = [
        f'ServerRoot "{folder}"',
        f'DefaultRuntimeDir "{folder}"',
        f'PidFile "{folder}/httpd.pid"',
        f'ErrorLog "{folder}/error.log"',
        "ServerName 127.0.0.1",
        f"Listen 127.0.0.1:{port}",
        *load(programs, "mpm_" + mpm, needed=False),
        *load(programs, "unixd", needed=False),
        *load(programs, "authz_core", needed=False),
        f'LoadModule websocket_module "{programs.modules}/mod_websocket.so"',
        f"StartServers {children}",
        f"ServerLimit {children}",
        "MinSpareThreads 1",
        f"MaxSpareThreads {500 * children}",
        "MaxKeepAliveRequests 0",
        f'DocumentRoot "{pages}"',
        "<Directory />",
        "  AllowOverride None",
        "</Directory>",
        "<Location /echo>",
        "  SetHandler websocket-handler",
        f'  WebSocketHandler "{programs.modules}/mod_websocket_echo.so" echo_init',
        *directives,
        "</Location>",
        "<Location /room>",
        "  SetHandler websocket-handler",
        f'  WebSocketHandler "{programs.room_plugin}" room_init',
        "</Location>",
        "<Location /topic>",
        "  SetHandler websocket-topics",
        "  WebSocketTopic /room",
        "  WebSocketTopicFromClient On",
        "</Location>",
        "<Location /publish>",
        "  SetHandler websocket-publish",
        "</Location>",
    ]
    if mpm == EVENT:
        # On several children, no one can have all connections.
        factor = 4000 if children == 1 else 11
        lines += [
            "ThreadsPerChild 25", f"MaxRequestWorkers {25 * children}", f"AsyncRequestWorkerFactor {factor}",
        ]
    else:
        lines += ["ThreadLimit 128", "ThreadsPerChild 128", "MaxRequestWorkers 128"]
    if tls:
        chain, key = certificate(programs, folder)
        lines += [
            *load(programs, "ssl", needed=True),
            # It warns of each self-signed certificate, and of the missing session cache.
            "LogLevel ssl:error",
            "SSLEngine on",
            f'SSLCertificateFile "{chain}"',
            f'SSLCertificateKeyFile "{key}"',
        ]
    if os.getuid() == 0:
        nobody = pwd.getpwnam("nobody")
        lines += [f"User #{nobody.pw_uid}", f"Group #{nobody.pw_gid}"]
    return "\n".join(lines) + "\n"


def nginx_conf(module, folder, port, children):
    # nchan makes the folder for bodies that the package has, whatever is configured, and gives it to this user: the package's.
    user = "user www-data;" if os.getuid() == 0 else ""
    return f"""
daemon off;
{user}
worker_processes {children};
load_module {module};
pid {folder}/nginx.pid;
error_log {folder}/nginx.log crit;
events {{ worker_connections 20000; accept_mutex off; }}
http {{
  access_log off;
  keepalive_requests 100000000;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  nchan_shared_memory_size 256M;
  server {{
    listen 127.0.0.1:{port} reuseport;
    location = /topic {{
      nchan_pubsub websocket;
      nchan_channel_id room;
      nchan_subscriber_first_message newest;
    }}
    location = /publish/room {{
      nchan_publisher http;
      nchan_channel_id room;
    }}
  }}
}}
"""


def certificate(programs, folder):
    """Makes one, and its key: two files."""
    chain, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [
            programs.openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-keyout", key, "-out", chain,
        ],
        check=True, capture_output=True,
    )
    return chain, key


def load(programs, name, needed):
    """What is compiled in differs from one distribution to the next."""
    path = programs.httpd_modules / f"mod_{name}.so"
    if needed or path.exists():
        return [f'LoadModule {name}_module "{path}"']
    return []
