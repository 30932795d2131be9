"""How records are named.

Key: a tag (one byte), then where the record is of one group that group's id (u64), and for a record of the log the
index of its first entry (u64), big endian, so that their order is the log's.

=== ============== ====================================================================================
tag of             value (little endian, between seal and end: raftpy/storage/leveldb/sealing.pyx)
=== ============== ====================================================================================
I   the database   u32 format version, u64 node id, u64 store id
P   the database   pins: u64 node id and u64 store id for each peer, ascending
B   a group        bootstrap: u64 cluster id, then as JSON, of group 0 the members first given, {"id": "address"}, of
                   any other its first voters, [id, ...] ascending
H   a group        head: eleven u64, see ``raftpy.storage.leveldb.head``
e   a group's log  one block of entries, exactly as it was sent (docs/wire-format.md); behind the last block
                   of a batch the head
=== ============== ====================================================================================

Every group's records are named apart: one database serves all groups of a node. A group is known by its bootstrap
record, and group 0 is always there.
"""

from __future__ import annotations

from struct import Struct

from raftpy.contracts.types import MAX_GROUP

FORMAT = 3
"""Version of everything on this page, and of where it lies. A store of format 2 is upgraded, which had the same records
in one database (raftpy/storage/leveldb/upgrade.py); any other is refused."""
FORMER = 2
"""The version that is upgraded."""

_GROUP = Struct(">cQ")
_ENTRY = Struct(">cQQ")
ENTRY_KEY_SIZE = _ENTRY.size

IDENTITY = b"I"
PINS = b"P"
_NAMES = {b"I": "identity", b"P": "pins", b"B": "bootstrap", b"H": "head"}


def bootstrap_key(group: int) -> bytes:
    """The key of the group's bootstrap record."""
    return _GROUP.pack(b"B", group)


def bootstrap_range() -> tuple[bytes, bytes]:
    """[start, stop) of the keys of all groups' bootstrap records."""
    return _GROUP.pack(b"B", 0), b"C"


def bootstrap_group(key: bytes) -> int | None:
    """The group that a bootstrap key names; None when it is none."""
    return int.from_bytes(key[1:], "big") if len(key) == _GROUP.size else None


def head_key(group: int) -> bytes:
    """The key of the group's head."""
    return _GROUP.pack(b"H", group)


def entry_key(group: int, first: int) -> bytes:
    """The key of the record whose first entry has index ``first``."""
    return _ENTRY.pack(b"e", group, first)


def entry_range(group: int) -> tuple[bytes, bytes]:
    """[start, stop) of the keys of all records of the group's log."""
    return _GROUP.pack(b"e", group), _GROUP.pack(b"e", group + 1) if group < MAX_GROUP else b"f"


def entry_first(key: bytes) -> int:
    """The first index that an entry key of ``ENTRY_KEY_SIZE`` bytes names."""
    return int.from_bytes(key[-8:], "big")


def describe(key: bytes) -> str:
    """A key as errors name it."""
    if key[:1] == b"e" and len(key) == ENTRY_KEY_SIZE:
        _, group, first = _ENTRY.unpack(key)
        return f"record of entry {first} (group {group}, key {key.hex()})"
    if len(key) == _GROUP.size and key[:1] in _NAMES:
        tag, group = _GROUP.unpack(key)
        return f"record {_NAMES[tag]!r} (group {group}, key {key.hex()})"
    return f"record {_NAMES.get(key[:1], 'unknown')!r} (key {key.hex()})"
