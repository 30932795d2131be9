"""Whose a data directory is, asked before the first byte is written into it.

A first start makes ``lock``, then ``floor`` (by way of ``floor.new``), then ``segments/``, and may be killed, or lose
its power, between any two steps and within each. So a directory is a node's when

1. there is nothing in it (``lost+found`` apart, which a file system of its own has at its root), or
2. its floor opens as a floor does, whatever else somebody has put beside it, or
3. its lock is a node's and there are segments beside it, or the database of a former release: a node's store without a
   floor, which is damaged, and whose damage is for the start to name (startup.py), or
4. it holds what a first start makes and nothing else, each file with its own beginning, or less of it, or zeros in the
   place of what a power failure took.

All else is somebody else's.
"""

from __future__ import annotations

from pathlib import PurePath

from raftpy.contracts.errors import ForeignDirectory
from raftpy.contracts.files import Files
from raftpy.storage.leveldb.floor import MAGIC, Floor
from raftpy.storage.leveldb.lock import DirectoryLock
from raftpy.storage.leveldb.segment import segments

SEGMENTS = "segments"
"""The directory of the row of segments, in the data directory."""
FORMER = "leveldb"
"""The directory of the one database that a data directory of format 2 has."""
UNWRITTEN = frozenset({"LOCK", "LOG", "LOG.old"})
"""What LevelDB makes before anything can be in its database."""

_LOST_AND_FOUND = "lost+found"
_BEGINNINGS = {
    DirectoryLock.FILE: DirectoryLock.BEGINNING,
    Floor.FILE: MAGIC.encode(),
    Floor.TEMPORARY: MAGIC.encode(),
}


def check_ours(files: Files, directory: PurePath) -> None:
    """Raises ``ForeignDirectory`` when ``directory`` holds what no node has made, ``OSError``. Writes nothing."""
    if not files.is_directory(directory):
        return  # to be made, or to be refused for what it is
    # Listed before anything is read: what another start makes meanwhile comes later than what it stands upon.
    entries = sorted(directory / name for name in files.names(directory) if name != _LOST_AND_FOUND)
    if _begun(files, directory / Floor.FILE) == MAGIC.encode():
        return
    lock = directory / DirectoryLock.FILE
    locked = lock in entries and _may_be_ours(files, lock)
    if locked and (files.exists(directory / FORMER / "CURRENT") or segments(files, directory / SEGMENTS)):
        return
    foreign = [
        entry.name for entry in entries if not (_may_be_ours(files, entry) or (locked and _is_unwritten(files, entry)))
    ]
    if foreign:
        raise ForeignDirectory(directory, foreign)


def _may_be_ours(files: Files, entry: PurePath) -> bool:
    """Whether it is one of a first start's files, or the beginning of one."""
    beginning = _BEGINNINGS.get(entry.name)
    found = None if beginning is None else _begun(files, entry)
    return beginning is not None and found is not None and beginning.startswith(found)


def _begun(files: Files, path: PurePath) -> bytes | None:
    """The first bytes of a file, as many as tell its kind, without zeros at their end; None: it is no file."""
    if files.exists(path) and not files.is_file(path):
        return None
    try:
        return files.read_beginning(path, len(_BEGINNINGS[path.name])).rstrip(b"\0")
    except FileNotFoundError:
        return b""  # another start has just made more of it


def _is_unwritten(files: Files, entry: PurePath) -> bool:
    """Whether it is the directory of a former release's database, or of segments, with nothing in it yet."""
    if not files.is_directory(entry):
        return False
    names = set(files.names(entry))
    return (entry.name == SEGMENTS and not names) or (entry.name == FORMER and names <= UNWRITTEN)
