"""The manifest: which tables there are, and what number comes next, as edits of what was before."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from raftpy.sim.disk.leveldb.varints import Malformed, Unpacking, prefixed, varint

COMPARATOR = b"leveldb.BytewiseComparator"


class TableFile(NamedTuple):
    """A table as the manifest has it: its ``level``, ``number`` and ``size`` in bytes, and its ``smallest`` and
    ``largest`` key, each with the eight bytes that LevelDB puts behind a key."""

    level: int
    number: int
    size: int
    smallest: bytes
    largest: bytes


@dataclass
class Edit:
    """One record: what it changes, None or empty where it says nothing."""

    comparator: bytes | None = None
    """Name of the order of keys."""
    log_number: int | None = None
    """Of the oldest write-ahead file that is not in tables."""
    prev_log_number: int | None = None
    """Of another one, in old releases."""
    next_file: int | None = None
    """No file has this number yet."""
    last_sequence: int | None = None
    """Of all writes in tables."""
    deleted: list[tuple[int, int]] = field(default_factory=list)
    """Level and number of tables that are no more."""
    added: list[TableFile] = field(default_factory=list)
    """New ones."""

    def pack(self) -> bytes:
        """For the manifest."""
        out = bytearray()
        if self.comparator is not None:
            out += b"\1" + prefixed(self.comparator)
        for tag, number in (
            (2, self.log_number),
            (9, self.prev_log_number),
            (3, self.next_file),
            (4, self.last_sequence),
        ):
            if number is not None:
                out += varint(tag) + varint(number)
        for level, number in sorted(self.deleted):
            out += b"\6" + varint(level) + varint(number)
        for table in self.added:
            out += b"\7" + varint(table.level) + varint(table.number) + varint(table.size)
            out += prefixed(table.smallest) + prefixed(table.largest)
        return bytes(out)

    @classmethod
    def unpack(cls, record: bytes) -> Edit:
        """Raises ``Malformed``."""
        edit = cls()
        reader = Unpacking(record)
        while reader.at < len(record):
            tag = reader.varint()
            if tag == 1:
                edit.comparator = reader.prefixed()
            elif tag == 2:
                edit.log_number = reader.varint()
            elif tag == 3:
                edit.next_file = reader.varint()
            elif tag == 4:
                edit.last_sequence = reader.varint()
            elif tag == 5:  # where the last merge of a level has ended: only to spread the work
                reader.varint()
                reader.prefixed()
            elif tag == 6:
                edit.deleted.append((reader.varint(), reader.varint()))
            elif tag == 7:
                table = TableFile(
                    reader.varint(), reader.varint(), reader.varint(), reader.prefixed(), reader.prefixed()
                )
                edit.added.append(table)
            elif tag == 9:
                edit.prev_log_number = reader.varint()
            else:
                raise Malformed("unknown tag")
        return edit


@dataclass
class Version:
    """What all edits together say."""

    log_number: int | None = None
    """See ``Edit``, also for the next two."""
    next_file: int | None = None
    """Likewise."""
    last_sequence: int | None = None
    """Likewise."""
    tables: list[TableFile] = field(default_factory=list)
    """Ordered as they were added, and those of a deeper level first: what is in a later one counts."""

    def apply(self, edit: Edit) -> None:
        """Takes an edit into account."""
        for name in ("log_number", "next_file", "last_sequence"):
            if getattr(edit, name) is not None:
                setattr(self, name, getattr(edit, name))
        gone = set(edit.deleted)
        kept = [table for table in self.tables if (table.level, table.number) not in gone]
        self.tables = sorted([*kept, *edit.added], key=lambda table: (-table.level, table.number))
