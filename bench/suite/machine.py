"""Where the figures were taken."""

import os
import platform
import re
import subprocess
from pathlib import Path

from .build import BENCH


def description(programs):
    version = output(programs.httpd, "-v")
    httpd = re.search(r"Apache/(\S+)", version)
    parts = [
        f"{cpu_model()}, {os.cpu_count()} cores",
        f"{platform.system()} {platform.release()}",
        f"httpd {httpd[1] if httpd else 'of an unknown version'}",
    ]
    if programs.libwebsockets:
        # Debian's says "4.1.6-".
        found = output("pkg-config", "--modversion", "libwebsockets").strip()
        parts.append(f"libwebsockets {found.rstrip('-')}")
    zlib = output("pkg-config", "--modversion", "zlib").strip()
    if zlib:
        parts.append(f"zlib {zlib}")
    locked = re.search(r'name = "tokio-tungstenite"\nversion = "(.*)"', (BENCH / "Cargo.lock").read_text())
    parts.append(f"tokio-tungstenite {locked[1]}")
    load = os.getloadavg()[0]
    return f"Machine: {'; '.join(parts)}; load average before the run {load:.2f}."


def cpu_model():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def output(*command):
    command = [str(word) for word in command]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
