"""Plugins that a test compiles itself, because it is about how they are built."""

import contextlib
import fcntl
import os
import shutil
import subprocess
from pathlib import Path

from . import settings

HEADER = settings.ROOT / "include"
WARNINGS = ("-Wall", "-Wextra", "-Werror")


def build(output, source, *, language="c", flags=(), libraries=(), warnings=WARNINGS):
    """Compiles `source` into the shared object `output`, which is put in place by a rename."""
    program = os.environ.get("CXX", "c++") if language == "c++" else os.environ.get("CC", "cc")
    new = output.with_name(output.name + ".new")
    command = [
        program, "-x", language, *warnings, "-O1", "-shared", "-fPIC", "-pthread", f"-I{HEADER}",
        *flags, "-o", str(new), "-", "-x", "none", *libraries,
    ]
    result = subprocess.run(command, input=source, text=True, capture_output=True)
    assert result.returncode == 0, result.stderr
    new.replace(output)
    return output


def overwrite(output, source, **options):
    """The same, but written into the file that is there, as cp does."""
    other = build(output.with_name("other-" + output.name), source, **options)
    with other.open("rb") as begin, output.open("rb+") as end:
        shutil.copyfileobj(begin, end)
        end.truncate()
    return output


@contextlib.contextmanager
def cargo_folder():
    """Where cargo compiles new plugins: their dependencies once, for all runs.

    Another suite waits meanwhile, since its plugin of the same name has the same file there: what this one copies from it
    would be the other's, or gone for a moment.
    """
    folder = Path(os.environ.get("CARGO_TARGET_DIR") or settings.ROOT / "target") / "new-plugin"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield str(folder)
