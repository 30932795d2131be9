"""A disk in memory, and ``raftpy.contracts.files`` on it, at its worst: it forgets whatever the contract lets it.

A disk outlives the processes that use it. Whoever starts a process takes ``Disk.files`` for it, and ends it with
``kill`` or ``power_failure``; what the process has opened is of no use from then on. Every draw comes from one source,
in an order that goes only by what is done, so that the same is found in every run.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Hashable, Iterator
from itertools import count
from pathlib import PurePath
from random import Random
from typing import NoReturn

from raftpy.contracts.files import Data, OpenMode
from raftpy.sim.disk.contents import Contents
from raftpy.sim.disk.directory import Directory, Node
from raftpy.sim.disk.faults import DiskFaults
from raftpy.sim.disk.image import DiskImage, FileImage

NO_LIMIT = 1 << 30
"""Of the files that a process may have open."""

_disks = count(1)
"""Numbers that tell the disks of this process apart. They are shown to nobody."""


class PowerFailure(BaseException):
    """The process is stopped in the middle of a call, by ``Disk.on_step``; no ``except Exception`` holds it up."""


class Disk:
    """What outlives a process: directories and files, and what is durable of them.

    source: every draw. faults: what goes wrong; may be replaced at any time. on_step: called with a word for the
    operation before each one that changes something; it raises ``PowerFailure`` to stop the process there, after which
    each further operation raises it, too, until ``kill`` or ``power_failure``.
    """

    def __init__(
        self, source: Random, faults: DiskFaults | None = None, on_step: Callable[[str], None] | None = None
    ) -> None:
        self.source = source
        self.faults = faults or DiskFaults()
        self.on_step = on_step
        self.on_wait: Callable[[], None] | None = None
        """Called while a sync is under way: what it syncs is durable only when that returns."""
        self.steps = 0
        """Operations that have changed something, or tried to."""
        self.errors = 0
        """Operations that have failed."""
        self.lacked = 0
        """How often a process had no descriptor for a file."""
        self.capacity = 1 << 40
        """Bytes that fit; may be set to less than is there."""
        self.used = 0
        """Bytes of all files, with what was set aside in them."""
        self.life = 0
        """How often a process was ended."""
        self.stopped = False
        """The process is to be ended: nothing changes any more before that."""
        self.databases: set[tuple[int, Hashable]] = set()
        """What databases are open: number of the process, and identity of the directory."""
        self.harm: list[str] = []
        """What was done to it that no contract allows, and where writes came out of order: only with something here may
        a store refuse to open."""
        self.total_s = 0.0
        """What all operations together have taken, in virtual seconds, as far as it was asked for."""
        self.seconds = 0.0
        """What was done since the last ``take_seconds`` has taken, in virtual seconds."""
        self._number = next(_disks)
        self._directories = count(1)
        self._root = Directory(0)

    # --- the process

    def files(self, pid: int = 1) -> DiskFiles:
        """The file system as the process with this number sees it, until it is ended."""
        return DiskFiles(self, pid)

    def take_seconds(self) -> float:
        """How long all that was done since the last call has taken, in virtual seconds."""
        seconds, self.seconds = self.seconds, 0.0
        self.total_s += seconds
        return seconds

    def kill(self) -> None:
        """The process dies and the machine lives: what was written stays, what was opened and locked is free."""
        self._end_process()
        for contents, _ in self._contents():
            self._note_order(contents.kill(self.source))
        self._count_used()

    def power_failure(self) -> None:
        """The machine dies: all that was not synced is there or not, in part, or as zeros, name by name."""
        self._end_process()
        source, faults = self.source, self.faults
        out_of_order = faults.out_of_order > 0 and source.random() < faults.out_of_order
        if out_of_order:
            self.harm.append("a power failure in which writes came out of order")
        pending = [self._root]
        for directory in pending:
            directory.lose_power(source)
            pending += [node for node in directory.names.values() if isinstance(node, Directory)]
        for contents, directory in self._contents():
            self._note_order(contents.lose_power(source, out_of_order, directory.journaled))
        self._count_used()

    def _end_process(self) -> None:
        self.life += 1
        self.stopped = False
        self.databases.clear()
        self.seconds = 0.0

    # --- what is done to it behind the back of all processes

    def paths(self) -> list[PurePath]:
        """Of all files, sorted."""
        return [path for path, _ in self.copy().files]

    def flip_bit(self, path: PurePath, byte: int | None = None, bit: int | None = None) -> tuple[int, int]:
        """Turns one bit of a file over, of what was written to it; drawn where none is given. (byte, bit), or (-1, -1)
        where the file holds nothing."""
        contents = self.contents(path)
        if not contents.data:
            return -1, -1
        byte = self.source.randrange(len(contents.data)) if byte is None else byte
        bit = self.source.randrange(8) if bit is None else bit
        contents.data[byte] ^= 1 << bit
        self.harm.append(f"bit {bit} of byte {byte} of {path}")
        return byte, bit

    def rewrite(self, path: PurePath, data: bytes) -> None:
        """A file holds something else."""
        contents = self.contents(path)
        contents.data[:] = data
        contents.size = len(data)
        contents.unsynced.clear()
        self._count_used()
        self.harm.append(f"{path} holds other {len(data)} bytes")

    def lose(self, path: PurePath) -> None:
        """A file is gone."""
        directory = self.directory(path.parent)
        del directory.names[path.name]
        directory.unsynced.clear()
        self._count_used()
        self.harm.append(f"{path} is gone")

    def empty(self, path: PurePath) -> None:
        """Takes all that is in a directory away, while nobody has it open."""
        directory = self.directory(path)
        directory.names.clear()
        directory.unsynced.clear()
        self._count_used()
        self.harm.append(f"{path} was emptied")

    def copy(self) -> DiskImage:
        """As programs see it now."""
        directories: list[PurePath] = []
        files: list[tuple[PurePath, FileImage]] = []
        pending = [(PurePath("/"), self._root)]
        for path, directory in pending:
            directories.append(path)
            for name, node in sorted(directory.names.items()):
                if isinstance(node, Directory):
                    pending.append((path / name, node))
                else:
                    files.append((path / name, FileImage(bytes(node.data), node.size)))
        return DiskImage(tuple(directories), tuple(sorted(files)))

    def restore(self, image: DiskImage) -> None:
        """Everything is as it was when ``image`` was made, durably, and the process is ended."""
        self._end_process()
        self._root = Directory(0)
        for path in image.directories:
            if path.name:
                self.directory(path.parent).names[path.name] = self.new_directory()
        for path, (data, size) in image.files:
            self.directory(path.parent).names[path.name] = Contents(data, size)
        self._count_used()
        self.harm.append("an older copy was put back")

    # --- for DiskFiles

    def step(self, operation: str) -> None:
        """Something is about to change."""
        if self.stopped:
            raise PowerFailure
        if self.on_step is not None:
            try:
                self.on_step(operation)
            except PowerFailure:
                self.stopped = True
                raise
        self.steps += 1

    @property
    def free(self) -> int:
        """Bytes that still fit."""
        return max(0, self.capacity - self.used)

    def written(self, wanted: int, growth: int) -> tuple[int, OSError | None]:
        """How many of ``wanted`` bytes a write gets down before it fails, and with what; all, and None, if it does
        not. ``growth``: by how much it makes the file longer, at its end."""
        source, faults = self.source, self.faults
        low, high = faults.write_s
        self.seconds += low + (high - low) * source.random()
        if faults.write_error and source.random() < faults.write_error:
            return source.randint(0, wanted), self._failed(errno.EIO, "Input/output error")
        if faults.no_space and (wanted or growth > 0) and source.random() < faults.no_space:
            return source.randint(0, wanted), self._failed(errno.ENOSPC, "No space left on device")
        lacking = self.used + growth - self.capacity
        if lacking > 0 and growth > 0:
            return max(0, wanted - lacking), self._failed(errno.ENOSPC, "No space left on device")
        return wanted, None

    def synced(self) -> OSError | None:
        """A sync takes its time, and fails or not."""
        source, faults = self.source, self.faults
        low, high = faults.sync_s
        if faults.slow and source.random() < faults.slow:
            low, high = faults.slow_s
        if faults.stall and source.random() < faults.stall:
            low, high = faults.stall_s
        self.seconds += low + (high - low) * source.random()
        fails = faults.sync_error and source.random() < faults.sync_error
        error = self._failed(errno.EIO, "Input/output error") if fails else None
        if self.on_wait is not None:
            self.on_wait()
        return error

    def _failed(self, number: int, text: str) -> OSError:
        self.errors += 1
        return OSError(number, text)

    def find(self, path: PurePath) -> Node | None:
        """What the path leads to."""
        found: Node | None = self._root
        for part in path.parts:
            if part != path.anchor:
                found = found.names.get(part) if isinstance(found, Directory) else None
        return found

    def contents(self, path: PurePath) -> Contents:
        """The file at the path."""
        found = self.find(path)
        return found if isinstance(found, Contents) else self._refuse(found, path)

    def directory(self, path: PurePath) -> Directory:
        """The directory at the path."""
        found = self.find(path)
        return found if isinstance(found, Directory) else self._refuse(found, path)

    def new_directory(self) -> Directory:
        """One that is nowhere yet."""
        return Directory(next(self._directories))

    def identity(self, directory: Directory) -> Hashable:
        """Numbers, so that whoever keeps them keeps nothing of the disk."""
        return "simulated", self._number, self.life, directory.number

    def _refuse(self, found: Node | None, path: PurePath) -> NoReturn:
        if found is None and not any(isinstance(self.find(parent), Contents) for parent in path.parents):
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path))
        if isinstance(found, Directory):
            raise IsADirectoryError(errno.EISDIR, "Is a directory", str(path))
        raise NotADirectoryError(errno.ENOTDIR, "Not a directory", str(path))

    def _note_order(self, out_of_order: bool) -> None:
        if out_of_order:
            self.harm.append("writes came out of order after a sync that had failed")

    def _contents(self) -> Iterator[tuple[Contents, Directory]]:
        """Every file and where it is, in an order that goes by how the names came about; one of two names comes
        twice."""
        pending: list[Directory] = [self._root]
        for directory in pending:
            for node in directory.names.values():
                if isinstance(node, Directory):
                    pending.append(node)
                else:
                    yield node, directory

    def _count_used(self) -> None:
        self.used = sum(contents.size for contents, _ in self._contents())


class DiskFile:
    """A ``File`` of a :class:`DiskFiles`."""

    __slots__ = ("_contents", "_disk", "_life", "_offset", "_opened", "_pid", "_reads")

    def __init__(
        self, disk: Disk, contents: Contents, pid: int, opened: dict[DiskFile, PurePath], *, reads: bool
    ) -> None:
        self._disk, self._contents, self._pid = disk, contents, pid
        self._opened = opened  # what its process has open, this file among it
        self._reads = reads  # and does nothing else
        self._life = disk.life  # -1 once it is closed
        self._offset = 0

    def read_at(self, size: int, offset: int) -> bytes:
        self._check()
        return self._contents.read(offset, size)

    def read_into(self, buffer: memoryview, offset: int) -> int:
        read = self.read_at(len(buffer), offset)
        buffer[: len(read)] = read
        return len(read)

    def write(self, data: Data) -> None:
        written, error = self._write(data, self._offset)
        self._offset += written
        if error is not None:
            raise error

    def write_at(self, data: Data, offset: int) -> None:
        _, error = self._write(data, offset)
        if error is not None:
            raise error

    def _write(self, data: Data, offset: int) -> tuple[int, OSError | None]:
        """How many bytes were written, and what has kept the others from it."""
        disk, contents = self._disk, self._contents
        self._check_change()
        disk.step("write")
        before = contents.size
        written, error = disk.written(len(data), offset + len(data) - before)
        if written:
            contents.write(bytes(data if error is None else data[:written]), offset)
            disk.used += contents.size - before
        return written, error

    def size(self) -> int:
        self._check()
        return self._contents.size

    def truncate(self, size: int) -> None:
        disk, contents = self._disk, self._contents
        self._check_change()
        if size == contents.size:
            return
        disk.step("truncate")
        _, error = disk.written(0, size - contents.size)
        if error is not None:
            raise error
        disk.used += size - contents.size
        contents.resize(size)

    def set_aside(self, size: int) -> bool:
        disk, contents = self._disk, self._contents
        self._check()
        growth = size - contents.size
        if self._reads or growth <= 0:
            return not self._reads
        disk.step("set aside")
        growth = max(size - contents.size, 0)  # another thread may have written to it meanwhile
        taken, error = disk.written(growth, growth)
        if taken:
            disk.used += taken
            contents.resize(contents.size + taken)
        return error is None

    def free_space(self) -> int:
        self._check()
        return self._disk.free

    def write_back(self, size: int, offset: int) -> bool:
        """What was not synced may be found after a crash, or not: so it is here without this call as well."""
        self._check()
        return False

    def sync(self) -> None:
        disk, contents = self._disk, self._contents
        self._check()
        disk.step("sync")
        error = disk.synced()
        if error is not None:
            contents.fail_to_sync()
            raise error
        contents.sync()

    def write_durably(self, data: Data, offset: int) -> None:
        self.write_at(data, offset)
        self.sync()

    def lock(self) -> bool:
        self._check()
        if self._contents.locked_by not in (None, self) or self._contents.shared_by - {self}:
            return False
        self._contents.locked_by = self
        self._contents.shared_by.discard(self)
        return True

    def lock_shared(self) -> bool:
        self._check()
        if self._contents.locked_by not in (None, self):
            return False
        self._contents.locked_by = None
        self._contents.shared_by.add(self)
        return True

    def unlock(self) -> None:
        self._check()
        self._unlock()

    def _unlock(self) -> None:
        if self._contents.locked_by is self:
            self._contents.locked_by = None
        self._contents.shared_by.discard(self)

    def lock_for_process(self) -> bool:
        self._check()
        if self._contents.process not in (0, self._pid):
            return False
        self._contents.process = self._pid
        return True

    def locked_by_another(self) -> bool:
        self._check()
        return self._contents.process not in (0, self._pid)

    def close(self) -> None:
        if self._life == self._disk.life:
            self._unlock()
            if self._contents.process == self._pid:
                self._contents.process = 0
        self._life = -1
        self._opened.pop(self, None)

    def _check(self) -> None:
        if self._life != self._disk.life:
            raise OSError(errno.EBADF, "Bad file descriptor")

    def _check_change(self) -> None:
        self._check()
        if self._reads:
            raise OSError(errno.EBADF, "Bad file descriptor")


class DiskFiles:
    """``Files`` on a :class:`Disk`, as one process sees them. Every path begins at its root.

    Once the process is ended nothing can be done with it: every call raises ``OSError``.
    """

    def __init__(self, disk: Disk, pid: int = 1) -> None:
        self.disk = disk
        self.pid = pid
        self.opened: dict[DiskFile, PurePath] = {}
        """The files that are open, and under which name each was opened."""
        self.limit = NO_LIMIT
        """How many there may be, as by RLIMIT_NOFILE."""
        self._life = disk.life

    def open(self, path: PurePath, mode: OpenMode) -> DiskFile:
        disk = self._alive()
        if len(self.opened) >= self.limit:
            disk.lacked += 1
            raise OSError(errno.EMFILE, "Too many open files", str(path))
        if mode not in ("change", "read") and disk.find(path) is None:
            directory = disk.directory(path.parent)
            disk.step("create")
            self._make_room()
            directory.change((path.name, Contents()))
        contents = disk.contents(path)
        if mode == "rewrite" and contents.size:
            disk.step("truncate")
            disk.used -= contents.size
            contents.resize(0)
        file = DiskFile(disk, contents, self.pid, self.opened, reads=mode == "read")
        self.opened[file] = path
        return file

    def read(self, path: PurePath) -> bytes:
        contents = self._alive().contents(path)
        return contents.read(0, contents.size)

    def read_beginning(self, path: PurePath, size: int) -> bytes:
        return self._alive().contents(path).read(0, size)

    def names(self, directory: PurePath) -> list[str]:
        return list(self._alive().directory(directory).names)

    def exists(self, path: PurePath) -> bool:
        return self._alive().find(path) is not None

    def is_file(self, path: PurePath) -> bool:
        return isinstance(self._alive().find(path), Contents)

    def is_directory(self, path: PurePath) -> bool:
        return isinstance(self._alive().find(path), Directory)

    def identity(self, directory: PurePath) -> Hashable:
        disk = self._alive()
        return disk.identity(disk.directory(directory))

    def disk_of(self, directory: PurePath) -> Hashable:
        found = self._alive()
        found.directory(directory)
        return "simulated", found._number

    def real_path(self, path: PurePath) -> PurePath:
        return PurePath("/", *(part for part in path.parts if part != path.anchor))

    def make_directory(self, path: PurePath) -> None:
        disk = self._alive()
        parent = disk.directory(path.parent)
        there = disk.find(path)
        if isinstance(there, Contents):
            raise FileExistsError(errno.EEXIST, "File exists", str(path))
        if there is None:
            disk.step("make directory")
            self._make_room()
            parent.change((path.name, disk.new_directory()))

    def replace(self, old: PurePath, new: PurePath) -> None:
        disk = self._alive()
        directory, contents = disk.directory(old.parent), disk.contents(old)
        replaced = directory.names.get(new.name)
        if isinstance(replaced, Directory):
            raise IsADirectoryError(errno.EISDIR, "Is a directory", str(new))
        disk.step("rename")
        directory.change((old.name, None), (new.name, contents))
        if replaced is not None:
            disk.used -= replaced.size

    def remove(self, path: PurePath) -> None:
        disk = self._alive()
        contents = disk.contents(path)
        disk.step("remove")
        disk.directory(path.parent).change((path.name, None))
        disk.used -= contents.size

    def remove_tree(self, directory: PurePath) -> None:
        disk = self._alive()
        disk.directory(directory)
        disk.step("remove tree")
        disk.directory(directory.parent).change((directory.name, None))
        disk._count_used()

    def free_space(self, directory: PurePath) -> int:
        disk = self._alive()
        disk.directory(directory)
        return disk.free

    def sync_directory(self, directory: PurePath) -> None:
        disk = self._alive()
        found = disk.directory(directory)
        disk.step("sync directory")
        error = disk.synced()
        if error is not None:
            raise error
        found.sync()

    def keep_order(self, directory: PurePath) -> None:
        """The names of this directory are as safe as a journal makes them: see ``Directory.journaled``."""
        self._alive().directory(directory).journaled = True

    def holder(self) -> tuple[int, str]:
        return self.pid, "simulated"

    def _alive(self) -> Disk:
        if self._life != self.disk.life:
            raise OSError(errno.EIO, "the process that had this disk has ended")
        return self.disk

    def _make_room(self) -> None:
        """A new name takes room, too, where there is next to none."""
        disk = self.disk
        _, error = disk.written(0, 1)
        if error is not None:
            raise error
