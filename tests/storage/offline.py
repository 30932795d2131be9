"""What the offline reading of a data directory says, as the tests compare it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path, PurePath

from raftcore.values.message import Entry
from raftpy.contracts.files import Files
from raftpy.storage.offline.examining import examined
from raftpy.storage.offline.exporting import entries
from raftpy.storage.offline.faults import Fault
from raftpy.system.files import SystemFiles

FILES = SystemFiles()
LAST = 2**64 - 1


def faults(path: PurePath, files: Files = FILES) -> list[Fault]:
    """What is wrong with a data directory; nothing of it was changed."""
    before = fingerprint(path) if files is FILES else ""
    with examined(files, path) as found:
        said = list(found.faults.found)
    assert files is not FILES or fingerprint(path) == before
    return said


def texts(path: PurePath) -> list[str]:
    return [str(fault) for fault in faults(path)]


def log_of(path: PurePath, group: int = 0, first: int = 0, last: int = LAST) -> list[Entry]:
    """The entries that are exported."""
    with examined(FILES, path) as found:
        return [stored.entry for stored in entries(found, group, first, last)]


def fingerprint(directory: PurePath) -> str:
    """Of all names, contents and times of change below a directory, and of its own."""
    digest = hashlib.blake2b()
    if not Path(directory).exists():
        return ""
    for path in sorted([Path(directory), *Path(directory).rglob("*")]):
        status = os.lstat(path)
        digest.update(f"{path} {status.st_mode} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}\n".encode())
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()
