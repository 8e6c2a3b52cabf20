"""Plugins that a test compiles itself, because it is about how they are built."""

import os
import shutil
import subprocess

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
