"""The floor: what a store is known to have held, in a file outside its segments.

A row of segments cannot know that all of it was put back from an older copy. So each start writes,
after its new boot is durable in them and before anything is sent, what the store holds to the file ``floor``; a
clean close writes it once more. A store that is found below its floor is damaged: it may have promised (a vote, an
entry) what it no longer knows.

The floor also keeps that the node is quarantined (decision 1): written once more at that moment, it is where a release
that knows nothing of quarantines looks first, and refuses what it cannot read.

What is compared, and why it never accuses an honest store:

1. store id: the floor and the database belong to one store.
2. boot: the database's is written first, so it is never below.
3. term, and the vote within a term: never go back (Figure 2).
4. first index: compaction only moves it up.
5. last index: goes back only when a leader replaces entries, which the head of that boot remembers (``cut``).
6. after a clean close nothing was written, so all of these, the last term and the head's closing mark are exact.

3 to 6 are compared for each group, and each group that the floor names must be there: one that is damaged makes the
store a damaged one.

Not noticed: the loss of what was written to the newest segment since the start, when the end of its write-ahead file
reads as the end of a shorter one (cut off, or overwritten with zeros) and the node was not closed. Any one write-ahead
log has this limit: only a second synced write for each commit could lift it.

The file is a line that says its format and a checksum, and a line of JSON. From format 3 on the checksum is that of
both, so that a damaged format is not taken for another release's.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import PurePath
from typing import Any

from raftcore.base.conflict import Conflict
from raftcore.wire.codec import crc32c
from raftpy.contracts.errors import StorageDamaged, StorageFailed
from raftpy.contracts.files import Files
from raftpy.contracts.types import BOOT_SHIFT
from raftpy.storage.leveldb.head import Head

FLOOR_FORMAT = 3
"""Raised also when the database's own format changes: the floor is what an older or newer release reads first."""
FORMER_FORMAT = 2
"""Of a directory that is upgraded (upgrade.py)."""
MAGIC = "raftpy floor"


@dataclass(slots=True)
class GroupFloor:
    """The part of one group: ``term`` and ``vote`` (Figure 2), ``last_index`` and ``last_term`` of its last entry; the
    first entry's index is ``prev_index`` + 1."""

    term: int = 0
    vote: int = 0
    prev_index: int = 0
    last_index: int = 0
    last_term: int = 0
    conflict: Conflict | None = field(default=None, compare=False)
    """Why the node is quarantined in this group, once it is; nothing in the database says so."""

    @classmethod
    def of(cls, head: Head, conflict: Conflict | None = None) -> GroupFloor:
        """What a head says."""
        return cls(head.term, head.vote, head.prev_index, head.last_index, head.last_term, conflict)

    def as_dict(self) -> dict[str, Any]:
        """For the file. Without a conflict it is what earlier releases wrote, and read."""
        record = asdict(self)
        if self.conflict is None:
            del record["conflict"]
        return record

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> GroupFloor:
        """The inverse of ``as_dict``. Whatever it meets in a damaged file it raises (``KeyError``, ``TypeError``)."""
        conflict = record.get("conflict")
        return cls(**record | {"conflict": None if conflict is None else Conflict(**conflict)})


