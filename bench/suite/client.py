"""Runs wsbench and reads what it prints."""

import subprocess


class Client:
    def __init__(self, program):
        self.program = str(program)
        # What went wrong, for the end of the run.
        self.complaints = []

    def echo(self, server, connections, size, depth, seconds, warm_up=0, messages=None):
        """One run of echoes with the server's CPU time; None when it failed."""
        words = self.echo_words(server, connections, size, depth, seconds)
        words += ["--warm-up", warm_up, "--pid", server.pid]
        if messages:
            words += ["--messages", messages]
        return self.run(server, *words, limit=seconds + warm_up + 60)

    def start_echo(self, server, connections, size):
        """Echoes in the background, until stopped or for a minute."""
        words = self.echo_words(server, connections, size, 1, 60)
        return subprocess.Popen(
            self.command(server, *words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def room(self, server, path, connections, size, depth, seconds, warm_up=0, publish=None):
        """One sends, and all receive, with the server's CPU time for each message that arrives; with `publish`, a path, it is
        published there over HTTP."""
        words = [
            "room", "--path", path, "--connections", connections, "--size", size, "--depth", depth,
            "--seconds", seconds, "--warm-up", warm_up, "--pid", server.pid,
        ]
        if publish:
            words += ["--publish", publish]
        return self.run(server, *words, limit=seconds + warm_up + 60)

    def get(self, server, path, fresh, seconds, depth=1, requests=None):
        words = ["get", "--path", path, "--new", "yes" if fresh else "no", "--seconds", seconds]
        words += ["--depth", depth, "--pid", server.pid]
        if requests:
            words += ["--messages", requests]
        return self.run(server, *words, limit=seconds + 60)

    def open(self, server, seconds, depth=1, handshakes=None):
        """WebSockets opened one after the other, with the server's CPU time for each."""
        words = ["open", "--depth", depth, "--seconds", seconds, "--pid", server.pid]
        if handshakes:
            words += ["--messages", handshakes]
        return self.run(server, *words, limit=seconds + 60)

    def hold(self, server, connections, tls=False, message=None, path=None):
        """Opens silent WebSockets; they stay as long as the Holder does. With `message`, each has first had
        one of so many bytes echoed."""
        words = ["idle", "--connections", connections, "--tls", "yes" if tls else "no", "--seconds", 300]
        if message:
            words += ["--speak", "yes", "--size", message]
        if path:
            words += ["--path", path]
        return Holder(self.command(server, *words))

    def plague(self, server, kind, connections):
        """Clients that mean no good, as long as the Holder exists."""
        words = ["hostile", "--kind", kind, "--connections", connections, "--seconds", 300]
        if kind == "bomb":
            words += ["--compress", "yes"]
        return Holder(self.command(server, *words))

    def run(self, server, *words, limit):
        try:
            done = subprocess.run(
                self.command(server, *words), capture_output=True, text=True, timeout=limit, check=False
            )
        except subprocess.TimeoutExpired:
            self.complain(server, words, f"not done after {limit} seconds")
            return None
        if done.returncode:
            self.complain(server, words, done.stderr.strip())
            return None
        return parsed(done.stdout)

    def complain(self, server, words, reason):
        words = " ".join(str(word) for word in words)
        self.complaints.append(f"{server.name}: wsbench {words}: {reason}")

    def command(self, server, *words):
        # A command may name another path after this one: the last one counts.
        command = [self.program, words[0], "--port", server.port, "--path", server.path, *words[1:]]
        if server.compresses and words[0] != "get":
            command += ["--compress", "yes"]
        return [str(word) for word in command]

    @staticmethod
    def echo_words(server, connections, size, depth, seconds):
        raw = "yes" if server.raw else "no"
        return [
            "echo", "--connections", connections, "--size", size, "--depth", depth, "--raw", raw,
            "--seconds", seconds, "--tls", "yes" if server.tls else "no",
        ]


class Holder:
    """Open WebSockets."""

    def __init__(self, command):
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        # The client bounds each of its waits, and so its answer comes.
        opened = parsed(self.process.stdout.readline())
        self.opened = int(opened.get("opened", 0))
        self.seconds = opened.get("seconds", 0)
        self.kept = None
        self.reason = ""

    def close(self):
        """Ends the hold; `kept` is then how many the server had not closed."""
        if self.process.poll() is None and self.kept is None:
            out, error = self.process.communicate(timeout=60)
            self.kept = int(parsed(out).get("kept", 0))
            self.reason = error.strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.close()
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()


def parsed(line):
    return {name: float(value) for name, value in (word.split("=") for word in line.split())}
