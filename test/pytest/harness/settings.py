"""Where the server and the built artefacts are; each can be set in the environment."""

import functools
import grp
import os
import pwd
import re
import shlex
import shutil
import socket
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
MODULES = Path(os.environ.get("WEBSOCKET_MODULES") or ROOT / "target" / "modules").resolve()
TEST_PLUGINS = Path(
    os.environ.get("WEBSOCKET_TEST_PLUGINS") or ROOT / "target" / "test-plugins"
).resolve()
PLUGIN_HOST = Path(
    os.environ.get("WEBSOCKET_PLUGIN_HOST") or ROOT / "target" / "bin" / "plugin-host"
).resolve()
KEEP_DIRECTORIES = bool(os.environ.get("WEBSOCKET_TEST_KEEP"))

MPMS = ("event", "worker", "prefork")


def _find(variable, *candidates):
    value = os.environ.get(variable)
    if value:
        return value
    for candidate in candidates:
        found = shutil.which(candidate)
        if found:
            return found
    raise RuntimeError(f"none of {candidates} found: set {variable}")


@functools.cache
def httpd_binary():
    return _find("HTTPD", "/usr/sbin/apache2", "apache2", "/usr/sbin/httpd", "httpd")


def wrapper():
    """The command that runs httpd's program, such as valgrind with its options."""
    return shlex.split(os.environ.get("HTTPD_WRAPPER") or "")


@functools.cache
def httpd_modules_directory():
    apxs = _find("APXS", "/usr/bin/apxs", "apxs", "apxs2")
    query = [apxs, "-q", "LIBEXECDIR"]
    return Path(subprocess.run(query, check=True, capture_output=True, text=True).stdout.strip())


@functools.cache
def built_in_modules():
    """Names of the source files that are compiled into the server, such as `mod_unixd.c`."""
    listing = subprocess.run([httpd_binary(), "-l"], check=True, capture_output=True, text=True)
    return frozenset(re.findall(r"^\s+(\S+\.c)$", listing.stdout, re.MULTILINE))


@functools.cache
def mpms():
    """The MPMs to test: those of TEST_MPM that this httpd has."""
    wanted = re.split(r"[\s,]+", os.environ.get("TEST_MPM", "").strip()) if os.environ.get(
        "TEST_MPM"
    ) else MPMS
    unknown = set(wanted) - set(MPMS)
    if unknown:
        raise RuntimeError(f"TEST_MPM names unknown MPMs: {sorted(unknown)}")
    present = [mpm for mpm in wanted if has_module(f"mpm_{mpm}")]
    if not present:
        raise RuntimeError(f"{httpd_binary()} has none of the MPMs {', '.join(wanted)}")
    return present


def has_module(name):
    """Whether httpd has the module `name`, built in or as a file to load."""
    source = f"{name[4:]}.c" if name.startswith("mpm_") else f"mod_{name}.c"
    return source in built_in_modules() or (httpd_modules_directory() / f"mod_{name}.so").exists()


@functools.cache
def ipv6():
    """Whether the loopback address [::1] can be used."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@functools.cache
def unprivileged():
    """User and group for httpd's children when the tests run as root, else None."""
    if os.geteuid() != 0:
        return None
    groups = {entry.gr_name for entry in grp.getgrall()}
    pwd.getpwnam("nobody")
    return "nobody", "nogroup" if "nogroup" in groups else "nobody"
