"""Where a simulated member has its data, and what of it is looked at from outside."""

from __future__ import annotations

from pathlib import PurePath

from raftpy.sim.disk.contents import Contents
from raftpy.sim.disk.directory import Directory
from raftpy.sim.disk.files import Disk
from raftpy.storage.leveldb.ownership import SEGMENTS
from raftpy.storage.leveldb.segment import HEADER_END

DIRECTORY = "/data"


def newest_log(disk: Disk) -> Contents | None:
    """The write-ahead file of the newest segment in use of a member's store; None before there is one.

    A segment is in use once more was written to it than its header.
    """
    row = disk.find(PurePath(DIRECTORY, SEGMENTS))
    numbers = sorted(row.names, reverse=True) if isinstance(row, Directory) else []
    for number in numbers:
        segment = row.names[number] if isinstance(row, Directory) else None
        names = segment.names if isinstance(segment, Directory) else {}
        newest = max((name for name in names if name.endswith(".log")), default="")
        contents = names.get(newest)
        if isinstance(contents, Contents) and len(contents.data) > HEADER_END:
            return contents
    return None
