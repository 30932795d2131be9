"""Tables (doc/table_format.md): sorted writes in blocks of about 4 KiB, each with a checksum, and an index of them.

A block that does not hold is an error for whoever asks for a key in it, and is passed by when all keys are read.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from raftcore.wire.codec import crc32c
from raftpy.sim.disk.leveldb.records import masked
from raftpy.sim.disk.leveldb.varints import Malformed, Unpacking, varint

BLOCK_SIZE = 4096
RESTART_INTERVAL = 16
FOOTER_SIZE = 48

_MAGIC = 0xDB4775248B80FB57
_U32, _U64 = struct.Struct("<I"), struct.Struct("<Q")
_SEEK = _U64.pack(((1 << 56) - 1) << 8 | 1)

Entry: TypeAlias = tuple[bytes, int, bytes | None]
"""Key, sequence number of the write, and its value; None where it deletes."""
Unreadable: TypeAlias = tuple[bytes, Malformed]
"""Of something that does not hold: the key before it, b"" for none, and what is wrong."""


def internal_key(entry: Entry) -> bytes:
    """The key as it stands in a table: with the sequence number and the kind of write behind it."""
    key, sequence, value = entry
    return key + _U64.pack(sequence << 8 | (value is not None))


class _Block:
    """A block that is being written."""

    def __init__(self, interval: int) -> None:
        self._interval = interval
        self._out = bytearray()
        self._restarts = [0]
        self._since = 0
        self.last = b""

    def add(self, key: bytes, value: bytes) -> None:
        shared = 0
        if self._since < self._interval:
            shared = _shared(self.last, key)
        else:
            self._restarts.append(len(self._out))
            self._since = 0
        self._out += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        self._since += 1
        self.last = key

    def __len__(self) -> int:
        return len(self._out) + 4 * len(self._restarts) + 4

    def finish(self) -> bytes:
        return b"".join([self._out, *map(_U32.pack, self._restarts), _U32.pack(len(self._restarts))])


def build(entries: Sequence[Entry]) -> bytes:
    """A table of these writes, which are sorted: keys ascending, the newest write of a key first."""
    out = bytearray()
    block, index = _Block(RESTART_INTERVAL), _Block(1)
    pending: tuple[bytes, bytes] | None = None  # the last key of the block before, and where that is

    def put(contents: bytes) -> bytes:
        """Its handle."""
        handle = varint(len(out)) + varint(len(contents))
        out.extend(contents + b"\0" + _U32.pack(masked(crc32c(contents + b"\0"))))
        return handle

    for entry in entries:
        if pending is not None:
            index.add(_separator(pending[0], entry[0]), pending[1])
            pending = None
        block.add(internal_key(entry), entry[2] or b"")
        if len(block) >= BLOCK_SIZE:
            pending = block.last, put(block.finish())
            block = _Block(RESTART_INTERVAL)
    if block.last:
        pending = block.last, put(block.finish())
    metaindex = put(_Block(RESTART_INTERVAL).finish())
    if pending is not None:
        index.add(_successor(pending[0]), pending[1])
    handles = metaindex + put(index.finish())
    return bytes(out + handles.ljust(FOOTER_SIZE - 8, b"\0") + _U64.pack(_MAGIC))


def _shared(one: bytes, other: bytes) -> int:
    """How many of their first bytes are the same."""
    size = min(len(one), len(other))
    different = int.from_bytes(one[:size], "big") ^ int.from_bytes(other[:size], "big")
    return size - (different.bit_length() + 7) // 8


def _separator(last: bytes, following: bytes) -> bytes:
    """A short key from the internal key ``last`` on, and before the key ``following``."""
    key = last[:-8]
    at = _shared(key, following)
    if at < min(len(key), len(following)) and key[at] < 0xFF and key[at] + 1 < following[at] and at + 1 < len(key):
        return key[:at] + bytes((key[at] + 1,)) + _SEEK
    return last


def _successor(last: bytes) -> bytes:
    """A short key from the internal key ``last`` on."""
    key = last[:-8]
    for at, byte in enumerate(key):
        if byte != 0xFF:
            return key[:at] + bytes((byte + 1,)) + _SEEK if at + 1 < len(key) else last
    return last


class Table:
    """A table that is read. ``size``: as the manifest has it. Raises ``Malformed``, also from ``get``.

    ``Malformed("Invalid argument")`` is what a read beyond the end of the file gives.
    """

    def __init__(self, data: bytes, size: int) -> None:
        if not data:
            raise Malformed("Invalid argument")
        if size < FOOTER_SIZE:
            raise Malformed("file is too short to be an sstable")
        self._data = data
        footer = self._at(size - FOOTER_SIZE, FOOTER_SIZE)
        if _U64.unpack_from(footer, FOOTER_SIZE - 8) != (_MAGIC,):
            raise Malformed("not an sstable (bad magic number)")
        handles = Unpacking(footer)
        handles.varint()  # where the metaindex is, which nothing needs
        handles.varint()
        index = list(_entries(self._block(handles.varint(), handles.varint())))
        self._separators = [key[:-8] for key, _ in index]
        self._handles = [handle for _, handle in index]
        self._read: dict[int, list[Entry]] = {}

    def get(self, key: bytes) -> Entry | None:
        """The newest write of the key."""
        number = bisect_left(self._separators, key)
        if number == len(self._separators):
            return None
        entries = self._entries(number)
        at = bisect_left(entries, key, key=lambda entry: entry[0])
        return entries[at] if at < len(entries) and entries[at][0] == key else None

    def entries_from(self, key: bytes, before: bytes = b"") -> tuple[list[Entry], Unreadable | None]:
        """All writes of this key and those behind it, but for blocks that do not hold; and the first of these.

        ``before``: the key of the write that was read before this table.
        """
        found: list[Entry] = []
        unreadable: Unreadable | None = None
        for number in range(bisect_left(self._separators, key), len(self._handles)):
            try:
                found += [entry for entry in self._entries(number) if entry[0] >= key]
            except Malformed as error:
                if unreadable is None:
                    unreadable = (found[-1][0] if found else before), error
        return found, unreadable

    def _entries(self, number: int) -> list[Entry]:
        found = self._read.get(number)
        if found is None:
            handle = Unpacking(self._handles[number])
            found = []
            for key, value in _entries(self._block(handle.varint(), handle.varint())):
                (tag,) = _U64.unpack(key[-8:])
                found.append((key[:-8], tag >> 8, value if tag & 1 else None))
            self._read[number] = found
        return found

    def _block(self, offset: int, size: int) -> bytes:
        found = self._at(offset, size + 5)
        if _U32.unpack_from(found, size + 1) != (masked(crc32c(found[: size + 1])),):
            raise Malformed("block checksum mismatch")
        return found[:size]

    def _at(self, offset: int, size: int) -> bytes:
        if offset + size > len(self._data):
            raise Malformed("Invalid argument")
        return self._data[offset : offset + size]


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of each entry of a block."""
    (restarts,) = _U32.unpack(block[-4:])
    end = len(block) - 4 - 4 * restarts
    reader, key, at = Unpacking(block), b"", 0
    while at < end:
        shared, unshared, size = block[at], block[at + 1], block[at + 2]
        at += 3
        if shared | unshared | size > 127:
            reader.at = at - 3
            shared, unshared, size = reader.varint(), reader.varint(), reader.varint()
            at = reader.at
        value = at + unshared
        key = key[:shared] + block[at:value]
        at = value + size
        yield key, block[value:at]
