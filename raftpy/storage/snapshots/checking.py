"""Reads a snapshot's blocks, and believes nothing: see blocks.py for what stands where.

A block is given out once its checksum holds, its number is the next one and its kind is known. Each fault is
``SnapshotDamaged`` by the first thing that is wrong, with the place of the block.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Protocol

from raftcore.base.crc import crc32c
from raftcore.base.errors import DecodeError
from raftpy.contracts.errors import NotUnderstood, SnapshotDamaged
from raftpy.contracts.snapshots import DIGEST_SIZE, CheckedSnapshot, SnapshotFile, SnapshotRef, Steps
from raftpy.contracts.typed import TypeHeader
from raftpy.storage.snapshots.blocks import (
    BLOCK,
    BLOCK_SIZE,
    END,
    END_SIZE,
    FORMAT,
    HEAD,
    HEAD_SIZE,
    MAGIC,
    MAX_BODY,
    Kind,
)


class Source(Protocol):
    """What blocks are read from."""

    path: str
    """What errors call it."""

    def read_at(self, size: int, offset: int) -> bytes:
        """At most ``size`` bytes from ``offset`` on; fewer only where it ends."""
        ...

    def size(self) -> int:
        """Bytes."""
        ...


class CheckedBlocks:
    """The blocks of a snapshot, in order, one at a time. Raises what its source raises, and of its own
    ``SnapshotDamaged`` and ``NotUnderstood``."""

    def __init__(self, source: Source, ref: SnapshotRef) -> None:
        """Reads the head, which has to be this snapshot's."""
        self._source = source
        head = _read_head(source, ref)
        self._seed = _seed(head)
        self._digest = blake2b(head, digest_size=DIGEST_SIZE)
        self._ref = ref
        self._blocks = 0
        self.position = HEAD_SIZE
        """How many bytes were found whole, from the beginning on."""
        self.file: SnapshotFile | None = None
        """The whole snapshot, once its end was read."""

    def next(self) -> tuple[Kind, memoryview]:
        """The next block's kind and body. Behind the end there is none to ask for."""
        source, start = self._source, self.position
        raw = memoryview(source.read_at(BLOCK_SIZE + MAX_BODY, start))
        kind, body = self._checked(raw)
        if kind is Kind.END:
            self._check_end(start, body)
        self._digest.update(raw[:BLOCK_SIZE])
        self._blocks += 1
        self.position = start + BLOCK_SIZE + len(body)
        return kind, body

    def _checked(self, raw: memoryview) -> tuple[Kind, memoryview]:
        if len(raw) < BLOCK_SIZE:
            raise self._damaged("it is cut off, no end follows")
        crc, size, number, kind, packing, reserved = BLOCK.unpack_from(raw)
        end = BLOCK_SIZE + size
        if size > MAX_BODY:
            raise self._damaged(f"it says that it has {size} bytes, and has at most {MAX_BODY}")
        if end > len(raw):
            raise self._damaged(f"it is cut off, {len(raw)} of its {end} bytes are there")
        if crc != crc32c(raw[4:end], self._seed):
            raise self._damaged("its checksum does not hold")
        if number != self._blocks:
            raise self._damaged(f"it is block {number}")
        where = self._source.path
        if kind not in tuple(Kind):
            raise NotUnderstood(where, "kind of block", kind)
        if packing or reserved:
            raise NotUnderstood(where, "packing of blocks", packing or reserved)
        return Kind(kind), raw[BLOCK_SIZE:end]

    def _check_end(self, start: int, body: memoryview) -> None:
        if len(body) != END.size:
            raise self._damaged(f"the end has {len(body)} bytes")
        blocks, size, digest = END.unpack(body)
        if blocks != self._blocks or size != start + END_SIZE or digest != self._digest.digest():
            raise self._damaged("the end answers for other blocks than these")
        there = self._source.size()
        if there != size:
            raise self._damaged(f"it ends the snapshot, and {there - size} bytes follow")
        self.file = SnapshotFile(self._ref, size, digest)

    def _damaged(self, what: str) -> SnapshotDamaged:
        return SnapshotDamaged(self._source.path, f"block {self._blocks}, at byte {self.position}: {what}")


def check_all(source: Source, ref: SnapshotRef, known: Mapping[str, int] | None = None) -> Steps[CheckedSnapshot]:
    """Reads all of a snapshot, a block a step. With ``known``, name -> newest version, ``NotUnderstood`` for a section
    that must be understood and is not."""
    blocks = CheckedBlocks(source, ref)
    sections: list[tuple[TypeHeader, int]] = []
    while blocks.file is None:
        kind, body = blocks.next()
        if kind is Kind.SECTION:
            header = section_header(source, body)
            if known is not None:
                header.is_understood(known, source.path)
            sections.append((header, 0))
        elif kind is Kind.DATA:
            if not sections:
                raise bytes_of_no_section(source)
            header, size = sections[-1]
            sections[-1] = header, size + len(body)
        yield blocks.position
    return CheckedSnapshot(blocks.file, tuple(sections))


def bytes_of_no_section(source: Source) -> SnapshotDamaged:
    """What is raised for bytes before the first section."""
    return SnapshotDamaged(source.path, "it begins with bytes of no section")


def section_header(source: Source, body: memoryview) -> TypeHeader:
    """What the block that begins a section says of it. ``NotUnderstood`` for a form of headers not known here."""
    try:
        header, end = TypeHeader.decode(body)
    except DecodeError as error:  # what was written by another release: its checksum holds
        raise NotUnderstood(source.path, f"header of a section ({error})", body[0] if len(body) else 0) from None
    if end != len(body):
        raise NotUnderstood(source.path, f"header of section {header.name} with {len(body) - end} bytes more", 1)
    return header


def read_file(source: Source, ref: SnapshotRef) -> SnapshotFile:
    """Which file it is, by its head and its end; what is between them is not read. Raises ``SnapshotDamaged``."""
    seed = _seed(_read_head(source, ref))
    size = source.size()
    start = max(HEAD_SIZE, size - END_SIZE)
    raw = source.read_at(END_SIZE, start)
    if len(raw) == END_SIZE:
        crc, length, _, kind, _, _ = BLOCK.unpack_from(raw)
        if crc == crc32c(memoryview(raw)[4:], seed) and kind == Kind.END and length == END.size:
            _, said, digest = END.unpack_from(raw, BLOCK_SIZE)
            if said == size:
                return SnapshotFile(ref, size, digest)
    raise SnapshotDamaged(source.path, f"the end is not there, in the last {len(raw)} of {size} bytes")


def _seed(head: bytes) -> int:
    """The head's own checksum, from which those of the blocks are continued."""
    return int.from_bytes(head[HEAD.size :], "little")


def _read_head(source: Source, ref: SnapshotRef) -> bytes:
    head = source.read_at(HEAD_SIZE, 0)
    if len(head) < HEAD_SIZE:
        raise SnapshotDamaged(source.path, f"it is cut off after {len(head)} bytes")
    magic, form, reserved, group, index, term = HEAD.unpack_from(head)
    if magic != MAGIC or crc32c(memoryview(head)[: HEAD.size]) != _seed(head):
        raise SnapshotDamaged(source.path, "its head does not hold")
    if form != FORMAT or reserved:
        raise NotUnderstood(source.path, "format of snapshots", form, FORMAT)
    if (group, index, term) != (ref.group, ref.index, ref.term):
        raise SnapshotDamaged(source.path, f"it is of group {group}, index {index}, term {term}")
    return head
