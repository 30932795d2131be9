"""The free space of the disk, as the groups of one host share it: asked for once, and promised to nobody twice.

Each group decides by itself when to take a snapshot, and all write to one disk. So each is told what is free without
what the snapshots that others are writing have yet to write, and what others would need as soon::

    free      |--- others write ---|--- this one's next snapshot ---|--- those of others ---|--- log of all ---|
                                   ^ what it counts as free begins here

And the log behind the oldest snapshots that are kept may have a part of what is free: one part for all of them, of
which each group has as much as any other that takes snapshots.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from raftpy.contracts.clock import Clock
from raftpy.contracts.errors import SnapshotFailed
from raftpy.contracts.snapshots import Snapshots

LOOKS_APART_S = 0.5
"""What was free holds so long for the others: they all look once a second, one after the other."""
SHARE_OF_FREE = 4
"""Of what is free on the disk, the log behind the oldest snapshots kept may have one part in so many."""


class Limited(Protocol):
    """What stays of one group's log."""

    limit: int
    """Bytes of it at most."""


@dataclass(frozen=True, slots=True)
class Room:
    """What one group finds, in bytes."""

    free: int
    """On the disk, without what the snapshots that other groups are writing have yet to take."""
    others: int
    """Of the snapshots that other groups would take, as soon as the space is short."""
    others_log: int
    """Of log that these have behind their last ones."""


class DiskSpace:
    """Of one host, on whose disk ``snapshots`` lie. All calls are made in the loop's thread."""

    def __init__(self, snapshots: Snapshots, clock: Clock) -> None:
        self._snapshots = snapshots
        self._clock = clock
        self._free: int | None = None
        self._looked_s = -math.inf
        self._needs: dict[int, tuple[int, int]] = {}  # by group: bytes of its next snapshot, and of log behind its last
        self._writing: dict[int, Callable[[], int]] = {}  # by group: bytes that its snapshot has yet to take
        self._trailing: dict[int, tuple[Limited, int]] = {}  # by group: what stays of its log, and how much might

    def room(self, group: int, snapshot: int, log: int) -> Room | None:
        """What a group finds whose next snapshot may have so many bytes, with so many of ``log`` behind its last one.
        None where the disk does not say: whoever writes next hears of it."""
        self._needs[group] = snapshot, log
        now = self._clock.monotonic()
        if now >= self._looked_s + LOOKS_APART_S:
            self._looked_s = now
            try:
                self._free = self._snapshots.free_space()
            except SnapshotFailed:
                self._free = None
        if self._free is None:
            return None
        taken = sum(max(0, left()) for other, left in self._writing.items() if other != group)
        waiting = [need for other, need in self._needs.items() if other != group and other not in self._writing]
        return Room(self._free - taken, sum(size for size, _ in waiting), sum(log for _, log in waiting))

    def needs_none(self, group: int) -> None:
        """The group would take no snapshot, however little is free."""
        self._needs.pop(group, None)

    def writes(self, group: int, left: Callable[[], int]) -> None:
        """The group is writing a snapshot, until ``written``; ``left()``: about so many bytes are to come."""
        self.needs_none(group)
        self._writing[group] = left

    def written(self, group: int) -> None:
        """It is not, any more, be it complete or given up."""
        self._writing.pop(group, None)
        self._looked_s = -math.inf

    def share(self, group: int, trailing: Limited, most: int, free: int) -> None:
        """The group has taken a snapshot, at which ``free`` bytes are left: so what may stay of the logs of all that
        have is told to them. ``most``: bytes, whatever is free."""
        self._trailing[group] = trailing, most
        part = free // SHARE_OF_FREE // len(self._trailing)
        for each, allowed in self._trailing.values():
            each.limit = min(allowed, part)

    def leave(self, group: int) -> None:
        """The group has ended."""
        self.needs_none(group)
        self._writing.pop(group, None)
        self._trailing.pop(group, None)
