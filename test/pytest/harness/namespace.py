"""A network of its own for a server and its clients, which can be cut without a word to either end."""

import contextlib
import ctypes
import itertools
import os
import shutil
import subprocess
from pathlib import Path

_CLONE_NEWNET = 0x40000000  # sched.h
_numbers = itertools.count()


class Namespace:
    """A network namespace with nothing but a loopback interface. Needs root and iproute2."""

    def __init__(self):
        self.name = f"websocket-test-{os.getpid()}-{next(_numbers)}"

    @staticmethod
    def why_not():
        """Why this machine has no such thing; None if it has."""
        if not shutil.which("ip"):
            return "there is no ip program (iproute2)"
        try:
            with Namespace():
                return None
        except subprocess.CalledProcessError as error:
            return f"this user may make no network namespace: {error.stderr.strip()}"

    @property
    def wrapper(self):
        """The command that runs a program in it."""
        return ("ip", "netns", "exec", self.name)

    def cut(self):
        """No packet arrives any more."""
        _ip("-n", self.name, "link", "set", "lo", "down")

    def mend(self):
        _ip("-n", self.name, "link", "set", "lo", "up")

    @contextlib.contextmanager
    def entered(self):
        """Within, the calling thread makes its sockets there."""
        with open("/proc/thread-self/ns/net", "rb") as before:
            with open(Path("/run/netns", self.name), "rb") as inside:
                _set_namespace(inside)
            try:
                yield
            finally:
                _set_namespace(before)

    def __enter__(self):
        _ip("netns", "add", self.name)
        try:
            self.mend()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exception):
        _ip("netns", "delete", self.name)


def _ip(*arguments):
    subprocess.run(("ip", *arguments), check=True, capture_output=True, text=True, timeout=10)


def _set_namespace(file):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(file.fileno(), _CLONE_NEWNET) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
