"""Files deleted without holding up what others sync.

To free the blocks of a large file is one change of the file system's journal, and a sync of any other file waits until
that is written. So a large file loses its name first, and then its room from the end, a step at a time.
"""

from __future__ import annotations

import fcntl
import os
import sys
from contextlib import suppress
from pathlib import PurePath

STEP = 4 << 20
"""Bytes that are given back in one go; a file that has no more is simply deleted."""


def remove(path: PurePath) -> None:
    """Deletes a file. Whoever has it open, or by another name, has all of it still. Raises ``OSError``."""
    fd = open_large(path)
    try:
        os.unlink(path)
        if fd is not None:
            with suppress(OSError):  # its name is gone, and the rest goes when it is closed
                give_back(fd)
    finally:
        if fd is not None:
            os.close(fd)


def open_large(path: PurePath) -> int | None:
    """A handle of the file, if it is to be deleted in steps and may be written. Raises ``FileNotFoundError``."""
    if sys.platform != "linux" or os.lstat(path).st_size <= STEP:
        return None
    try:
        return os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except PermissionError:
        return None


def give_back(fd: int) -> None:
    """Cuts a file without a name down to nothing, unless somebody else has it. Raises ``OSError``, also for that."""
    status = os.fstat(fd)
    if status.st_nlink:
        return
    # A lease of this kind is refused where any other handle of the file is open; without a name no other comes about.
    # It is given up at once, as it is only for the answer.
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    for size in range(status.st_size - STEP, 0, -STEP):
        os.ftruncate(fd, size)
