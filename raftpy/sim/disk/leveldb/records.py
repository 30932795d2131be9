"""The records of write-ahead files and manifests (doc/log_format.md): blocks of 32 KiB, in them fragments of records.

A reader leaves out what a writer has not finished at the end of the file, and zeros; all else that does not hold is
corruption.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from raftcore.wire.codec import crc32c
from raftpy.storage.leveldb.wal_records import BLOCK

_HEADER = struct.Struct("<IHB")
_ZERO, _FULL, _FIRST, _MIDDLE, _LAST = range(5)


def masked(crc: int) -> int:
    """A checksum as it is stored, so that a checksum over it is not one over a checksum."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def fragments(record: bytes, at: int) -> Iterator[bytes]:
    """A record for byte ``at`` of its file, in pieces that are written one by one."""
    if len(record) + 7 <= BLOCK - at % BLOCK:
        yield _HEADER.pack(masked(crc32c(b"\1" + record)), len(record), _FULL) + record
        return
    done, first = 0, True
    while first or done < len(record):
        left = BLOCK - at % BLOCK
        padding = b""
        if left < 7:
            padding, left = bytes(left), BLOCK
        part = record[done : done + left - 7]
        done += len(part)
        last = done == len(record)
        kind = (_FULL if first else _LAST) if last else (_FIRST if first else _MIDDLE)
        fragment = padding + _HEADER.pack(masked(crc32c(bytes((kind,)) + part)), len(part), kind) + part
        at += len(fragment)
        yield fragment
        first = False


def read_records(data: bytes) -> tuple[list[bytes], str | None]:
    """All whole records of a file, and the first corruption, None where there is none."""
    records: list[bytes] = []
    errors: list[str] = []
    record: bytes | None = None
    for kind, part in _fragments(data, errors):
        if kind == _ZERO:  # no fragment
            if record is not None:
                errors.append("error in middle of record")
            record = None
        elif kind in (_FULL, _FIRST):
            if record:
                errors.append(f"partial record without end({1 if kind == _FULL else 2})")
            record = part if kind == _FIRST else None
            if kind == _FULL:
                records.append(part)
        elif kind in (_MIDDLE, _LAST):
            if record is None:
                errors.append(f"missing start of fragmented record({1 if kind == _MIDDLE else 2})")
                continue
            record += part
            if kind == _LAST:
                records.append(record)
                record = None
        else:
            errors.append(f"unknown record type {kind}")
            record = None
    return records, errors[0] if errors else None


def _fragments(data: bytes, errors: list[str]) -> Iterator[tuple[int, bytes]]:
    """Type and data of each fragment; type 0 for a rest of a block that holds none."""
    for start in range(0, len(data), BLOCK):
        at, stop = start, min(start + BLOCK, len(data))
        while stop - at >= 7:
            crc, size, kind = _HEADER.unpack_from(data, at)
            end = at + 7 + size
            if end > stop:
                if stop - start < BLOCK:
                    return  # whose writer died
                errors.append("bad record length")
                yield _ZERO, b""
                break
            if kind == _ZERO and size == 0:
                yield _ZERO, b""
                break
            if masked(crc32c(data[at + 6 : end])) != crc:
                errors.append("checksum mismatch")
                yield _ZERO, b""
                break
            if kind == _ZERO:
                kind = 256  # as unknown as any other
            yield kind, data[at + 7 : end]
            at = end
