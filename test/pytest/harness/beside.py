"""Programs and modules of Debian's that `test/neighbours/fetch` has unpacked, and that are installed nowhere."""

import os
import subprocess
from pathlib import Path

from . import settings

# Set by `make neighbours`; without it, suites that need these are not collected.
DIRECTORY = os.environ.get("WEBSOCKET_NEIGHBOURS")
ROOT = Path(DIRECTORY or "/nowhere") / "root"
MODULES = ROOT / "usr/lib/apache2/modules"
CONTRIB = settings.ROOT / "contrib"


def environment():
    """What these programs find their libraries with."""
    libraries = [str(path) for path in (ROOT / "usr/lib").glob("*-linux-gnu")]
    libraries += [str(path) for path in (ROOT / "lib").glob("*-linux-gnu")]
    return {
        **os.environ,
        "LD_LIBRARY_PATH": ":".join(libraries),
        "PYTHONPATH": str(ROOT / "usr/lib/python3/dist-packages"),
    }


def program(name):
    """Its path."""
    for place in ("usr/bin", "usr/sbin", "bin", "sbin"):
        if (ROOT / place / name).exists():
            return str(ROOT / place / name)
    raise AssertionError(f"{name} is not in {ROOT}: see what test/neighbours/fetch has said")


def run(name, *arguments, status=0, **options):
    """Runs it, and returns what it prints, on either output."""
    command = ["python3", program(name)] if name.startswith("fail2ban") else [program(name)]
    result = subprocess.run(
        [*command, *map(str, arguments)], env=environment(), text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False, **options,
    )
    assert status is None or result.returncode == status, result.stdout
    return result.stdout
