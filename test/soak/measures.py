"""What a server holds while nobody is there, and whether that has grown."""

import os
from dataclasses import dataclass

from harness.processes import connections, descriptors, own_bytes, thread_names

MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Measure:
    """The parent, and of the children the one that has most of each."""

    parent_bytes: int
    parent_descriptors: int
    child_bytes: int
    child_descriptors: int
    child_threads: int

    @classmethod
    def take(cls, server):
        pids = [pid for pid in server.children() if os.path.exists(f"/proc/{pid}/fd")]
        return cls(
            parent_bytes=own_bytes(server.pid),
            parent_descriptors=descriptors(server.pid),
            child_bytes=max(map(own_bytes, pids)),
            child_descriptors=max(map(descriptors, pids)),
            child_threads=max(len(thread_names(pid)) for pid in pids),
        )

    def __str__(self):
        return (
            f"child {self.child_bytes / MEGABYTE:.1f} MiB, {self.child_descriptors} descriptors, "
            f"{self.child_threads} threads; parent {self.parent_bytes / MEGABYTE:.1f} MiB"
        )


# What a measure may be more than the one that it is compared with.
_PARENT_ROOM = {"parent_bytes": 4 * MEGABYTE, "parent_descriptors": 4}
# Memory that is free lies between some that is not; the reactor keeps threads for some seconds.
_CHILD_ROOM = {"child_bytes": 6 * MEGABYTE, "child_descriptors": 8, "child_threads": 8}


class Growth:
    """Compares measures: of a child with those of its own generation, of the parent with all.

    The first of each are a warm-up.
    """

    def __init__(self, warm_up):
        self._warm_up = warm_up
        self._parents = []
        self._children = []

    def restarted(self):
        """Other children from now on."""
        self._children = []

    def problems(self, measure):
        """What has grown, if anything."""
        self._parents.append(measure)
        self._children.append(measure)
        return [
            *self._compare(self._parents, _PARENT_ROOM), *self._compare(self._children, _CHILD_ROOM)
        ]

    def _compare(self, measures, rooms):
        if len(measures) <= self._warm_up:
            return
        first, last = measures[self._warm_up - 1], measures[-1]
        for name, room in rooms.items():
            before, after = getattr(first, name), getattr(last, name)
            if after > before + room:
                yield f"{name} has grown from {before} to {after}, by more than {room}"


def connection_count(server):
    """Sockets that the children hold."""
    count = 0
    for pid in server.children():
        try:
            count += connections(pid)
        except OSError:  # it has ended meanwhile
            pass
    return count
