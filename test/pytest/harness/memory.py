"""How much memory processes have had at most."""

import re
from pathlib import Path

# Resets VmHWM, proc(5).
_FORGET_PEAK = "5"


def peak_bytes(pid):
    """The most resident memory of `pid` since `forget_peak_bytes`; 0 when it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    match = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(match[1]) * 1024 if match else 0


def forget_peak_bytes(pid):
    """From now on the peak is what `pid` has now."""
    Path(f"/proc/{pid}/clear_refs").write_text(_FORGET_PEAK)
