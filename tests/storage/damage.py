"""A finished LevelDB store to be damaged, and what became of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

from raftcore.values.message import Message
from raftpy.contracts.errors import StorageFailed
from raftpy.storage import LevelDBStorage
from raftpy.storage.leveldb.sealing import seal
from raftpy.system.leveldb import LevelDB
from tests.storage.support import MEMBERS, OWNER, SMALLEST_BUFFER, Disk, Model, abandon, append, entries

PINS = {2: 22, 3: 33}
IRRELEVANT = {"lock", "LOCK", "LOG", "LOG.old"}
"""Files that hold nothing: any damage to them leaves the store as it is."""


@dataclass
class Sample:
    """A store after three starts, two tables, replaced entries and pins, and then four more acknowledged writes.

    ``states``: the truth after each of the four, the last start first.
    """

    path: Path
    store_id: int
    states: list[Model]

    @classmethod
    def build(cls, work: Path, clean: bool) -> Sample:
        """As a clean close leaves it, or as kill -9 does."""
        disk = Disk("leveldb", work / "store", write_buffer_size=SMALLEST_BUFFER)
        model = Model()

        def submit(*appends: Message) -> None:
            assert store.submit([(0, appends)])
            model.submit(appends)

        store, recovered = disk.open()
        submit(append(entries(1, 4, 1), term=1, vote=2))
        store.pin(2, PINS[2])
        submit(append(entries(5, 3, 1), term=1, vote=2, commit=3))
        store, _ = disk.reopen(store)
        submit(append(entries(8, 2, 1), term=1, vote=2, commit=5))
        submit(append(entries(9, 3, 2), term=2, vote=3, commit=5))
        store.pin(3, PINS[3])
        store, _ = disk.reopen(store)
        states = [deepcopy(model)]
        for index in range(12, 16):
            submit(append(entries(index, 1, 3), term=3, vote=1, commit=index - 1))
            states.append(deepcopy(model))
        if clean:
            store.close()
        else:
            abandon(store)
        return cls(disk.path, recovered.store_id, states)

    def files(self) -> list[Path]:
        return sorted(path.relative_to(self.path) for path in self.path.rglob("*") if path.is_file())

    def size(self, file: Path) -> int:
        """Bytes written to it: behind those of a write-ahead file there are zeros, and its last byte is none."""
        data = (self.path / file).read_bytes()
        return len(data.rstrip(b"\0")) if file.suffix == ".log" else len(data)

    def write_ahead_file(self) -> Path:
        (path,) = (path for path in self.files() if path.suffix == ".log")
        return path

    def outcome(self, damage: Callable[[Path], object]) -> str:
        """Opens a copy after ``damage(copy)``: "exact", "lost N" of the last writes, or the text of the refusal.

        Fails on anything else: a store that opens with wrong contents, an error that is no StorageFailed or does not
        say where, a refused store that stays locked.
        """
        copy = self.path.parent / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.path, copy)
        damage(copy)
        store = LevelDBStorage(copy, write_buffer_size=SMALLEST_BUFFER)
        try:
            recovered = store.open(OWNER)
        except StorageFailed as error:
            text = f"{type(error).__name__}: {error}"
            assert str(copy) in text
            assert "\n" not in text
            assert (copy / "lock").read_bytes() == b""
            return text
        try:
            assert (recovered.store_id, recovered.boot >> 32) == (self.store_id, 4)
            assert (recovered.members, recovered.pins) == (MEMBERS, PINS)
            lost = self.states[-1].log[recovered.groups[0].last_index :]
            self.states[len(self.states) - 1 - len(lost)].check(store, recovered)
        finally:
            store.close()
        return f"lost {len(lost)}" if lost else "exact"


def flip(path: Path, byte: int, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[byte] ^= 1 << bit
    path.write_bytes(data)


def cut_off(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def rewrite(path: Path, *changes: tuple[bytes, bytes | None]) -> None:
    """Changes records behind the store's back: (key, body sealed anew, or None to delete)."""
    database = LevelDB().open(path / "leveldb", create=False, write_buffer_size=1 << 20)
    batch = database.write_batch(sync=True)
    for key, body in changes:
        if body is None:
            batch.delete(key)
        else:
            batch.put(key, seal(key, body))
    batch.write()
    database.close()
