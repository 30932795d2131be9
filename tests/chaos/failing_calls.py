"""Lets chosen system calls of a process fail: those of some kinds, on paths that match (failing_calls.c, in C).

A process is started with :meth:`FailingCalls.environment`; from then on the test says which calls fail and when, and
sees how many did. Linux, and a C compiler, as raftpy needs.
"""

from __future__ import annotations

import errno
import mmap
import struct
import subprocess
import sysconfig
from enum import IntFlag
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")
_RULE = struct.Struct("6i1000s")
_WATCHED = struct.Struct("1000s")
_KINDS = struct.Struct("i")
_COUNTS = struct.Struct("2i")
_MATCHED = 16
"""Where the counts are in the rule, in bytes."""


class Call(IntFlag):
    """Kinds of calls, as failing_calls.c has them; ``OPEN`` is an opening that may make the file."""

    OPEN = 1
    MAKE_DIRECTORY = 2
    WRITE = 4
    SYNC = 8
    RENAME = 16
    REMOVE = 32
    TRUNCATE = 64
    WRITE_BACK = 128
    SET_ASIDE = 256


def build(directory: Path) -> Path:
    """The library, built in ``directory``."""
    path = directory / "failing_calls.so"
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    subprocess.run([compiler, "-shared", "-fPIC", "-o", path, SOURCE, "-ldl"], check=True)
    return path


class FailingCalls:
    """What fails in the processes with this ``environment``; nothing so far. ``file`` is made for it, and one beside
    it, where each call on a path like ``watched`` is noted."""

    def __init__(self, library: Path, file: Path, watched: str) -> None:
        self._seen = file.with_suffix(".seen")
        size = _RULE.size + _WATCHED.size
        file.write_bytes(bytes(size))
        with file.open("r+b") as opened:
            self._rule = mmap.mmap(opened.fileno(), size)
        _WATCHED.pack_into(self._rule, _RULE.size, watched.encode())
        self.environment = {"LD_PRELOAD": str(library), "FAILING_CALLS": str(file), "SEEN_CALLS": str(self._seen)}

    def fail(self, kinds: Call, pattern: str, *, first: int = 1, times: int = 1, number: int = errno.EIO) -> None:
        """From now on the ``first`` (1, 2, ...) of such calls on a path like ``pattern``, in which ``*`` stands for
        slashes, too, and ``times`` of them in all (-1: all that follow) fail with ``number``. The counts begin anew."""
        self.heal()
        _RULE.pack_into(self._rule, 0, 0, first, times, number, 0, 0, pattern.encode())
        _KINDS.pack_into(self._rule, 0, kinds)  # last: from here on it holds

    def heal(self) -> None:
        """Nothing fails any more; the counts stay."""
        _KINDS.pack_into(self._rule, 0, 0)

    @property
    def matched(self) -> int:
        """How many calls the last rule was about."""
        return int(_COUNTS.unpack_from(self._rule, _MATCHED)[0])

    @property
    def failed(self) -> int:
        """How many of them have failed."""
        return int(_COUNTS.unpack_from(self._rule, _MATCHED)[1])

    def seen(self) -> set[tuple[Call, str]]:
        """All calls so far, failing or not, on the paths that are watched."""
        lines = self._seen.read_text().splitlines() if self._seen.exists() else []
        return {(Call(int(kind)), path) for kind, path in (line.split(" ", 1) for line in lines)}
