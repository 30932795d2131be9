"""What a simulated file holds, and what a power failure may leave of it.

Programs see all that was written. What was written since the last sync is kept beside it as a list of changes, so that
a sync costs nothing and a crash can take back any of them (``raftpy.contracts.files``, 1).
"""

from __future__ import annotations

from random import Random
from typing import TypeAlias

SECTOR = 512
"""Bytes that a disk writes together."""
PAGE = 4096
"""Bytes that the system keeps together: a write anywhere in a page makes all of it durable at the next sync."""

Write: TypeAlias = tuple[int, bytes, bytes | None, int, int]
"""Offset; what was there before; what was written, None for a change of the length; how much was held before, and the
length before."""


class Step:
    """Something that happened to a directory; ``sure`` once it would outlive a crash without those before it."""

    __slots__ = ("sure",)

    def __init__(self) -> None:
        self.sure = False


class Contents:
    """A file's bytes. Behind ``data``, up to ``size``, there are zeros that nobody has written."""

    __slots__ = ("birth", "data", "doubtful", "locked_by", "process", "shared_by", "size", "unsynced")

    def __init__(self, data: bytes = b"", size: int = 0) -> None:
        self.data = bytearray(data)
        self.size = max(size, len(data))
        self.unsynced: list[Write] = []
        self.doubtful: list[tuple[Write, bool]] = []
        """Since a sync that failed: what the system takes for durable, and whether it is, by a later sync."""
        self.birth: Step | None = None
        """How it came by its name, where a sync of the file makes that durable, too."""
        self.locked_by: object = None
        """The handle that has the lock of one handle."""
        self.shared_by: set[object] = set()
        """The handles that have it beside one another."""
        self.process = 0
        """Number of the process that has the lock of a process; 0 for none."""

    def read(self, offset: int, size: int) -> bytes:
        """At most ``size`` bytes from ``offset`` on."""
        size = min(size, self.size - offset)
        if size <= 0:
            return b""
        return bytes(self.data[offset : offset + size]).ljust(size, b"\0")

    def write(self, data: bytes, offset: int) -> None:
        """Puts ``data`` at ``offset``."""
        held = self.data
        there, end = len(held), offset + len(data)
        self.unsynced.append((offset, bytes(held[offset:end]), data, there, self.size))
        if offset > there:
            held.extend(bytes(offset - there))
        held[offset:end] = data
        self.size = max(self.size, end)

    def resize(self, size: int) -> None:
        """Cuts the file, or makes it longer by zeros."""
        held = self.data
        self.unsynced.append((size, bytes(held[size:]), None, len(held), self.size))
        del held[size:]
        self.size = size

    def sync(self) -> None:
        """All of it would outlive a crash, unless a sync before has failed."""
        if self.doubtful:
            self.doubtful += [(write, True) for write in self.unsynced]
        self.unsynced.clear()
        if self.birth is not None:
            self.birth.sure = True
            self.birth = None

    def fail_to_sync(self) -> None:
        """A sync has failed, as Linux lets it: what was written counts as durable from now on, whether it is or not."""
        self.doubtful += [(write, False) for write in self.unsynced]
        self.unsynced.clear()

    def kill(self, source: Random) -> bool:
        """No process has it open any more. The machine may have read anew what it believed durable and was not: True
        if that lacks a write and has a later one."""
        self._unlock()
        if not self.doubtful or source.random() < 0.5:
            return False
        unsynced, self.unsynced = self.unsynced, []
        self._undo(unsynced)
        in_order = self._settle_doubtful(source)
        for write in unsynced:
            self._redo(write)
        return not in_order

    def _unlock(self) -> None:
        self.locked_by, self.process = None, 0
        self.shared_by.clear()

    def lose_power(self, source: Random, out_of_order: bool, journaled: bool = False) -> bool:
        """What was not synced is there, or not, or in part, or as zeros; in any order of its sectors only if
        ``out_of_order`` is set. What a failed sync has left comes in any order: True if it did.

        ``journaled``: the file is in a directory that is, where its length is never durable before what it holds.
        """
        self._unlock()
        self.birth = None
        if not self.unsynced and not self.doubtful:
            return False
        unsynced, self.unsynced = self.unsynced, []
        self._undo(unsynced)
        in_order = not self.doubtful or self._settle_doubtful(source)
        if unsynced and out_of_order and source.random() < 0.8:
            self._redo_scattered(unsynced, source)
        elif unsynced:
            self._redo_beginning(unsynced, source, length_first=out_of_order or not journaled)
        self.unsynced = []
        return not in_order

    def _undo(self, writes: list[Write]) -> None:
        held = self.data
        for offset, before, _, there, size in reversed(writes):
            del held[there:]
            if before:
                held[offset : offset + len(before)] = before
            self.size = size

    def _redo(self, write: Write, count: int | None = None) -> None:
        """Its first ``count`` bytes, or all."""
        offset, _, data, _, _ = write
        if data is None:
            self.resize(offset)
        else:
            self.write(data[:count], offset)

    def _redo_beginning(self, writes: list[Write], source: Random, length_first: bool) -> None:
        """In the order in which they were written, up to some byte, and perhaps the length of what is missing."""
        outcome = source.randrange(5)
        if outcome == 0:
            return
        whole = len(writes) if outcome == 1 else source.randrange(len(writes))
        for write in writes[:whole]:
            self._redo(write)
        if whole == len(writes):
            return
        offset, _, data, _, _ = torn = writes[whole]
        if data is not None:
            count = source.randint(0, len(data))
            if outcome == 2:  # whole sectors
                count = max(0, (offset + count) // SECTOR * SECTOR - offset)
            if count:
                self._redo(torn, count)
        if outcome == 3 and length_first:  # the length of a file was durable before what it holds
            for offset, _, data, _, _ in writes[whole:]:
                if data is None and offset < self.size:
                    break
                self.size = max(self.size, offset + len(data or b""))

    def _redo_scattered(self, writes: list[Write], source: Random) -> None:
        """Each sector by itself, as it was after any of the writes into it; the length as it was after any of them."""
        stale: set[int] = set()
        sizes = [self.size]
        for offset, _, data, _, _ in writes:
            if data is None:
                if offset < self.size and source.random() < 0.5:
                    break  # what comes after would lie in other sectors
                self.resize(offset)
                sizes = [self.size] if offset < sizes[-1] else [*sizes, self.size]
                continue
            self.size = max(self.size, offset + len(data))
            sizes.append(self.size)
            for sector in range(offset // SECTOR, (offset + len(data) - 1) // SECTOR + 1 if data else 0):
                if sector not in stale:
                    if source.random() < 0.5:
                        stale.add(sector)
                        continue
                    start = max(offset, sector * SECTOR)
                    self.write(data[start - offset : (sector + 1) * SECTOR - offset], start)
        size = source.choice(sizes)
        if size < self.size:
            self.resize(size)

    def _settle_doubtful(self, source: Random) -> bool:
        """Each of the writes is there or not; those whose page was synced later are. Whether no write is there without
        those before it."""
        doubtful, self.doubtful = self.doubtful, []
        self._undo([write for write, _ in doubtful])
        pages: set[int] = set()
        there: list[Write] = []
        for write, sure in reversed(doubtful):
            touched = _pages(write)
            if sure or not pages.isdisjoint(touched):
                pages.update(touched)
                there.append(write)
            elif source.random() < 0.5:
                there.append(write)
        for write in reversed(there):
            self._redo(write)
        self.unsynced = []
        return all(one is other for (one, _), other in zip(doubtful, reversed(there), strict=False))


def _pages(write: Write) -> range:
    offset, _, data, _, _ = write
    return range(offset // PAGE, (offset + len(data or b"")) // PAGE + 1)
