"""LevelDB's write-ahead files: a look at them before they are read, and space set aside in them.

A sync of a file that grows writes the file's new size as well, which costs more than the data of a small commit. So
a new segment's write-ahead file is made as long as it will get, and written from its beginning on. Behind what was
written there are zeros then. A clean close cuts them off; after a crash that is done here, so that LevelDB would find
what it would have found without them.

What a crash leaves of a write that was under way, a beginning, ends in zeros. LevelDB would call that damage; without
zeros behind it, it leaves it out, rightly, for it was never acknowledged. So it is cut off here. An acknowledged
write is not taken for one: the last byte of every value is no zero (sealing.pyx), and the file's last record is such a
value's end.

LevelDB itself takes a last record that claims more bytes than the file has for one whose writer died half-way, and
leaves it and whatever follows out, quietly: right for a torn write, and wrong when the length field is what was
damaged, for then acknowledged records vanish. The two can be told apart. A torn record's bytes are a mere beginning,
whose checksum no shorter length makes right; behind a damaged length the whole record is still there, and some length
does.

Also, LevelDB opens a database without any write-ahead file, though every one that was ever open has one.

What stays: a file cut off at its end, or overwritten with zeros there, cannot be told from a torn write, nor, while
LevelDB is just turning its memory into a table, the loss of the newer of two files. See floor.py for what the floor
adds.
"""

from __future__ import annotations

from pathlib import PurePath

from raftpy.contracts.errors import StorageDamaged, StorageFailed
from raftpy.contracts.files import Files
from raftpy.storage.leveldb.wal_records import BLOCK, BROKEN, HEADER, LENGTH, TORN, WHOLE, survey

REREAD = 1 << 20
"""Bytes of a closed segment that are read back at a time: whole blocks of a write-ahead file, in which records end."""


def write_ahead_files(files: Files, directory: PurePath) -> list[PurePath]:
    """Those of the database in ``directory``, the newest last; none where there is no such directory."""
    names = files.names(directory) if files.is_directory(directory) else []
    paths = (directory / name for name in names if name.endswith(".log"))
    return sorted((path for path in paths if path.stem.isdigit()), key=lambda path: int(path.stem))


def check_write_ahead(files: Files, directory: PurePath) -> None:
    """Raises ``StorageDamaged`` when the database in ``directory`` has lost a write-ahead file or a record of one.

    Cuts off what is behind the last whole record: zeros, and the beginning of a write that was never acknowledged.
    Nobody may have the database open. Raises ``OSError`` when a file cannot be read or cut.
    """
    paths = write_ahead_files(files, directory)
    if not paths:
        raise StorageDamaged("its write-ahead file (*.log) is missing", str(directory))
    ends: list[int] = []
    for path in reversed(paths):
        # LevelDB begins a file only when everything in the one before is synced: torn is only what nothing follows.
        ends.append(_checked_end(files, path, may_be_torn=not any(ends)))
    for path, end in zip(reversed(paths), ends, strict=True):
        cut_off(files, path, end)


def check_manifest(files: Files, directory: PurePath) -> None:
    """Raises ``StorageDamaged`` when a record of the manifest, the list of LevelDB's tables, is not what was written.

    It has the form of a write-ahead file, and a damaged length at its end would undo the newest tables quietly. The
    beginning of a record, left by a crash, is no damage; it stays for LevelDB to leave out.
    """
    name = files.read(directory / "CURRENT").decode("ascii", "replace").strip()
    path = directory / name
    if name.startswith("MANIFEST-") and files.is_file(path):
        _checked_end(files, path, may_be_torn=True)


def _checked_end(files: Files, path: PurePath, *, may_be_torn: bool) -> int:
    """Where the whole records of a file end."""
    verdict, end = survey(files.read(path))
    if verdict == LENGTH:
        raise StorageDamaged(f"the length of the record at byte {end} is not what was written", str(path))
    if verdict == BROKEN or (verdict == TORN and not may_be_torn):
        raise StorageDamaged(f"the record at byte {end} is not what was written", str(path))
    return end


def cut_off(files: Files, path: PurePath, size: int) -> None:
    """Makes the file ``size`` bytes long if it is longer, durably."""
    file = files.open(path, "change")
    try:
        if size < file.size():
            file.truncate(size)
            file.sync()
    finally:
        file.close()


def cut_off_room(files: Files, path: PurePath, end: int) -> None:
    """Likewise, for a file of which it is computed and not read that its records end at byte ``end``, with room behind
    them: ``StorageFailed``, and nothing is cut off, where that does not stand there."""
    begin = (end - 1) // BLOCK * BLOCK  # of the block that ends there or is the last one: a record begins with it
    file = files.open(path, "read")
    try:
        piece = file.read_at(2 * BLOCK, begin)
    finally:
        file.close()
    verdict, found = survey(piece)
    padding = BLOCK - (end - begin)
    if verdict != WHOLE or begin + found not in (end, end + padding if padding < HEADER else end):
        raise StorageFailed(
            f"the records of {path} end at byte {begin + found}, and not at byte {end}: it is not cut off"
        )
    cut_off(files, path, end)


ROOM = 8
"""How many times what is set aside must be free: a file system may use its last room up before it says that it has
none."""


def set_aside(files: Files, path: PurePath, size: int) -> None:
    """Makes the file ``size`` bytes long, with its room on the disk, so that later syncs need not write its size.

    Where that cannot be done, or where room is short, everything goes on without. Raises ``OSError`` for a file that is
    not there. The next sync makes it durable.
    """
    file = files.open(path, "change")
    try:
        if file.free_space() >= ROOM * size:
            file.set_aside(size)
    finally:
        file.close()


def damage_in(piece: bytes, offset: int, size: int) -> str | None:
    """What is wrong with the ``piece`` at ``offset`` of a closed segment's file, whose records end at ``size``; None:
    nothing. It begins with a block."""
    expected = min(REREAD, size - offset)
    if len(piece) < expected:
        return f"it ends before byte {offset + expected}"
    verdict, end = survey(piece)
    if verdict != WHOLE or any(piece[end:]) or expected - end >= HEADER:
        return f"the record at byte {offset + end} is not what was written"
    return None
