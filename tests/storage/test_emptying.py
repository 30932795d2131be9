"""The oldest segment of a row is emptied while it is written, compacted and damaged, at whichever moments."""

from __future__ import annotations

from pathlib import PurePath
from random import Random

import pytest

from raftpy.contracts.files import OpenMode
from raftpy.sim.disk.files import DiskFile, DiskFiles
from raftpy.storage.leveldb import emptying, keys
from raftpy.storage.leveldb.row import SegmentRow
from raftpy.storage.leveldb.segment import Made, Write, name_of, segments
from tests.storage.rows import ROW, Simulated, record, scan, write_busily


@pytest.fixture
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch carries one record along, unless it is large itself."""
    monkeypatch.setattr(emptying, "MOVED_AT_ONCE", 100)
    monkeypatch.setattr(emptying, "MOVED_AT_FIRST", 100)


@pytest.mark.usefixtures("few_at_once")
def test_what_is_left_is_needed_no_more_when_the_last_that_is_needed_has_gone_along() -> None:
    """The batch that carries it has no room to pass over the rest, and its segment goes."""
    place = Simulated()
    row = place.open(create=True)
    row.put(*record(7, 1, 3000), sync=True)
    for first in range(1, 4):
        row.put(*record(8, first, 50), sync=True)
    compacted: list[int] = []

    def compact() -> None:
        if row._emptying.is_under_way and row._emptying.source == 1 and not compacted:
            batch = row.write_batch(sync=True)
            batch.forget_before(keys.entry_key(8, 4))
            batch.put(*record(8, 4, 50))
            batch.write()
            compacted.append(segments(place.files, ROW)[0])
            place.executor.run()

    write_busily(place, row, range(1, 400), compact)
    assert compacted == [1]
    assert segments(place.files, ROW)[0] > 1
    assert row.damage() == []
    told = dict([record(7, 1, 3000), record(8, 4, 50), *(record(0, first) for first in range(380, 400))])
    assert scan(row) == told
    place.disk.power_failure()
    assert told.items() <= scan(place.open()).items()


@pytest.mark.usefixtures("few_at_once")
def test_a_segment_is_chosen_while_the_last_of_it_is_being_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """In another thread: a sync takes a while. Its records count as gone along."""
    place = Simulated()
    row = place.open(create=True)
    idle = dict(record(7, first, 200) for first in range(1, 5))
    for key, value in idle.items():
        row.put(key, value, sync=True)
    write = Made.write
    chosen: list[int] = []

    def slow(made: Made, writes: list[Write]) -> list[int]:
        row._choose()
        chosen.append(row._emptying.source)
        return write(made, writes)

    monkeypatch.setattr(Made, "write", slow)
    write_busily(place, row, range(1, 1500))
    assert len(set(chosen)) > 3
    assert segments(place.files, ROW)[0] > 10
    assert row.damage() == []
    assert scan(row) == idle | dict(record(0, first) for first in range(1480, 1500))


@pytest.mark.parametrize("limit", [1, 100, 400, 1000])
def test_whatever_goes_along_with_a_batch(monkeypatch: pytest.MonkeyPatch, seed: int, limit: int) -> None:
    """Several groups write, replace and compact while segments are emptied a few records at a time."""
    rng = Random(seed)
    monkeypatch.setattr(emptying, "MOVED_AT_ONCE", limit)
    monkeypatch.setattr(emptying, "MOVED_AT_FIRST", 2 * limit)
    monkeypatch.setattr(emptying, "RECORDS_MOVED_AT_ONCE", rng.choice((1, 3, 10)))
    place = Simulated(seed)
    row = place.open(create=True, size=5000)
    first, last = dict.fromkeys(range(5), 1), dict.fromkeys(range(5), 0)
    told: dict[bytes, bytes] = {}
    for step in range(1500):
        group = rng.choice((0, 0, 0, 0, 0, 0, 1, 2, 3, 4) if step % 300 < 40 else (0,))
        batch = row.write_batch(sync=True)
        if group and last[group] - first[group] > 2 and rng.random() < 0.3:
            cut = last[group]
            batch.delete(keys.entry_key(group, cut))
            del told[keys.entry_key(group, cut)]
            last[group] -= 1
        last[group] += 1
        key, value = record(group, last[group], rng.choice((50, 300, 1500)))
        batch.put(key, value)
        told[key] = value
        other = rng.randrange(5)
        if rng.random() < (0.02 if other else 0.9) and first[other] < last[other] - 3:
            upto = last[other] - rng.randrange(3)
            batch.forget_before(keys.entry_key(other, upto))
            for index in range(first[other], upto):
                told.pop(keys.entry_key(other, index), None)
            first[other] = upto
        batch.write()
        place.executor.run(rng.randrange(4))
    place.executor.run()
    assert row.damage() == []
    assert scan(row) == told
    assert segments(place.files, ROW)[0] > 10
    place.disk.power_failure()
    assert told.items() <= scan(place.open(size=5000)).items()


class Opened:
    """How often the first segment's file is opened to be read. ``failing``: how often that fails first."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, failing: int = 0) -> None:
        self.count = 0
        self.failing = failing
        open_ = DiskFiles.open

        def noting(files: DiskFiles, path: PurePath, mode: OpenMode) -> DiskFile:
            if mode == "read" and path.parent.name == name_of(1):
                self.count += 1
                if self.failing:
                    self.failing -= 1
                    raise OSError(5, "Input/output error", str(path))
            return open_(files, path, mode)

        monkeypatch.setattr(DiskFiles, "open", noting)


