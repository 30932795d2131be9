"""Where a simulated state machine keeps its state: one file on the disk of its node, replaced as a whole.

    made under a name of its own, written, synced, renamed, the directory synced

What is durable is said only after the last of these, so a failed save leaves what was there, or all that was to be.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import PurePath
from struct import Struct

from raftcore.wire.codec import crc32c
from raftpy.contracts.files import Files

DIRECTORY = PurePath("/machine")
"""Of all machines of a node."""

_HEAD = Struct("<QI")


class DurableState:
    """The state of one ``group``, as (index, bytes). ``lock``: one save at a time. Raises ``OSError`` as the disk does.

    ``index`` and ``data`` are what was found at the start: 0 and nothing where there was no state.
    """

    def __init__(self, files: Files, group: int, lock: Callable[[], AbstractContextManager[object]]) -> None:
        self._files = files
        self._lock = lock()
        self._path = DIRECTORY / f"{group}"
        self._saves = 0
        self.durable = 0
        """Up to which index it is known to be durable."""
        self.index, self.data = self._found()

    def _found(self) -> tuple[int, bytes]:
        if not self._files.exists(self._path):
            return 0, b""
        text = self._files.read(self._path)
        index, checksum = _HEAD.unpack_from(text)
        data = text[_HEAD.size :]
        assert checksum == crc32c(data), "nobody harms this file"
        return index, data

    def save(self, index: int, data: bytes) -> int:
        """Makes it durable, unless something later is; the index that is durable then."""
        with self._lock:
            if index > self.durable:
                self._replace(_HEAD.pack(index, crc32c(data)) + data)
                self.durable = index
            return self.durable

    def clear(self) -> None:
        """Makes durable that there is no state."""
        with self._lock:
            if self._files.exists(self._path):
                self._files.remove(self._path)
                self._files.sync_directory(DIRECTORY)
            self.durable = 0

    def _replace(self, text: bytes) -> None:
        files = self._files
        if not files.exists(DIRECTORY):
            files.make_directory(DIRECTORY)
        files.sync_directory(DIRECTORY.parent)  # also where it was made in an earlier life
        for name in sorted(files.names(DIRECTORY)):
            if name.startswith(f"{self._path.name}-"):
                files.remove(DIRECTORY / name)
        pid, _ = files.holder()
        self._saves += 1
        path = DIRECTORY / f"{self._path.name}-{pid}-{self._saves}"  # no file whose sync has failed is used again
        try:
            file = files.open(path, "rewrite")
            try:
                file.write(text)
                file.sync()
            finally:
                file.close()
            files.replace(path, self._path)
        except OSError:
            with suppress(OSError):
                files.remove(path)
            raise
        files.sync_directory(DIRECTORY)
