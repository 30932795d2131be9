"""A folder in memory, for ``MemoryStore``: what was written is durable at once."""

from __future__ import annotations

from collections.abc import Callable

from raftpy.contracts.errors import SnapshotDamaged, SnapshotFailed
from raftpy.contracts.files import Data, OpenMode
from raftpy.storage.snapshots.folder import Folder, FolderFile


class MemoryFolder(Folder):
    """A ``Folder`` that outlives its users. Tests may change what ``held`` has, by name.

    ``fault``: gives the words with which each change fails, or None.
    """

    def __init__(self, name: str = "memory", fault: Callable[[], str | None] = lambda: None) -> None:
        self.held: dict[str, bytearray] = {}
        self.capacity = 1 << 40
        """Bytes that fit."""
        self._name = name
        self._fault = fault

    def after_crash(self) -> MemoryFolder:
        """The same files for the next life; what has them open now changes them no more."""
        after = MemoryFolder(self._name, self._fault)
        after.held = {name: bytearray(data) for name, data in self.held.items()}
        after.capacity = self.capacity
        return after

    def names(self) -> list[str]:
        return list(self.held)

    def open(self, name: str, mode: OpenMode) -> MemoryFolderFile:
        """See ``Folder``. Raises ``SnapshotDamaged``, ``SnapshotFailed``."""
        path = f"{self._name}/{name}"
        if mode in ("rewrite", "share"):
            self.check(path, "opening it")
            if mode == "rewrite" or name not in self.held:
                self.held[name] = bytearray()
        elif name not in self.held:
            raise SnapshotDamaged(path, "it is not there")
        return MemoryFolderFile(self, path, self.held[name])

    def rename(self, old: str, new: str) -> None:
        """See ``Folder``. Raises ``SnapshotFailed``."""
        path, doing = f"{self._name}/{old}", f"giving it the name {new}"
        self.check(path, doing)
        if old not in self.held:
            raise SnapshotFailed(path, f"{doing} failed: No such file or directory")
        self.held[new] = self.held.pop(old)

    def remove(self, name: str) -> None:
        self.check(f"{self._name}/{name}", "deleting it")
        self.held.pop(name, None)

    def sync(self) -> None:
        self.check(self._name, "syncing it")

    def free_space(self) -> int:
        """Bytes that still fit."""
        return max(0, self.capacity - sum(map(len, tuple(self.held.values()))))

    def check(self, path: str, doing: str, growth: int = 0) -> None:
        """Raises ``SnapshotFailed`` where a change fails."""
        fault = "No space left on device" if growth > self.free_space() else self._fault()
        if fault is not None:
            raise SnapshotFailed(path, f"{doing} failed: {fault}")


class MemoryFolderFile(FolderFile):
    """A ``FolderFile`` of a :class:`MemoryFolder`."""

    def __init__(self, folder: MemoryFolder, path: str, data: bytearray) -> None:
        self._folder = folder
        self._data = data
        self.path = path

    def read_at(self, size: int, offset: int) -> bytes:
        return bytes(self._data[offset : offset + size])

    def write_at(self, data: Data, offset: int) -> None:
        held, end = self._data, offset + len(data)
        growth = max(0, end - len(held))
        self._folder.check(self.path, "writing it", growth)
        held.extend(bytes(growth))
        held[offset:end] = data

    def size(self) -> int:
        return len(self._data)

    def truncate(self, size: int) -> None:
        self._folder.check(self.path, "cutting it")
        del self._data[size:]

    def write_back(self, size: int, offset: int) -> bool:
        """What is here is durable already."""
        return False

    def sync(self) -> None:
        self._folder.check(self.path, "syncing it")

    def close(self) -> None:
        pass
