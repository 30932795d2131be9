"""Whether a directory is a node's, and that no node runs on it while it is read: asked without writing a byte.

A node that runs writes to the files that are read here, so what one reads of them is of no one moment, and looks like
damage. The kernel's lock tells: a node holds it alone, and a reader holds it beside other readers, which takes no byte
in the file, and works on a read-only mount. A node that is started meanwhile is refused, and may be started again once
the reader has ended.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import PurePath

from raftpy.contracts.errors import ForeignDirectory, StorageDamaged, StorageFailed, StorageLocked
from raftpy.contracts.files import File, Files
from raftpy.storage.leveldb.floor import FLOOR_FORMAT, Floor
from raftpy.storage.leveldb.lock import DirectoryLock, read_holder
from raftpy.storage.leveldb.ownership import FORMER, SEGMENTS, check_ours
from raftpy.storage.leveldb.segment import name_of, segments
from raftpy.storage.leveldb.store import MAY_BE_OPEN
from raftpy.storage.offline.faults import Faults


class NotADataDirectory(StorageFailed):
    """There is nothing to be read in a directory. Raised by ``reading``."""


@contextmanager
def reading(files: Files, directory: PurePath) -> Iterator[None]:
    """While ``directory``, a node's, is read. Raises ``NotADataDirectory``, ``StorageLocked`` where a node runs on it,
    ``OSError``."""
    _check_a_nodes(files, directory)
    lock = _lock(files, directory)
    try:
        row = directory / SEGMENTS
        for number in segments(files, row)[-MAY_BE_OPEN:]:  # whatever has become of our own lock
            with suppress(FileNotFoundError):
                _check_unused(files, row / name_of(number) / "LOCK", directory)
        yield
    finally:
        if lock is not None:
            lock.close()


def read_floor(files: Files, directory: PurePath, faults: Faults) -> Floor | None:
    """The floor; None where it is damaged or missing, which is noted, unless there is nothing that it could tell of.

    Raises ``NotADataDirectory`` where the directory has another format, or holds nothing yet.
    """
    try:
        floor = Floor.read(files, directory)
    except StorageDamaged as error:
        faults.add(error.where, error.what)
        return None
    if floor is None:
        if files.exists(directory / FORMER / "CURRENT"):
            raise NotADataDirectory(f"{directory} has a database of a former release, and no floor: it is damaged")
        if not segments(files, directory / SEGMENTS):
            raise NotADataDirectory(f"{directory} holds nothing yet: a node's first start was cut short there")
        faults.add(directory / Floor.FILE, "it is missing, and what it tells of is not")
        return None
    if floor.format != FLOOR_FORMAT:
        raise NotADataDirectory(
            f"{directory} has format {floor.format}, and format {FLOOR_FORMAT} is read here: the next start of its "
            "node with this release upgrades it (raftpy serve)"
        )
    return floor


def _check_a_nodes(files: Files, directory: PurePath) -> None:
    if not files.is_directory(directory):
        what = "is no directory" if files.exists(directory) else "is not there"
        raise NotADataDirectory(f"{directory} {what}: the data directory of a node is expected")
    try:
        check_ours(files, directory)
        if not files.names(directory):
            raise NotADataDirectory(f"{directory} is empty: the data directory of a node is expected")
    except (ForeignDirectory, NotADataDirectory) as error:
        above = files.real_path(directory).parent
        if _has_floor(files, above):
            raise NotADataDirectory(f"{directory} is a part of the data directory {above}: name that one") from None
        if isinstance(error, NotADataDirectory):
            raise
        shown = ", ".join(error.entries[: error.SHOWN])
        raise NotADataDirectory(f"{directory} is no node's data directory: it holds {shown}") from None


def _has_floor(files: Files, directory: PurePath) -> bool:
    try:
        return Floor.read(files, directory) is not None
    except (StorageFailed, OSError):
        return False


def _lock(files: Files, directory: PurePath) -> File | None:
    """The file that holds the lock beside other readers; None where there is none, and so no node that holds it."""
    try:
        file = files.open(directory / DirectoryLock.FILE, "read")
    except FileNotFoundError:
        return None
    try:
        if not file.lock_shared():
            raise StorageLocked(directory, *read_holder(file))
    except BaseException:
        file.close()
        raise
    return file


def _check_unused(files: Files, path: PurePath, directory: PurePath) -> None:
    file = files.open(path, "read")
    try:
        if file.locked_by_another():
            raise StorageLocked(directory)
    finally:
        file.close()
