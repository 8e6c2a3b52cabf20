"""A private httpd on loopback: its own directory, configuration, ports and error log."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from . import settings
from .errorlog import ErrorLog
from .lines import whole_lines
from .ports import Ports
from .processes import connections, listens, thread_names
from .rawclient import RawClient
from .recorder import Recorder
from .waiting import eventually

_UP = "resuming normal operations"
_EXIT_PATIENCE = 15.0
# How long a stop waits at most for connections to end, and for threads to have started, which takes a busy machine longer.
_MOMENT = 0.3
_START_PATIENCE = 5.0
# worker gives a slot whose child drains to a new child. A thread of the old one that is ready only then writes its own
# generation there (httpd's update_child_status_internal), which httpd misses when the new child ends.
_ENDED_GENERATION = r"\[core:error\].* AH00546: no record of generation"


class Httpd:
    """Writes a configuration, runs httpd on it, and ends it by the process id it got.

    `workers` is how many connections the server must be able to hold at once under every MPM.
    `wrapper` is a command that runs the server by replacing itself with it, as exec does.
    """

    # What `request` of the server functions is here, as the test plugins say it.
    request_result = "set"

    def __init__(self, mpm, *, modules=(), workers=16, environment=None, wrapper=()):
        self.mpm = mpm
        self.modules = tuple(modules)
        self.workers = workers
        self._wrapper = (*wrapper, *settings.wrapper())
        self.directory = Path(tempfile.mkdtemp(prefix="mod_websocket-test-")).resolve()
        # Children run as an unprivileged user when the tests run as root.
        self.directory.chmod(0o755)
        self.document_root = self.directory / "htdocs"
        self.document_root.mkdir()
        (self.document_root / "index.html").write_text("<p>index</p>\n")
        (self.directory / "run").mkdir()
        self.configuration_file = self.directory / "httpd.conf"
        self.error_log = ErrorLog(self.directory / "error.log")
        self.access_log = self.directory / "access.log"
        self.recorder_file = self.directory / "recorder.log"
        self.recorder_file.touch()
        self.recorder_file.chmod(0o666)
        self.environment = {
            **os.environ,
            "RUST_BACKTRACE": "0",
            "WEBSOCKET_RECORDER_FILE": str(self.recorder_file),
            **(environment or {}),
        }
        # For plain HTTP, for TLS, and for what else a suite has.
        self._ports = Ports(3)
        self.port, self.tls_port, self.spare_port = self._ports.numbers
        self._process = None
        self._threads = 0
        self._output = (self.directory / "output.log").open("wb+")

    # Configuration

    def configure(self, text):
        """Writes httpd.conf. `text` is the suite's part, or a function that makes it."""
        full = self.full_configuration(text)
        self._threads = int((re.findall(r"^ThreadsPerChild (\d+)$", full, re.MULTILINE) or ["0"])[-1])
        self.configuration_file.write_text(full)

    def full_configuration(self, text):
        return self._base() + (text(self) if callable(text) else text)

    def load_module(self, name):
        """The LoadModule line for one of httpd's own modules; empty if it is built in."""
        if f"mod_{name}.c" in settings.built_in_modules() or name in (
            source[:-2] for source in settings.built_in_modules()
        ):
            return ""
        path = settings.httpd_modules_directory() / f"mod_{name}.so"
        return f'LoadModule {name}_module "{path}"\n'

    @staticmethod
    def module(name):
        """A quoted path of something that was built with the module."""
        return f'"{settings.MODULES / name}.so"'

    @staticmethod
    def plugin(name):
        """A quoted path of a test plugin."""
        return f'"{settings.TEST_PLUGINS / name}.so"'

    def listen(self, port):
        addresses = ["127.0.0.1"] + (["[::1]"] if settings.ipv6() else [])
        return "".join(f"Listen {address}:{port}\n" for address in addresses)

    def _base(self):
        lines = [
            f'ServerRoot "{self.directory}"',
            "ServerName localhost",
            'PidFile "httpd.pid"',
            'DefaultRuntimeDir "run"',
            'ErrorLog "error.log"',
            "LogLevel info",
            self._mpm_section(),
        ]
        for name in ("unixd", "log_config", "authz_core", *self.modules):
            lines.append(self.load_module(name))
        lines.append(f"LoadModule websocket_module {self.module('mod_websocket')}")
        # A test that takes long for some reason is about something else. Suites about pings ask for them.
        lines.append("WebSocketPingInterval 0")
        if user := settings.unprivileged():
            lines += [f"User {user[0]}", f"Group {user[1]}"]
        lines += [
            self.listen(self.port),
            f'DocumentRoot "{self.document_root}"',
            f'<Directory "{self.document_root}">',
            "  Require all granted",
            "</Directory>",
            'LogFormat "%h %l %u %t \\"%r\\" %>s" plain',
            'CustomLog "access.log" plain',
            "",
        ]
        return "\n".join(line for line in lines if line is not None) + "\n"

    def _mpm_section(self):
        load = self.load_module(f"mpm_{self.mpm}")
        workers = self.workers
        if self.mpm == "prefork":
            return load + (
                f"StartServers {workers}\nMinSpareServers 1\nMaxSpareServers {workers * 2}\n"
                f"ServerLimit {workers * 4}\nMaxRequestWorkers {workers * 4}\n"
            )
        # One child at a time; further ones only beside those that a restart leaves behind, for longer where a tool
        # makes all slow.
        slots = 16 if self._wrapper else 4
        return load + (
            f"StartServers 1\nServerLimit {slots}\nThreadsPerChild {workers}\nThreadLimit {workers}\n"
            f"MinSpareThreads 1\nMaxSpareThreads {workers * 4}\nMaxRequestWorkers {workers * 4}\n"
        )

    def configtest(self, text):
        """The result of `httpd -t` on the base configuration and `text`, and where `text` is.

        Returns the completed process and the number of the line before the first of `text`.
        """
        base = self._base()
        file = self.directory / "configtest.conf"
        file.write_text(base + text)
        result = subprocess.run(
            [*self._wrapper, settings.httpd_binary(), "-t", "-d", str(self.directory), "-f", str(file)],
            capture_output=True, text=True, timeout=60, env=self.environment, check=False,
        )
        return result, base.count("\n")

    # Life

    @property
    def pid(self):
        return self._process.pid

    def start(self):
        starts = self._count_starts()
        self._process = subprocess.Popen(
            [*self._wrapper, settings.httpd_binary(), "-d", str(self.directory), "-f",
             str(self.configuration_file), "-DFOREGROUND"],
            stdin=subprocess.DEVNULL, stdout=self._output, stderr=subprocess.STDOUT,
            env=self.environment, start_new_session=True,
        )
        self._wait_for_start(starts)
        return self

    def _wait_for_start(self, starts):
        def up():
            if self._process.poll() is not None:
                problem = self.output() + self.error_log.tail()
                raise AssertionError(f"httpd ended with {self._process.returncode}:\n{problem}")
            return self._count_starts() > starts

        eventually(up, "httpd's report that it runs", 60)

    def output(self):
        """What httpd wrote before its error log was open."""
        return (self.directory / "output.log").read_text("utf-8", "replace")

    def signal(self, number):
        os.kill(self.pid, number)

    def restart(self):
        """As `apachectl restart`: ends connections, reads the configuration anew."""
        starts = self._count_starts()
        self.signal(signal.SIGHUP)
        self._wait_for_start(starts)

    def graceful(self):
        """As `apachectl graceful`: a new generation for new connections, the old one finishes.

        Returns when none of the old one accepts any more, which it may for a moment.
        """
        starts, old = self._count_starts(), self.children()
        if self.mpm == "worker":
            self.error_log.tolerate(_ENDED_GENERATION)
        self.signal(signal.SIGUSR1)
        self._wait_for_start(starts)
        eventually(lambda: not any(map(listens, old)), "the old children to leave new connections alone")

    def stop(self):
        """As `apachectl stop`; waits for the end and kills what does not obey."""
        if self._process is None:
            return
        self._settle()
        children = self.children()
        if self._process.poll() is None:
            self.signal(signal.SIGTERM)
        self._wait_for_exit(children)

    def _settle(self):
        """Waits until the children have all their threads, and gives them a moment to have no connection any more.

        httpd itself may crash when it is stopped while its threads start or end a connection: event's
        main thread then looks at sockets that go, and prefork's signal handler frees what the interrupted
        code uses. What is open on purpose stays open: the moment is short.
        """
        begin = time.monotonic()
        waited = 0.0
        while waited < _START_PATIENCE:
            try:
                children = self.children()
                if not any(map(self.is_starting, children)) and (
                    waited > _MOMENT or not any(map(connections, children))
                ):
                    return
            except OSError:  # one has ended meanwhile
                pass
            time.sleep(0.005)
            waited = time.monotonic() - begin

    def is_starting(self, pid):
        """Whether a child has not got all of httpd's threads yet: those that wait, the one that accepts, and the main one."""
        if self.mpm == "prefork" or not listens(pid):
            return False
        return sum(not name.startswith("websocket-") for name in thread_names(pid)) < self._threads + 2

    def graceful_stop(self):
        """Only the signal of `apachectl graceful-stop`."""
        self.signal(signal.SIGWINCH)

    def wait_for_exit(self):
        self._wait_for_exit(self.children())

    def _wait_for_exit(self, children):
        process, self._process = self._process, None
        try:
            process.wait(_EXIT_PATIENCE)
        except subprocess.TimeoutExpired:
            for pid in [process.pid, *children]:
                if _parent_of(pid) in (process.pid, os.getpid()):
                    os.kill(pid, signal.SIGKILL)
            process.wait(_EXIT_PATIENCE)
            raise AssertionError("httpd did not stop and was killed") from None

    @property
    def running(self):
        return self._process is not None and self._process.poll() is None

    def remove(self):
        self._output.close()
        self._ports.close()
        if not settings.KEEP_DIRECTORIES:
            shutil.rmtree(self.directory, ignore_errors=True)

    def _count_starts(self):
        if not self.error_log.path.exists():
            return 0
        return self.error_log.path.read_text("utf-8", "replace").count(_UP)

    # Looking inside

    def children(self):
        """Process ids of the children, those that are exiting included."""
        if self._process is None:
            return []
        path = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        try:
            return [int(pid) for pid in path.read_text().split()]
        except OSError:
            return []

    def cpu_seconds(self):
        """Processor time that the present children have used so far."""
        ticks = 0
        for pid in self.children():
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self):
        """Resident memory of all present children."""
        total = 0
        for pid in self.children():
            try:
                pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            except OSError:
                continue
            total += pages * os.sysconf("SC_PAGE_SIZE")
        return total

    def access_lines(self, containing=""):
        return [line for line in whole_lines(self.access_log) if containing in line]

    def recorder(self):
        """The recorder plugin's callbacks from now on."""
        return Recorder(self)

    def recorded(self):
        """Every line of the recorder plugin."""
        return [line for line in whole_lines(self.recorder_file) if line]

    # Clients

    def client(self, *, tls=None, address="127.0.0.1", port=None, **options):
        """A raw connection; `tls` is the client's context."""
        if port is None:
            port = self.port if tls is None else self.tls_port
        return RawClient(address, port, tls=tls, **options)

    def open(self, path, headers=(), *, tls=None, address="127.0.0.1", port=None,
             receive_buffer=None, **changes):
        """A raw connection with an open WebSocket on it."""
        client = self.client(tls=tls, address=address, port=port,
                             receive_buffer=receive_buffer)
        try:
            return client.open(path, headers, **changes)
        except BaseException:
            client.vanish()
            raise

    def ask(self, path, headers=(), *, tls=None, **request):
        """The response to one HTTP request on a connection of its own."""
        with self.client(tls=tls) as client:
            return client.request(path, headers, **request)

    def uri(self, path, *, tls=False):
        scheme, port = ("wss", self.tls_port) if tls else ("ws", self.port)
        return f"{scheme}://127.0.0.1:{port}{path}"


def _parent_of(pid):
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None