def idle_in_the_oldest(place: Simulated) -> SegmentRow:
    row = place.open(create=True)
    for first in range(1, 4):
        row.put(*record(7, first, 50), sync=True)
    write_busily(place, row, range(1, 100))
    return row


def test_a_damaged_segment_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is damaged stays so: it is not read at each change of segment, and the damage is said all the time."""
    place = Simulated()
    row = idle_in_the_oldest(place)
    where = row._places.find(record(7, 1)[0])
    assert where is not None
    (path,) = [path for path in place.disk.paths() if path.parent.name == name_of(1) and path.suffix == ".log"]
    place.disk.flip_bit(path, where.offset + 20, 1)
    opened = Opened(monkeypatch)
    said: list[int] = []
    write_busily(place, row, range(100, 1500), lambda: said.append(len(row.damage())))
    assert opened.count == 1
    assert sorted(said) == said
    assert said[-1] == 1


def test_what_could_not_be_read_once_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the next change of segment; until then it is said."""
    place = Simulated()
    row = idle_in_the_oldest(place)
    opened = Opened(monkeypatch, failing=1)
    said: list[list[str]] = []
    write_busily(place, row, range(100, 1500), lambda: said.append([str(damage) for damage in row.damage()]))
    assert opened.count > 1
    texts = {text for each in said for text in each}
    assert len(texts) == 1
    assert f"{name_of(1)}" in texts.pop()
    assert row.damage() == []
    assert segments(place.files, ROW)[0] > 1


def test_a_segment_that_cannot_be_removed_stays_and_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in it is needed. It is said, and the next start tries again."""
    place = Simulated()
    row = place.open(create=True)
    remove_tree = DiskFiles.remove_tree

    def refusing(files: DiskFiles, directory: PurePath) -> None:
        if directory.name == name_of(1):
            raise PermissionError(1, "Operation not permitted", str(directory))
        remove_tree(files, directory)

    monkeypatch.setattr(DiskFiles, "remove_tree", refusing)
    for life in range(3):
        write_busily(place, row, range(400 * life + 1, 400 * life + 400))
        left = segments(place.files, ROW)
        assert (left[0], left[1] > 2) == (1, True)
        (said,) = [str(damage) for damage in row.damage()]
        assert said == f"removing {ROW / name_of(1)} failed: [Errno 1] Operation not permitted: '{ROW / name_of(1)}'"
        row.close()
        place.disk.power_failure()
        row = place.open()
    monkeypatch.setattr(DiskFiles, "remove_tree", remove_tree)
    write_busily(place, row, range(1201, 1300))
    assert segments(place.files, ROW)[0] > 1
    assert row.damage() == []
