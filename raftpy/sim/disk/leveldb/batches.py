"""Batches of writes as a write-ahead file has them: a sequence number, a count, and the writes."""

from __future__ import annotations

import struct
from typing import TypeAlias

from raftpy.sim.disk.leveldb.varints import Malformed, Unpacking, prefixed

HEADER = struct.Struct("<QI")
"""The sequence number of the first write, and how many there are."""
DELETION, VALUE = 0, 1

Write: TypeAlias = tuple[bytes, bytes | None]
"""Key and value; None: it is deleted."""


def pack(key: bytes, value: bytes | None) -> bytes:
    """One write."""
    return b"\0" + prefixed(key) if value is None else b"\1" + prefixed(key) + prefixed(value)


def unpack(record: bytes) -> tuple[int, list[Write]]:
    """A whole batch, as its sequence number and its writes. Raises ``Malformed``."""
    if len(record) < HEADER.size:
        raise Malformed("log record too small")
    sequence, count = HEADER.unpack_from(record)
    reader = Unpacking(record, HEADER.size)
    writes: list[Write] = []
    while reader.at < len(record):
        (kind,) = reader.take(1)
        if kind not in (DELETION, VALUE):
            raise Malformed("unknown WriteBatch tag")
        key = reader.prefixed()
        writes.append((key, reader.prefixed() if kind == VALUE else None))
    if len(writes) != count:
        raise Malformed("WriteBatch has wrong count")
    return sequence, writes
