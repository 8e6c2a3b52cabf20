"""The memory that all children share: core dumps leave it alone, and a reload with another build of the module
replaces it.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.conf import ECHO, example, location
from harness.status import LOCATION, Status
from harness.waiting import eventually

MPMS = ("event",)
# Large by its addresses, and hardly used: with as many slots as this it is the largest mapping by far.
LARGE = 64 << 20
LITTLE = 16 << 20


def configuration(server):
    return "WebSocketDrainTimeout 100ms\n" + location("/echo", example(ECHO)) + LOCATION


def board(pid):
    """The lines of /proc/PID/smaps about the board: its first and last address, and its figures in KiB and flags. None of
    a process that has ended."""
    found = []
    try:
        text = Path(f"/proc/{pid}/smaps").read_text()
    except OSError:
        return found
    for part in re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", text, flags=re.MULTILINE):
        head = part.partition("\n")[0].split()
        if head and head[1] == "rw-s":
            start, end = (int(address, 16) for address in head[0].split("-"))
            if end - start >= LARGE:
                fields = dict(re.findall(r"^(\w+): +(.*)$", part, re.MULTILINE))
                found.append((start, end, fields))
    return found


def test_ws_745_01_a_core_dump_leaves_the_board_alone(httpd, tmp_path):
    if not shutil.which("gcore"):
        pytest.skip("needs gcore (gdb)")
    with httpd.open("/echo") as client:
        client.echo("there is something on it")
        (pid,) = httpd.children()
        ((_, _, fields),) = board(pid)
        assert "dd" in fields["VmFlags"].split()
        done = subprocess.run(
            ["gcore", "-o", str(tmp_path / "core"), str(pid)],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100, check=False,
        )
        core = tmp_path / f"core.{pid}"
        assert core.exists(), done.stdout + done.stderr
        # The file is sparse or not: what counts is what of the board became real.
        ((_, _, fields),) = board(pid)
        resident = int(fields["Rss"].split()[0]) << 10
        assert resident < LITTLE, f"{resident >> 20} MiB of the board are resident"
        client.echo("and the child goes on")


def test_ws_745_02_a_board_of_another_form_is_replaced_and_given_back(make_httpd, mpm):
    """As after a reload with another build of the module: its first word says which form it has."""
    server = make_httpd(mpm, configuration).start()
    status = Status(server)
    with server.open("/echo") as client:
        client.echo("counted")
        assert status.total["accepted"] == 1
        ((start, _, _),) = board(server.pid)
        with open(f"/proc/{server.pid}/mem", "r+b", buffering=0) as memory:
            memory.seek(start)
            form = memory.read(8)
            memory.seek(start)
            memory.write(bytes([form[0] ^ 0xff]) + form[1:])
        server.error_log.expect("WS0106: .*they begin anew")
        server.graceful()
    ((now, _, _),) = board(server.pid)
    assert len(server.error_log.find("WS0106")) == 1
    eventually(lambda: all(len(board(pid)) == 1 for pid in server.children()), "children with one board each")
    assert status.total["accepted"] == 0
    with server.open("/echo") as client:
        client.echo("counted on the new one")
        assert status.total["accepted"] == 1
    # The next reload finds it as it should be.
    server.graceful()
    assert board(server.pid)[0][0] == now
    assert len(server.error_log.find("WS0106")) == 1
    assert status.total["accepted"] == 1
