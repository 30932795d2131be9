"""A descriptor that a store holds in case no other is to be had: what a write needs to read or replace cannot wait.

Reads of the log are made again later where the process, or the system, has no descriptor for them. A write that cuts
through a record has to read that record first, and a conflict has to be durable before anything else happens; these
open their file with the descriptor that is given up for it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import PurePath
from typing import TypeVar

from raftpy.contracts.files import File, Files, is_passing

_T = TypeVar("_T")


class Spare:
    """``path`` is a file that is there. Raises ``OSError`` where it cannot be opened."""

    def __init__(self, files: Files, path: PurePath) -> None:
        self._files = files
        self._path = path
        self._file: File | None = files.open(path, "read")

    def use(self, call: Callable[[], _T]) -> _T:
        """What ``call()`` gives. Where it fails for want of a descriptor it is made once more, with this one free."""
        try:
            return call()
        except Exception as error:
            if not is_passing(error) or not self._give_up():
                raise
        try:
            return call()
        finally:
            with suppress(OSError):  # somebody else was faster: then there is none until the next start
                self._file = self._files.open(self._path, "read")

    def close(self) -> None:
        """Gives it back to the system."""
        self._give_up()

    def _give_up(self) -> bool:
        file, self._file = self._file, None
        if file is not None:
            file.close()
        return file is not None
