"""Whose a data directory is, asked before the first byte is written into it.

A first start makes ``lock``, then ``floor`` (by way of ``floor.new``), then ``leveldb/``, and may be killed, or lose
its power, between any two steps and within each. So a directory is a node's when

1. there is nothing in it (``lost+found`` apart, which a file system of its own has at its root), or
2. its floor opens as a floor does, whatever else somebody has put beside it, or
3. its lock is a node's and there is a database beside it: a node's store without a floor, which is damaged, and whose
   damage is for the start to name (startup.py), or
4. it holds what a first start makes and nothing else, each file with its own beginning, or less of it, or zeros in the
   place of what a power failure took.

All else is somebody else's.
"""

from __future__ import annotations

from pathlib import Path

from raftpy.contracts.errors import ForeignDirectory
from raftpy.storage.leveldb.floor import MAGIC, Floor
from raftpy.storage.leveldb.lock import DirectoryLock

DATABASE = "leveldb"
UNWRITTEN = frozenset({"LOCK", "LOG", "LOG.old"})
"""What LevelDB makes before anything can be in its database."""

_LOST_AND_FOUND = "lost+found"
_BEGINNINGS = {
    DirectoryLock.FILE: DirectoryLock.BEGINNING,
    Floor.FILE: MAGIC.encode(),
    Floor.TEMPORARY: MAGIC.encode(),
}


def check_ours(directory: Path) -> None:
    """Raises ``ForeignDirectory`` when ``directory`` holds what no node has made, ``OSError``. Writes nothing."""
    if not directory.is_dir():
        return  # to be made, or to be refused for what it is
    # Listed before anything is read: what another start makes meanwhile comes later than what it stands upon.
    entries = sorted(entry for entry in directory.iterdir() if entry.name != _LOST_AND_FOUND)
    if _begun(directory / Floor.FILE) == MAGIC.encode():
        return
    lock = directory / DirectoryLock.FILE
    locked = lock in entries and _may_be_ours(lock)
    if locked and (directory / DATABASE / "CURRENT").exists():
        return
    foreign = [entry.name for entry in entries if not (_may_be_ours(entry) or (locked and _is_unwritten(entry)))]
    if foreign:
        raise ForeignDirectory(directory, foreign)


def _may_be_ours(entry: Path) -> bool:
    """Whether it is one of a first start's files, or the beginning of one."""
    beginning = _BEGINNINGS.get(entry.name)
    found = None if beginning is None else _begun(entry)
    return beginning is not None and found is not None and beginning.startswith(found)


def _begun(path: Path) -> bytes | None:
    """The first bytes of a file, as many as tell its kind, without zeros at their end; None: it is no file."""
    if path.exists() and not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            return file.read(len(_BEGINNINGS[path.name])).rstrip(b"\0")
    except FileNotFoundError:
        return b""  # another start has just made more of it


def _is_unwritten(entry: Path) -> bool:
    return entry.name == DATABASE and entry.is_dir() and {inner.name for inner in entry.iterdir()} <= UNWRITTEN
