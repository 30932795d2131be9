"""What a store asks of a file system, and when what it has done there is sure to outlive a crash of the machine.

What an implementation owes, and a store may rely on:

1. What was written or cut before ``File.sync`` returned is in the file after a crash. What was not may be there or not,
   in part, or as zeros.
2. A name made, replaced or taken away before ``Files.sync_directory`` of its directory returned stays so after a crash.
   Otherwise the directory may be found as it was, name by name. The contents of a file are no part of this: a name
   that was replaced may well lead to a file that holds nothing, unless that was synced before.
3. ``replace`` is one step: a crash finds the old file or the new one under the name.
4. A lock is gone when its file is closed or its holder has died, however that happened.

Every method raises ``OSError`` as the system's call does: ``FileNotFoundError`` where something is not there.
"""

from __future__ import annotations

import errno
from collections.abc import Hashable
from pathlib import PurePath
from typing import Literal, Protocol, TypeAlias

OpenMode = Literal["share", "rewrite", "change", "read"]
"""``share``: made where missing, read and written, what it holds stays; ``rewrite``: made where missing, emptied, and
written; ``change``: must be there, and is read and written; ``read``: must be there, and is read."""

PASSING = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""What a call is refused for that says nothing of the disk: the system, or this process, lacks descriptors or memory
for it."""


def is_passing(error: BaseException | None) -> bool:
    """Whether it, or what it was raised from, is an ``OSError`` of these: the same call may succeed a little later."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in PASSING:
            return True
        error = error.__cause__
    return False


Data: TypeAlias = bytes | bytearray | memoryview
"""What is written. It is taken as it is at the call: whoever has written it may change it afterwards."""


class File(Protocol):
    """An open file. It is closed by whoever has opened it, once."""

    def read_at(self, size: int, offset: int) -> bytes:
        """At most ``size`` bytes from ``offset`` on; fewer only where the file ends."""
        ...

    def read_into(self, buffer: memoryview, offset: int) -> int:
        """As many bytes from ``offset`` on as ``buffer`` has room for, into it: how many; fewer only where the file
        ends."""
        ...

    def write(self, data: Data) -> None:
        """All of ``data``, behind what was written before through this handle."""
        ...

    def write_at(self, data: Data, offset: int) -> None:
        """All of ``data`` at ``offset``; a few bytes in one call."""
        ...

    def size(self) -> int:
        """Bytes."""
        ...

    def truncate(self, size: int) -> None:
        """Makes the file ``size`` bytes long."""
        ...

    def set_aside(self, size: int) -> bool:
        """Makes the file ``size`` bytes long if it is shorter, with its room on the disk; what is added reads as zeros.

        False where that cannot be done or there is no room; it may have become longer then. What it holds stays.
        """
        ...

    def free_space(self) -> int:
        """Bytes that this process may still write on the file's disk."""
        ...

    def write_back(self, size: int, offset: int) -> bool:
        """Has the disk take ``size`` bytes from ``offset`` on, and returns when it has: a sync has less to write then,
        and what others sync waits less long behind it. Nothing is durable by it.

        False where the system cannot do that; a sync does all of it there.
        """
        ...

    def sync(self) -> None:
        """Returns when the contents and the length would outlive a crash."""
        ...

    def write_durably(self, data: Data, offset: int) -> None:
        """``write_at`` and a ``sync`` in one; what was written before is durable then, too."""
        ...

    def lock(self) -> bool:
        """Takes the lock that one open file holds against every other, also of this process; False where it is held."""
        ...

    def lock_shared(self) -> bool:
        """Takes the same lock beside others that take it so, and against who wants it alone; False where one has it.
        A file that was opened to be read will do, and nothing is written."""
        ...

    def unlock(self) -> None:
        """Lets go of what ``lock`` or ``lock_shared`` took, for every copy of this handle, so also for a forked
        child's."""
        ...

    def lock_for_process(self) -> bool:
        """Takes the lock that LevelDB takes on its ``LOCK``: one process holds it against the others.

        False where another process holds it. Closing any handle of the file lets go of it.
        """
        ...

    def locked_by_another(self) -> bool:
        """Whether another process holds the lock that LevelDB takes on its ``LOCK``. A file that was opened to be read
        will do; closing it lets go of such a lock of this process."""
        ...

    def close(self) -> None:
        """Lets go of the file and its locks."""
        ...


class Files(Protocol):
    """A file system. Paths mean nothing without it: whoever has one asks it, never the path itself."""

    def open(self, path: PurePath, mode: OpenMode) -> File:
        """Opens a file; children that are executed do not inherit it."""
        ...

    def read(self, path: PurePath) -> bytes:
        """All that a file holds."""
        ...

    def read_beginning(self, path: PurePath, size: int) -> bytes:
        """Its first ``size`` bytes, or fewer where it is shorter."""
        ...

    def names(self, directory: PurePath) -> list[str]:
        """What a directory holds, in any order."""
        ...

    def exists(self, path: PurePath) -> bool:
        """Whether something is there. No ``OSError``, also of the two below, where that is simply not so."""
        ...

    def is_file(self, path: PurePath) -> bool:
        """Whether it is a file."""
        ...

    def is_directory(self, path: PurePath) -> bool:
        """Whether it is a directory."""
        ...

    def identity(self, directory: PurePath) -> Hashable:
        """Equal for two paths just when they lead to one directory, among all the ``Files`` of this process.

        A simulated crash changes it, as a real one ends the process: what holds a directory is known by it.
        """
        ...

    def disk_of(self, directory: PurePath) -> Hashable:
        """Equal for two directories just when files in them take of the same free space, as far as the system tells."""
        ...

    def real_path(self, path: PurePath) -> PurePath:
        """From the root, and through no link."""
        ...

    def make_directory(self, path: PurePath) -> None:
        """Makes it, in a directory that is there; one that is there itself stays as it is."""
        ...

    def replace(self, old: PurePath, new: PurePath) -> None:
        """Gives a file another name in its directory; a file that has had that name is gone."""
        ...

    def remove(self, path: PurePath) -> None:
        """Deletes a file. Whoever has it open reads and writes it as before; its room is free once nobody has."""
        ...

    def remove_tree(self, directory: PurePath) -> None:
        """Deletes a directory with all that is in it."""
        ...

    def free_space(self, directory: PurePath) -> int:
        """Bytes that this process may still write on the disk on which the directory is."""
        ...

    def sync_directory(self, directory: PurePath) -> None:
        """Returns when its names would outlive a crash."""
        ...

    def holder(self) -> tuple[int, str]:
        """(process id, host name) of who uses the files here: what a lock says for whoever is refused."""
        ...
