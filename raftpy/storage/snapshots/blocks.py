"""The byte form of a snapshot: a head, blocks under checksums, and an end that answers for all of them.

Little endian. The head has 40 bytes::

    0   8  magic, "raftsnap"
    8   2  format, 1
    10  2  0
    12  8  group
    20  8  index
    28  8  term
    36  4  CRC32C of these 36 bytes; magic, format, and a checksum in this place are in every format

A block has 20 bytes before its body::

    0   4  CRC32C of the 16 bytes that follow and of the body, continued from the one at 36 in the head: a block of
           another snapshot does not hold here
    4   4  bytes in the body, at most 262,144
    8   8  number of the block in the file, from 0: a block in the place of another does not hold either
    16  1  kind: 1 begins a section (body: its header, raftpy/contracts/typed.py), 2 has bytes of it, 3 is the end
    17  1  how the body is packed: 0, not at all
    18  2  0

The end is the last block and ends the file; its body::

    0   8  blocks before it
    8   8  bytes in the file
    16  16 digest: BLAKE2b of the head and of the 20 bytes in front of each block, which have the checksum of its body

The same sections give the same bytes, on every node and in whatever chunks they were written: of a section every block
but the last is full, and there is no clock and nothing random in it.
"""

from __future__ import annotations

from enum import IntEnum
from hashlib import blake2b
from struct import Struct, pack_into
from typing import Protocol

from raftcore.base.crc import crc32c
from raftpy.contracts.files import Data
from raftpy.contracts.snapshots import DIGEST_SIZE, SnapshotFile, SnapshotRef

FORMAT = 1
MAGIC = b"raftsnap"
MAX_BODY = 256 << 10

HEAD = Struct("<8sHHQQQ")
HEAD_SIZE = HEAD.size + 4
BLOCK = Struct("<IIQBBH")
BLOCK_SIZE = BLOCK.size
END = Struct(f"<QQ{DIGEST_SIZE}s")
END_SIZE = BLOCK_SIZE + END.size


class Kind(IntEnum):
    """Of a block."""

    SECTION = 1
    DATA = 2
    END = 3


class Sink(Protocol):
    """What blocks are written to."""

    def write(self, data: Data) -> None:
        """All of it, behind what was written before."""
        ...


class BlockWriter:
    """Makes a snapshot's bytes. What ``sink`` raises comes out of every call; the caller then gives up."""

    def __init__(self, sink: Sink, ref: SnapshotRef, max_body: int = MAX_BODY) -> None:
        """Writes the head. ``max_body``: bytes of the longest block, at most ``MAX_BODY``."""
        self._sink = sink
        self._ref = ref
        self._max_body = max_body
        self._buffer = bytearray(BLOCK_SIZE + max_body)
        self._view = memoryview(self._buffer)
        self._filled = BLOCK_SIZE  # bytes of the buffer: a block's own, and of its body what is there
        head = HEAD.pack(MAGIC, FORMAT, 0, ref.group, ref.index, ref.term)
        self._seed = crc32c(
            head
        )  # not of the head with its checksum behind it, which is the same number for every head
        head += self._seed.to_bytes(4, "little")
        self._digest = blake2b(head, digest_size=DIGEST_SIZE)
        self._blocks = 0
        self.size = HEAD_SIZE
        """Bytes that were handed to the sink."""
        sink.write(head)

    def section(self, header: bytes) -> None:
        """Begins a section with this header."""
        self._flush()
        self._append(header)
        self._write(Kind.SECTION)

    def write(self, data: Data) -> None:
        """Bytes of the section."""
        rest = memoryview(data).cast("B")
        while rest:
            taken = self._append(rest)
            rest = rest[taken:]
            if self._filled == len(self._buffer):
                self._write(Kind.DATA)

    def end(self) -> SnapshotFile:
        """Writes what is left, and the end."""
        self._flush()
        size, digest = self.size + END_SIZE, self._digest.digest()
        self._append(END.pack(self._blocks, size, digest))
        self._write(Kind.END)
        return SnapshotFile(self._ref, size, digest)

    def _append(self, data: Data) -> int:
        """Puts as many bytes into the block as it has room for."""
        start = self._filled
        taken = min(len(data), len(self._buffer) - start)
        self._buffer[start : start + taken] = data[:taken]
        self._filled = start + taken
        return taken

    def _flush(self) -> None:
        if self._filled > BLOCK_SIZE:
            self._write(Kind.DATA)

    def _write(self, kind: Kind) -> None:
        buffer, end = self._view, self._filled
        BLOCK.pack_into(buffer, 0, 0, end - BLOCK_SIZE, self._blocks, kind, 0, 0)
        pack_into("<I", buffer, 0, crc32c(buffer[4:end], self._seed))
        self._digest.update(buffer[:BLOCK_SIZE])
        self._blocks += 1
        self._filled = BLOCK_SIZE
        self.size += end
        self._sink.write(buffer[:end])