@dataclass(slots=True)
class Floor:
    """The contents of the file: the store's ``store_id`` and ``boot`` (0: a first start that has not got as far as
    sending anything), whether it was ``closed`` cleanly, and a part for each of its ``groups``, by group id."""

    store_id: int
    boot: int = 0
    closed: bool = False
    groups: dict[int, GroupFloor] = field(default_factory=dict)
    format: int = FLOOR_FORMAT
    """Of the file it was read from, and of the data directory."""

    FILE = "floor"
    TEMPORARY = "floor.new"

    def write(self, files: Files, directory: PurePath) -> None:
        """Replaces the file, durable on return. Raises ``OSError``."""
        temporary = directory / self.TEMPORARY
        file = files.open(temporary, "rewrite")
        try:
            file.write(self._render())
            file.sync()
        finally:
            file.close()
        files.replace(temporary, directory / self.FILE)
        files.sync_directory(directory)

    @classmethod
    def read(cls, files: Files, directory: PurePath) -> Floor | None:
        """The floor of the data directory, None when there is no file. ``StorageDamaged`` when it is not intact,
        ``StorageFailed`` when another release wrote it."""
        path = directory / cls.FILE
        try:
            data = files.read(path)
        except FileNotFoundError:
            return None
        head, _, body = data.partition(b"\n")
        words = head.decode("ascii", "replace").split(" ")
        version = 0
        if len(words) == 4 and " ".join(words[:2]) == MAGIC and words[2].isdigit():
            version = int(words[2])
        if version not in (0, FORMER_FORMAT, FLOOR_FORMAT) and data == _rendered(version, body):
            raise StorageFailed(
                f"{path} has format {version}, and this release reads format {FLOOR_FORMAT} and upgrades format "
                f"{FORMER_FORMAT}: use the release that wrote it"
            )
        try:
            floor = cls._parse(body, version) if version in (FORMER_FORMAT, FLOOR_FORMAT) else None
        except (ValueError, KeyError, TypeError, AttributeError):
            floor = None
        if floor is None or floor._render() != data:  # also catches every byte that changed without changing the sense
            raise StorageDamaged("its checksum or its form does not hold", str(path))
        return floor

    def _render(self) -> bytes:
        groups = {str(group): part.as_dict() for group, part in sorted(self.groups.items())}
        record = {"store_id": self.store_id, "boot": self.boot, "closed": self.closed, "groups": groups}
        return _rendered(self.format, json.dumps(record).encode() + b"\n")

    @classmethod
    def _parse(cls, body: bytes, version: int) -> Floor:
        record = json.loads(body)
        groups = {int(group): GroupFloor.from_dict(part) for group, part in record["groups"].items()}
        return cls(record["store_id"], record["boot"], record["closed"], groups, version)

    def check(self, store_id: int, group: int, head: Head, where: str) -> None:
        """Raises ``StorageDamaged`` when the store with this identity, and the group with this head, is below this
        floor."""
        where = f"{where} (group {group})"
        part = self.groups.get(group, GroupFloor())
        for what, found, at_least, is_below in (
            ("store id", store_id, self.store_id, store_id != self.store_id),
            ("boot", head.boot, self.boot, self._boot_below(head.boot)),
            ("term", head.term, part.term, head.term < part.term),
            ("vote", head.vote, part.vote, head.term == part.term and part.vote not in (0, head.vote)),
            ("index before the log", head.prev_index, part.prev_index, head.prev_index < part.prev_index),
            ("last index", head.last_index, part.last_index, self._last_below(head, part)),
        ):
            if is_below:
                raise StorageDamaged(f"it is below its floor: {what} {found}, the floor says {at_least}", where)
        # A start that got as far as its boot and no further has changed nothing else.
        if self.closed and (GroupFloor.of(head) != part or (head.boot == self.boot and not head.closed)):
            raise StorageDamaged(f"it is not as it was closed: {GroupFloor.of(head)}, the floor says {part}", where)

    def _boot_below(self, boot: int) -> bool:
        return boot != self.boot and boot >> BOOT_SHIFT <= self.boot >> BOOT_SHIFT

    def _last_below(self, head: Head, part: GroupFloor) -> bool:
        if head.last_index >= part.last_index or head.boot != self.boot:
            return False
        return not 0 < head.cut <= part.last_index


def _rendered(version: int, body: bytes) -> bytes:
    """The file with this ``body``, as a release of this format writes it."""
    sealed = f"{MAGIC} {version} " if version > FORMER_FORMAT else ""
    return f"{MAGIC} {version} {crc32c(sealed.encode() + body):08x}\n".encode() + body
