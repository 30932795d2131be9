"""How records are named and sealed in LevelDB.

Key: group id (u64), a tag (one byte) and, for a record of the log, the index of its first entry (u64), all big endian,
so that LevelDB's order is the log's. Every key carries the group id, for the day one database serves thousands of
groups; what belongs to the database as a whole stands under the group id ``STORE``, which no group may have.

========= === ===================================================================================================
group     tag value (little endian, behind the seal)
========= === ===================================================================================================
STORE     i   u32 format version, u64 node id, u64 store id
STORE     p   pins: u64 node id and u64 store id for each peer, ascending
a group's b   bootstrap: u64 cluster id, then the members first given as JSON, {"id": "address"}
a group's h   head: ten u64, see ``raftpy.storage.head``
a group's e   one block of entries, exactly as it was sent (docs/wire-format.md)
========= === ===================================================================================================

Seal: a value begins with the CRC32C (u32) of its key and body, so that a block that comes back under another key, or
another group, is noticed as well as one that changed.
"""

from __future__ import annotations

from struct import Struct

from raftcore.codec import crc32c

FORMAT = 1
"""Version of everything on this page; a store of another version is refused."""

STORE = 2**64 - 1
MAX_GROUP = STORE - 1
SEAL = 4

_NAME = Struct(">Qc")
_ENTRY = Struct(">QcQ")
ENTRY_KEY_SIZE = _ENTRY.size

IDENTITY = _NAME.pack(STORE, b"i")
PINS = _NAME.pack(STORE, b"p")


def bootstrap_key(group: int) -> bytes:
    return _NAME.pack(group, b"b")


def head_key(group: int) -> bytes:
    return _NAME.pack(group, b"h")


def entry_key(group: int, first: int) -> bytes:
    """The key of the record whose first entry has index ``first``."""
    return _ENTRY.pack(group, b"e", first)


def entry_range(group: int) -> tuple[bytes, bytes]:
    """[start, stop) of the keys of all records of the group's log."""
    return _NAME.pack(group, b"e"), _NAME.pack(group, b"f")


def entry_first(key: bytes) -> int:
    """The first index that an entry key of ``ENTRY_KEY_SIZE`` bytes names."""
    return int.from_bytes(key[-8:], "big")


def describe(key: bytes) -> str:
    """A key as errors name it."""
    group, tag = _NAME.unpack_from(key)
    if tag == b"e" and len(key) == ENTRY_KEY_SIZE:
        return f"record of entry {entry_first(key)} (group {group}, key {key.hex()})"
    names = {b"i": "identity", b"p": "pins", b"b": "bootstrap", b"h": "head"}
    return f"record {names.get(tag, 'unknown')!r} (key {key.hex()})"


def seal(key: bytes, body: bytes) -> bytes:
    """``body`` as it is stored under ``key``."""
    return crc32c(body, crc32c(key)).to_bytes(SEAL, "little") + body


def unseal(key: bytes, value: bytes) -> bytes | None:
    """The body stored under ``key``, or None when the seal does not hold."""
    body = value[SEAL:]
    if len(value) < SEAL or crc32c(body, crc32c(key)) != int.from_bytes(value[:SEAL], "little"):
        return None
    return body
