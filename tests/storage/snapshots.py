"""What the tests of snapshots share: a store of snapshots over each kind of folder, and snapshots in short form."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from random import Random

from raftpy.contracts.files import Files
from raftpy.contracts.snapshots import SnapshotFile, SnapshotReader, SnapshotRef, Snapshots
from raftpy.contracts.typed import TypeHeader
from raftpy.sim.disk.files import Disk
from raftpy.storage.snapshots.blocks import MAX_BODY
from raftpy.storage.snapshots.folder import Folder, SystemFolder
from raftpy.storage.snapshots.memory import MemoryFolder
from raftpy.storage.snapshots.names import receiving_name, whole_name
from raftpy.storage.snapshots.store import SYNC_BYTES, SnapshotStore
from raftpy.system.files import SystemFiles

KINDS = ("memory", "system", "simulated")
SMALL = 69
"""Bytes of the shortest block that a store can be told to write."""

Section = tuple[TypeHeader, bytes]
MEMBERS = TypeHeader("members", 2)
MACHINE = TypeHeader("machine", 1)
HINT = TypeHeader("x.hint", 7, must_understand=False)
KNOWN = {"members": 2, "machine": 1}
SAMPLE: list[Section] = [(MEMBERS, b"one two three"), (HINT, b"perhaps"), (MACHINE, bytes(range(256)))]


def ref(index: int, group: int = 0) -> SnapshotRef:
    return SnapshotRef(group, index, 1 + index // 100)


def sample(index: int) -> list[Section]:
    """Sections that tell of which snapshot they are."""
    return [(MEMBERS, b"members at %d" % index), (MACHINE, Random(index).randbytes(200 + index % 7))]


def write(store: Snapshots, wanted: SnapshotRef, sections: Sequence[Section] | None = None) -> SnapshotFile:
    """A whole snapshot."""
    writer = store.begin(wanted)
    for header, data in sample(wanted.index) if sections is None else sections:
        writer.section(header)
        writer.write(data)
    return writer.commit()


def read(reader: SnapshotReader, known: dict[str, int] | None = None) -> list[Section]:
    """All sections of an open snapshot, which is closed."""
    try:
        return [(header, b"".join(chunks)) for header, chunks in reader.sections(known)]
    finally:
        reader.close()


def contents(store: Snapshots, wanted: SnapshotRef, known: dict[str, int] | None = None) -> list[Section]:
    return read(store.open(wanted), known)


def raw(store: Snapshots, wanted: SnapshotRef) -> bytes:
    """A snapshot's bytes as another node gets them."""
    reader = store.open(wanted)
    data = reader.read_range(0, reader.file.size)
    reader.close()
    return data


@dataclass
class Place:
    """A folder of one kind, which stores are opened on, one after the other."""

    kind: str
    path: Path
    max_body: int = MAX_BODY
    sync_bytes: int = SYNC_BYTES
    reserve: int = 0
    memory: MemoryFolder = field(default_factory=MemoryFolder)
    disk: Disk = field(default_factory=lambda: Disk(Random(1)))

    @property
    def files(self) -> Files:
        return SystemFiles() if self.kind == "system" else self.disk.files()

    @property
    def directory(self) -> PurePath:
        return PurePath(self.path) if self.kind == "system" else PurePath("/snapshots")

    def folder(self) -> Folder:
        return self.memory if self.kind == "memory" else SystemFolder(self.files, self.directory)

    def store(self, *, read_only: bool = False) -> SnapshotStore:
        """Another life: what was open before is of no use."""
        if self.kind == "memory":
            self.memory = self.memory.after_crash()
        store = SnapshotStore(self.folder(), sync_bytes=self.sync_bytes, max_body=self.max_body, reserve=self.reserve)
        store.load(read_only=read_only)
        return store

    def names(self) -> list[str]:
        return sorted(self.folder().names())

    def get(self, name: str) -> bytes:
        file = self.folder().open(name, "read")
        data = file.read_at(file.size(), 0)
        file.close()
        return data

    def put(self, name: str, data: bytes) -> None:
        file = self.folder().open(name, "rewrite")
        file.write_at(data, 0)
        file.close()

    def damage(self, wanted: SnapshotRef | SnapshotFile, change: Callable[[bytes], bytes]) -> None:
        """Changes a snapshot's file, or what was received of one, behind everybody's back."""
        name = whole_name(wanted) if isinstance(wanted, SnapshotRef) else receiving_name(wanted)
        self.put(name, change(self.get(name)))


def flipped(byte: int, bit: int = 0) -> Callable[[bytes], bytes]:
    """Turns one bit over."""
    return lambda data: data[:byte] + bytes([data[byte] ^ 1 << bit]) + data[byte + 1 :]


def ranges(data: bytes, size: int) -> Iterable[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))
