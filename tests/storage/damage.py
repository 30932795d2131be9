"""A finished LevelDB store to be damaged, and what became of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

from raftpy.contracts.errors import StorageFailed
from raftpy.storage import LevelDBStorage
from raftpy.storage.leveldb.floor import Floor
from tests.storage.former import former
from tests.storage.layout import FILES, HOLD_NOTHING, holds_nothing, newest_file
from tests.storage.support import MEMBERS, OWNER, SMALLEST_BUFFER, Disk, Model, abandon, append, entries

PINS = {2: 22, 3: 33}
"""Of the sample, the one pinned in its first life, the other in its second."""
LIVES = (
    [append(entries(1, 4, 1), term=1, vote=2), append(entries(5, 3, 1), term=1, vote=2, commit=3)],
    [append(entries(8, 2, 1), term=1, vote=2, commit=5), append(entries(9, 3, 2), term=2, vote=3, commit=5)],
    [append(entries(index, 1, 3), term=3, vote=1, commit=index - 1) for index in range(12, 16)],
)
"""What is submitted to the sample in each of its three lives."""


def truth() -> list[Model]:
    """What the sample holds at its last start, and after each submit of that life."""
    model = Model()
    for life in LIVES[:2]:
        for message in life:
            model.submit([message])
    states = [deepcopy(model)]
    for message in LIVES[2]:
        model.submit([message])
        states.append(deepcopy(model))
    return states


@dataclass
class Sample:
    """A store after three starts, with replaced entries and pins, and then four more acknowledged writes.

    ``states``: the truth after each of the four, the last start first.
    """

    path: Path
    store_id: int
    states: list[Model]
    is_former: bool = False
    irrelevant: set[Path] = field(default_factory=set)

    @classmethod
    def build(cls, work: Path, clean: bool) -> Sample:
        """As a clean close leaves it, or as kill -9 does."""
        disk = Disk("leveldb", work / "store", segment_size=SMALLEST_BUFFER)
        store, recovered = disk.open()
        for life, pinned in zip(LIVES, (2, 3, None), strict=True):
            if life is not LIVES[0]:
                store, _ = disk.reopen(store)
            for message in life:
                assert store.submit([(0, [message])])
            if pinned is not None:
                store.pin(pinned, PINS[pinned])
        if clean:
            store.close()
        else:
            abandon(store)
        return cls(disk.path, recovered.store_id, truth())

    @classmethod
    def former(cls, work: Path, clean: bool) -> Sample:
        """The same as a release that wrote format 2 has left it: with two tables in one database."""
        path = former("closed" if clean else "killed", work / "store")
        floor = Floor.read(FILES, path)
        assert floor is not None
        return cls(path, floor.store_id, truth(), is_former=True)

    def files(self) -> list[Path]:
        return sorted(path.relative_to(self.path) for path in self.path.rglob("*") if path.is_file())

    def size(self, file: Path) -> int:
        """Bytes written to it: behind those of a write-ahead file there are zeros, and its last byte is none."""
        data = (self.path / file).read_bytes()
        return len(data.rstrip(b"\0")) if file.suffix == ".log" else len(data)

    def is_irrelevant(self, file: Path) -> bool:
        """Whether any damage to the file leaves the store as it is."""
        if self.is_former:
            return file.name in HOLD_NOTHING
        if not self.irrelevant:
            self.irrelevant = {each for each in self.files() if holds_nothing(self.path, each)}
        return file in self.irrelevant

    def write_ahead_file(self) -> Path:
        """That which was written to last."""
        if self.is_former:
            (path,) = (path for path in self.files() if path.suffix == ".log")
            return path
        return newest_file(self.path).relative_to(self.path)

    def outcome(self, damage: Callable[[Path], object]) -> str:
        """Opens a copy after ``damage(copy)``: "exact", "lost N" of the last writes, or the text of the refusal.

        Fails on anything else: a store that opens with wrong contents, an error that is no StorageFailed or does not
        say where, a refused store that stays locked.
        """
        copy = self.path.parent / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.path, copy)
        damage(copy)
        store = LevelDBStorage(copy, segment_size=SMALLEST_BUFFER)
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
