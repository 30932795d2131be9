"""Gives out a snapshot: its sections, checked block by block, and its bytes as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from raftpy.contracts.errors import SnapshotDamaged
from raftpy.contracts.snapshots import SnapshotFile, SnapshotRef
from raftpy.contracts.typed import TypeHeader
from raftpy.storage.snapshots.blocks import Kind
from raftpy.storage.snapshots.checking import (
    CheckedBlocks,
    Source,
    bytes_of_no_section,
    read_file,
    section_header,
)
from raftpy.storage.snapshots.folder import FolderFile


class Sections:
    """The sections of a snapshot, in order. Raises what its blocks raise."""

    def __init__(self, source: Source, ref: SnapshotRef) -> None:
        self._source = source
        self._blocks = CheckedBlocks(source, ref)
        self._ahead: tuple[Kind, memoryview] | None = self._blocks.next()  # read, and no bytes of this section
        if self._ahead[0] is Kind.DATA:
            raise bytes_of_no_section(source)

    @property
    def file(self) -> SnapshotFile | None:
        """The whole snapshot, once its end was read."""
        return self._blocks.file

    def next(self) -> TypeHeader | None:
        """The next section's header; None at the end. What is left of the one before is passed over."""
        while self._ahead is None:
            self._read()
        kind, body = self._ahead
        if kind is Kind.END:
            return None
        self._ahead = None
        return section_header(self._source, body)

    def chunks(self) -> Iterator[bytes]:
        """What is left of the section's bytes, a block at a time."""
        while self._ahead is None:
            body = self._read()
            if self._ahead is None:
                yield bytes(body)

    def _read(self) -> memoryview:
        kind, body = self._blocks.next()
        if kind is not Kind.DATA:
            self._ahead = kind, body
        return body


class SnapshotFileReader:
    """A ``SnapshotReader`` of a file. ``damaged`` is called when it is found to be that."""

    def __init__(self, file: FolderFile, ref: SnapshotRef, damaged: Callable[[], object]) -> None:
        """Reads which file it is; takes ``file`` over when that succeeds. Raises ``SnapshotDamaged``,
        ``NotUnderstood``, ``SnapshotFailed``."""
        self._source = file
        self._damaged = damaged
        self._open = True
        with self._watched():
            self.file = read_file(file, ref)

    def sections(self, known: Mapping[str, int] | None = None) -> Iterator[tuple[TypeHeader, Iterator[bytes]]]:
        path = self._source.path
        with self._watched():
            sections = Sections(self._source, self.file.ref)
            while header := sections.next():
                if known is None or header.is_understood(known, path):
                    yield header, self._chunks(sections)
            if sections.file != self.file:
                raise SnapshotDamaged(path, "it has changed since it was opened")

    def _chunks(self, sections: Sections) -> Iterator[bytes]:
        with self._watched():
            yield from sections.chunks()

    def read_range(self, offset: int, size: int) -> bytes:
        return self._source.read_at(size, offset)

    def close(self) -> None:
        if self._open:
            self._open = False
            self._source.close()

    @contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except SnapshotDamaged:
            self._damaged()
            raise
