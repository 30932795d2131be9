"""A file system in memory that forgets at a crash whatever it may: ``raftpy.contracts.files`` at its worst.

Each file and each directory is kept twice, as programs see it and as it is on the disk. A sync copies the first to the
second, a crash the second to the first; with a random source it also lets some of what was not synced reach the disk.
"""

from __future__ import annotations

import errno
from collections.abc import Hashable, Iterator
from os.path import commonprefix
from pathlib import PurePath
from random import Random
from typing import NoReturn

from raftpy.contracts.files import File, OpenMode


class PowerFailure(BaseException):
    """The machine stops in the middle of a call."""


class Node:
    """A file."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.durable = b""
        self.locked_by: MemoryFile | None = None
        self.process = 0  # that has the lock of LevelDB

    def sync(self) -> None:
        self.durable = bytes(self.data)

    def crash(self, source: Random | None) -> None:
        if source is not None and self.durable != self.data:
            written = bytes(self.data)
            same = len(commonprefix([self.durable, written]))  # what was synced, and not changed since
            part = written[: source.randint(same, len(written))]
            self.durable = source.choice((self.durable, written, part, written[:same] + bytes(len(written) - same)))
        self.data = bytearray(self.durable)
        self.locked_by, self.process = None, 0


class Directory:
    """Names; each as programs see it, and as it is on the disk."""

    def __init__(self) -> None:
        self.names: dict[str, Node | Directory] = {}
        self.durable: dict[str, Node | Directory] = {}

    def sync(self) -> None:
        self.durable = dict(self.names)

    def crash(self, source: Random | None) -> None:
        if source is not None:
            for name in sorted(self.names.keys() | self.durable.keys()):
                if source.random() < 0.5:
                    there = self.names.get(name)
                    if there is None:
                        del self.durable[name]
                    else:
                        self.durable[name] = there
        self.names = dict(self.durable)
        for there in self.names.values():
            there.crash(source)


class MemoryFile:
    """A ``File`` of a :class:`MemoryFiles`."""

    def __init__(self, files: MemoryFiles, node: Node) -> None:
        self._files, self._node, self._life = files, node, files.disk.life
        self._offset = 0
        self._open = True

    def _check(self) -> None:
        if not self._open or self._life != self._files.disk.life:
            raise OSError(errno.EBADF, "the file is not open")

    def read_at(self, size: int, offset: int) -> bytes:
        self._check()
        return bytes(self._node.data[offset : offset + size])

    def write(self, data: bytes) -> None:
        self.write_at(data, self._offset)
        self._offset += len(data)

    def write_at(self, data: bytes, offset: int) -> None:
        self._check()
        self._files.step()
        held = self._node.data
        held.extend(bytes(max(0, offset - len(held))))
        held[offset : offset + len(data)] = data

    def size(self) -> int:
        self._check()
        return len(self._node.data)

    def truncate(self, size: int) -> None:
        self._check()
        self._files.step()
        del self._node.data[size:]
        self._node.data.extend(bytes(size - len(self._node.data)))

    def set_aside(self, size: int) -> bool:
        self._check()
        if size > self._files.disk.room:
            return False
        if size > len(self._node.data):
            self.truncate(size)
        return True

    def free_space(self) -> int:
        return self._files.disk.room

    def sync(self) -> None:
        self._check()
        self._files.step()
        self._node.sync()

    def lock(self) -> bool:
        self._check()
        if self._node.locked_by not in (None, self):
            return False
        self._node.locked_by = self
        return True

    def lock_for_process(self) -> bool:
        self._check()
        if self._node.process not in (0, self._files.pid):
            return False
        self._node.process = self._files.pid
        return True

    def close(self) -> None:
        if self._open and self._life == self._files.disk.life:
            if self._node.locked_by is self:
                self._node.locked_by = None
            if self._node.process == self._files.pid:
                self._node.process = 0
        self._open = False


class MemoryDisk:
    """What outlives a crash, and the count of what was done to it."""

    def __init__(self) -> None:
        self.root = Directory()
        self.room = 1 << 30
        self.life = 0
        self.steps = 0
        self.fail_at: int | None = None
        """The power fails in the place of the step with this number."""
        self.failed = False
        """It has failed, and every further step fails until ``crash``."""

    def crash(self, source: Random | None = None) -> None:
        """Everything that is open is gone, and what was not synced as well; or, with ``source``, some of it."""
        self.life += 1
        self.fail_at, self.failed = None, False
        self.root.crash(source)


class MemoryFiles:
    """``Files`` on a :class:`MemoryDisk`, as one process sees them. Every path begins at its root."""

    def __init__(self, disk: MemoryDisk | None = None, pid: int = 1) -> None:
        self.disk = disk or MemoryDisk()
        self.pid = pid

    def step(self) -> None:
        """Something is about to change on the disk."""
        if self.disk.failed or self.disk.fail_at == self.disk.steps:
            self.disk.failed = True
            raise PowerFailure
        self.disk.steps += 1

    def _find(self, path: PurePath) -> Node | Directory | None:
        found: Node | Directory | None = self.disk.root
        for part in _parts(path):
            found = found.names.get(part) if isinstance(found, Directory) else None
        return found

    def _file(self, path: PurePath) -> Node:
        found = self._find(path)
        return found if isinstance(found, Node) else _refuse(found, path)

    def _directory(self, path: PurePath) -> Directory:
        found = self._find(path)
        return found if isinstance(found, Directory) else _refuse(found, path)

    def open(self, path: PurePath, mode: OpenMode) -> File:
        if mode != "change" and not self.exists(path):
            directory = self._directory(path.parent)
            self.step()
            directory.names[path.name] = Node()
        node = self._file(path)
        if mode == "rewrite" and node.data:
            self.step()
            node.data.clear()
        return MemoryFile(self, node)

    def read(self, path: PurePath) -> bytes:
        return bytes(self._file(path).data)

    def read_beginning(self, path: PurePath, size: int) -> bytes:
        return bytes(self._file(path).data[:size])

    def names(self, directory: PurePath) -> list[str]:
        return list(self._directory(directory).names)

    def exists(self, path: PurePath) -> bool:
        return self._find(path) is not None

    def is_file(self, path: PurePath) -> bool:
        return isinstance(self._find(path), Node)

    def is_directory(self, path: PurePath) -> bool:
        return isinstance(self._find(path), Directory)

    def identity(self, directory: PurePath) -> Hashable:
        return self.disk.life, self._directory(directory)

    def real_path(self, path: PurePath) -> PurePath:
        return PurePath("/", *_parts(path))

    def make_directory(self, path: PurePath) -> None:
        parent = self._directory(path.parent)
        if isinstance(parent.names.get(path.name), Node):
            raise FileExistsError(errno.EEXIST, "it is a file", str(path))
        if path.name not in parent.names:
            self.step()
            parent.names[path.name] = Directory()

    def replace(self, old: PurePath, new: PurePath) -> None:
        directory, node = self._directory(old.parent), self._file(old)
        self.step()
        del directory.names[old.name]
        directory.names[new.name] = node

    def remove_tree(self, directory: PurePath) -> None:
        self._directory(directory)
        self.step()
        del self._directory(directory.parent).names[directory.name]

    def sync_directory(self, directory: PurePath) -> None:
        found = self._directory(directory)
        self.step()
        found.sync()

    def holder(self) -> tuple[int, str]:
        return self.pid, "simulated"


def _parts(path: PurePath) -> Iterator[str]:
    return (part for part in path.parts if part != path.anchor)


def _refuse(found: Node | Directory | None, path: PurePath) -> NoReturn:
    if found is None:
        raise FileNotFoundError(errno.ENOENT, "it is not there", str(path))
    if isinstance(found, Directory):
        raise IsADirectoryError(errno.EISDIR, "it is a directory", str(path))
    raise NotADirectoryError(errno.ENOTDIR, "it is a file", str(path))
