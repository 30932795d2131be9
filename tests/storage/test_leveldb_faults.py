"""Damage to a LevelDB store's files: opening it restores exactly what was acknowledged, or refuses by name."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from raftcore.values.message import Entries, Entry
from raftcore.wire.codec import crc32c
from raftpy.contracts.database import Database
from raftpy.contracts.errors import StorageDamaged, StorageFailed
from raftpy.contracts.types import StoreOwner
from raftpy.storage import LevelDBStorage
from raftpy.storage.leveldb import keys
from raftpy.storage.leveldb.floor import Floor
from raftpy.storage.leveldb.head import HEAD, Head
from raftpy.storage.leveldb.row import RowBatch
from raftpy.storage.leveldb.sealing import seal, unseal
from raftpy.system.leveldb import LevelDB
from tests.storage.damage import Sample, cut_off, flip
from tests.storage.interrupted import Interrupted, interrupted_after
from tests.storage.layout import file_of, in_use, log_files, needed, open_records, records, rewrite, write_raw
from tests.storage.support import EVERYTHING, MEMBERS, OWNER, Disk, Model, abandon, append, entries, joined, submit


@pytest.fixture(scope="module")
def work() -> Iterator[Path]:
    """A directory in memory where there is one: thousands of starts, each with its syncs."""
    memory = Path("/dev/shm")
    path = Path(tempfile.mkdtemp(prefix="raftpy-test-", dir=memory if memory.is_dir() else None))
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def closed(work: Path) -> Sample:
    (work / "closed").mkdir()
    return Sample.build(work / "closed", clean=True)


@pytest.fixture(scope="module")
def killed(work: Path) -> Sample:
    (work / "killed").mkdir()
    return Sample.build(work / "killed", clean=False)


@pytest.fixture(params=["closed", "killed"])
def sample(request: pytest.FixtureRequest) -> Sample:
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


class TestFiles:
    def test_undamaged(self, sample: Sample) -> None:
        assert sample.outcome(lambda copy: None) == "exact"

    def test_a_flipped_bit_in_any_byte(self, sample: Sample, seed: int) -> None:
        """A third of all bytes that count, every byte over a few runs; the next test takes every bit."""
        rng = random.Random(seed)
        for file in sample.files():
            size = sample.size(file)
            for byte in sorted(rng.sample(range(size), size // (20 if sample.is_irrelevant(file) else 3))):
                self.check_flip(sample, file, byte, rng.randrange(8))

    @pytest.mark.slow
    @pytest.mark.parametrize("part", range(4))
    def test_every_bit(self, sample: Sample, part: int, seed: int) -> None:
        """Of a third of all bytes, another one in each run; of what nothing reads, one bit of each."""
        for file in sample.files():
            for byte in range(part + 4 * (seed % 3), sample.size(file), 12):
                for bit in (byte % 8,) if sample.is_irrelevant(file) else range(8):
                    self.check_flip(sample, file, byte, bit)

    def check_flip(self, sample: Sample, file: Path, byte: int, bit: int) -> None:
        outcome = sample.outcome(lambda copy: flip(copy / file, byte, bit))
        if sample.is_irrelevant(file):
            assert outcome == "exact", (file, byte, bit)
        else:
            assert outcome.startswith("StorageDamaged"), (file, byte, bit, outcome)

    def test_every_bit_of_the_floor_and_of_each_length_in_the_write_ahead_file(self, sample: Sample) -> None:
        floor = Path(Floor.FILE)
        for byte in range((sample.path / floor).stat().st_size):
            for bit in range(8):
                self.check_flip(sample, floor, byte, bit)
        log = sample.write_ahead_file()
        data = (sample.path / log).read_bytes()[: sample.size(log)]
        offset = 0
        while offset < len(data):
            for byte in (offset + 4, offset + 5):
                for bit in range(8):
                    self.check_flip(sample, log, byte, bit)
            offset += 7 + int.from_bytes(data[offset + 4 : offset + 6], "little")
        assert offset == len(data)

    def test_a_missing_file(self, sample: Sample) -> None:
        for file in sample.files():
            outcome = sample.outcome(lambda copy, file=file: (copy / file).unlink())  # type: ignore[misc]
            if sample.is_irrelevant(file):
                assert outcome == "exact", file
            else:
                assert outcome.startswith("StorageDamaged"), (file, outcome)
                # That of the last start's first segment, which nothing names beforehand, is missed by the next one that
                # was made behind it; where that was not made yet, by its boot.
                newest = file.parts[:2] == sample.write_ahead_file().parts[:2]
                assert "missing" in outcome or (newest and "below its floor: boot" in outcome), (file, outcome)

    def test_an_emptied_file(self, sample: Sample) -> None:
        for file in sample.files():
            outcome = sample.outcome(lambda copy, file=file: cut_off(copy / file, 0))  # type: ignore[misc]
            assert outcome == "exact" if sample.is_irrelevant(file) else outcome.startswith("StorageDamaged"), file

    def test_all_segments_missing(self, sample: Sample) -> None:
        outcome = sample.outcome(lambda copy: shutil.rmtree(records(copy)))
        assert outcome.startswith("StorageDamaged")
        assert "no segment of it is there" in outcome

    def test_a_missing_segment(self, sample: Sample) -> None:
        for number in needed(sample.path):

            def damage(copy: Path, number: int = number) -> None:
                shutil.rmtree(file_of(copy, number).parent)

            outcome = sample.outcome(damage)
            assert outcome.startswith("StorageDamaged"), (number, outcome)
            newest = number == in_use(sample.path)[-1]
            assert "missing" in outcome or (newest and "below its floor: boot" in outcome), (number, outcome)

    @pytest.mark.parametrize("zeros", [False, True], ids=["shorter", "zeros"])
    def test_the_write_ahead_file_cut_off(self, sample: Sample, closed: Sample, zeros: bool) -> None:
        """The stated limit, exactly: whole writes at the end may go unnoticed, but only those since the last start,
        only when the node was not closed, and never a part of one. It makes no difference whether the file is shorter
        or ends in zeros."""
        log = sample.write_ahead_file()
        size = sample.size(log)
        outcomes = []
        for at in range(size):

            def damage(copy: Path, at: int = at) -> None:
                cut_off(copy / log, at)
                if zeros:
                    with (copy / log).open("ab") as file:
                        file.write(bytes(size + 1000))

            outcome = sample.outcome(damage)
            outcomes.append("refused" if outcome.startswith("StorageDamaged") else outcome)
        if sample is closed:
            assert set(outcomes) == {"refused"}
            return
        # From no bytes on: the boot is missing (below the floor), then it is there with 0, 1, 2, 3 of the 4 writes.
        order = ["refused", "lost 4", "lost 3", "lost 2", "lost 1"]
        assert sorted(outcomes, key=order.index) == outcomes
        assert set(outcomes) == set(order)

    def test_space_set_aside_behind_the_write_ahead_file(self, killed: Sample) -> None:
        """By this store, and what some file systems leave after a power failure."""
        log = killed.write_ahead_file()
        assert killed.size(log) < (killed.path / log).stat().st_size

        def pad(copy: Path) -> None:
            with (copy / log).open("ab") as file:
                file.write(bytes(5000))

        assert killed.outcome(pad) == "exact"
        assert killed.outcome(lambda copy: cut_off(copy / log, killed.size(log))) == "exact"

    @pytest.mark.parametrize("distance", [0, 1, 4, 5, 6, 7, 100, 40_000])
    def test_something_in_the_space_set_aside(self, killed: Sample, distance: int) -> None:
        """Nothing is lost by it; nobody but a damaged disk writes there."""
        at = killed.size(log := killed.write_ahead_file()) + distance
        for bit in range(8):
            outcome = killed.outcome(lambda copy, bit=bit: flip(copy / log, at, bit))  # type: ignore[misc]
            assert outcome == "exact" or outcome.startswith("StorageDamaged"), (bit, outcome)

    @pytest.mark.parametrize("whole", [False, True], ids=["its file", "all of it"])
    def test_the_newest_segment_lost_after_others(self, work: Path, whole: bool) -> None:
        """There have been others since the start, so the boot is in an older one: the floor alone sees nothing."""
        disk = Disk("leveldb", work / f"changed {whole}", segment_size=64 << 10)
        store, _ = disk.open()
        first = len(log_files(disk.path))
        last = 0
        while len(log_files(disk.path)) < first + 3:
            submit(store, [append(entries(last + 1, 100, 1), term=1)])
            last += 100
        abandon(store)
        newest = file_of(disk.path, in_use(disk.path)[-1])
        if whole:
            shutil.rmtree(newest.parent)
        else:
            newest.unlink()
        with pytest.raises(StorageDamaged, match="it is missing, or empty, and may have been in use"):
            disk.open()

    def test_an_older_copy_of_the_database_put_back(self, tmp_path: Path) -> None:
        disk = Disk("leveldb", tmp_path / "node1")
        store, _ = disk.open()
        submit(store, [append(entries(1, 3, 1), term=1)])
        store.close()
        shutil.copytree(records(disk.path), tmp_path / "older")
        store, _ = disk.open()
        submit(store, [append(entries(4, 3, 1), term=2, vote=2)])
        store.close()
        shutil.rmtree(records(disk.path))
        shutil.copytree(tmp_path / "older", records(disk.path))
        with pytest.raises(StorageDamaged, match="below its floor: boot .*under a new node id"):
            disk.open()

    def test_a_floor_of_another_store(self, tmp_path: Path) -> None:
        one, other = Disk("leveldb", tmp_path / "node1"), Disk("leveldb", tmp_path / "other1")
        one.open()[0].close()
        other.open()[0].close()
        shutil.copy(other.path / Floor.FILE, one.path / Floor.FILE)
        with pytest.raises(StorageDamaged, match="below its floor: store id"):
            one.open()


def read(path: Path, key: bytes) -> bytes:
    with open_records(path) as row:
        body = unseal(key, row.get(key, verify_checksums=True) or b"")
    assert body is not None
    return body


class TestRecords:
    """Records that are whole for LevelDB and wrong all the same: a bug, a foreign hand, a half-built batch."""

    @pytest.fixture
    def disk(self, tmp_path: Path) -> Disk:
        """Records of [1 2 3] term 1, [4] term 1, [5 6] term 2 with log time 9."""
        disk = Disk("leveldb", tmp_path / "node1")
        store, _ = disk.open()
        submit(store, [append(joined(entries(1, 3, 1), entries(4, 1, 1), entries(5, 2, 2, 9)), term=2, commit=5)])
        store.close()
        return disk

    @pytest.mark.parametrize(
        ("first", "body", "what"),
        [
            (1, None, "entries from 4 on where 1 follows"),
            (4, None, "entries from 5 on where 4 follows"),
            (5, None, "the log ends at 4 in term 1, and 6 in term 2 was written"),
            (7, entries(7, 1, 2, 9).data, "the log ends at 7 in term 2, and 6 in term 2 was written"),
            (5, entries(5, 1, 2, 9).data, "the log ends at 5"),
            (5, entries(5, 2, 3, 9).data, "the log ends at 6 in term 3, and 6 in term 2"),
            (1, entries(1, 4, 1).data, "entries from 4 on where 5 follows"),
            (4, entries(3, 1, 1).data, "entries from 3 on where 4 follows"),
            (4, entries(4, 1, 3).data, "term 2 after term 3"),
            (4, entries(4, 1, 1, 10).data, "log time 9 ms after 10 ms"),
            (4, entries(4, 1, 1).data + b"\0", "1 bytes behind its block, 0 or 88 expected"),
            (4, b"", "a block has at least 40 bytes, not 0"),
            (4, entries(4, 1, 1).data[:-1], "its block has 51 bytes, and 50 are there"),
            (1, joined(entries(1, 1, 1), entries(2, 2, 1)).data, "59 bytes behind its block, 0 or 88 expected"),
            (5, entries(5, 2, 2, 9).data, "the batch that wrote entry 6 is not there whole"),
        ],
    )
    def test_the_log_is_what_was_written(self, disk: Disk, first: int, body: bytes | None, what: str) -> None:
        rewrite(disk.path, (keys.entry_key(0, first), body))
        with pytest.raises(StorageDamaged, match=what) as caught:
            disk.open()
        assert str(records(disk.path)) in caught.value.where
        assert "record of entry" in caught.value.where

    def test_a_record_under_anothers_key(self, disk: Disk) -> None:
        """The seal covers the key: the right bytes in the wrong place are noticed."""
        with open_records(disk.path) as row:
            value = row.get(keys.entry_key(0, 4), verify_checksums=True)
        assert value is not None
        write_raw(disk.path, (keys.entry_key(0, 5), value))
        with pytest.raises(StorageDamaged, match=r"record of entry 5 .*checksum"):
            disk.open()

    def test_a_record_sealed_for_the_wrong_key(self, disk: Disk) -> None:
        """It fits into the log, and would not be found by its first index."""
        rewrite(disk.path, (keys.entry_key(0, 4), None), (keys.entry_key(0, 3), entries(4, 1, 1).data))
        with pytest.raises(StorageDamaged, match="record of entry 3 .*it holds entries from 4 on"):
            disk.open()

    @pytest.mark.parametrize("place", ["seal", "its beginning", "the middle", "its end"])
    @pytest.mark.parametrize("others", [0, 1, 40])
    def test_a_large_record_that_is_not_what_was_sealed(self, disk: Disk, place: str, others: int) -> None:
        """LevelDB's checksums hold, of which the seal's is computed. Behind the record others, in the same batch."""
        payload = random.Random(1).randbytes(150_000)
        key = keys.entry_key(0, 1)
        value = bytearray(seal(key, Entries.build([Entry(1, 1, 0, payload)]).data))
        value[{"seal": 1, "its beginning": 200, "the middle": 70_000, "its end": len(value) - 2}[place]] ^= 4
        following = [keys.entry_key(7, index) for index in range(others)]
        write_raw(disk.path, (key, bytes(value)), *((each, None) for each in following))
        with pytest.raises(StorageDamaged, match="record of entry 1 .*its checksum does not hold"):
            disk.open()

    def test_a_record_of_another_group(self, disk: Disk) -> None:
        block = entries(4, 1, 1).data
        key = keys.entry_key(0, 4)
        write_raw(disk.path, (key, seal(keys.entry_key(1, 4), block)))
        with pytest.raises(StorageDamaged, match=r"record of entry 4 .*checksum"):
            disk.open()

    @pytest.mark.parametrize("key", [keys.IDENTITY, keys.PINS, keys.bootstrap_key(0), keys.head_key(0)])
    @pytest.mark.parametrize("body", [None, b"", b"short"])
    def test_every_other_record_is_needed(self, disk: Disk, key: bytes, body: bytes | None) -> None:
        if (key, body) == (keys.PINS, b""):
            body = b"x"  # an empty list of pins is one
        rewrite(disk.path, (key, body))
        with pytest.raises(StorageFailed) as caught:
            disk.open()
        assert str(records(disk.path)) in str(caught.value)

    @pytest.mark.parametrize(
        ("change", "what"),
        [
            ({"term": 1}, "below its floor: term 1, the floor says 2"),
            ({"vote": 3}, "not as it was closed"),
            ({"commit": 4, "closed": 0}, "not as it was closed"),
            ({"last_index": 7}, "not as it was closed"),
            ({"last_index": 5, "commit": 5}, "below its floor: last index 5, the floor says 6"),
            ({"commit": 7}, "contradict each other"),
            ({"prev_index": 7}, "contradict each other"),
        ],
    )
    def test_the_head_is_what_was_written(self, disk: Disk, change: dict[str, int], what: str) -> None:
        head = Head.unpack(read(disk.path, keys.head_key(0)))
        for name, value in change.items():
            setattr(head, name, value)
        rewrite(disk.path, (keys.head_key(0), head.pack()))
        with pytest.raises(StorageDamaged, match=what):
            disk.open()

    def test_a_half_built_batch(self, disk: Disk) -> None:
        """The new entries without the head that belongs to them, and the other way round."""
        rewrite(disk.path, (keys.entry_key(0, 5), None), (keys.entry_key(0, 4), entries(4, 3, 3).data))
        with pytest.raises(StorageDamaged, match="the log ends at 6 in term 3"):
            disk.open()

    def test_a_head_behind_the_last_record_that_is_none(self, tmp_path: Path) -> None:
        disk = Disk("leveldb", tmp_path / "node1")
        store, _ = disk.open()
        submit(store, [append(entries(1, 3, 1), term=2, commit=2)])
        abandon(store)
        head = Head.unpack(read(disk.path, keys.entry_key(0, 1))[-HEAD.size :])
        head.commit = 4
        rewrite(disk.path, (keys.entry_key(0, 1), entries(1, 3, 1).data + head.pack()))
        with pytest.raises(StorageDamaged, match=r"record of entry 1 .*contradict each other"):
            disk.open()

    def test_another_format_of_the_store(self, disk: Disk) -> None:
        identity = read(disk.path, keys.IDENTITY)
        rewrite(disk.path, (keys.IDENTITY, (1).to_bytes(4, "little") + identity[4:]))
        with pytest.raises(StorageFailed, match="store format 1, and this release reads and writes format 3"):
            disk.open()

    def test_another_format_of_the_floor(self, disk: Disk) -> None:
        floor = disk.path / Floor.FILE
        body = floor.read_bytes().split(b"\n", 1)[1]
        floor.write_bytes(f"raftpy floor 1 {crc32c(body):08x}\n".encode() + body)
        with pytest.raises(StorageFailed, match="has format 1, and this release reads format 3 and upgrades format 2"):
            disk.open()

    @pytest.mark.parametrize(
        ("value", "what"),
        [
            (b"rubbish", "checksum"),
            (None, "missing"),
            (entries(3, 2, 1), "it holds entries from 3 on"),
            (entries(4, 2, 1), "it ends at 5 instead of 4"),
        ],
    )
    def test_a_record_that_breaks_while_the_store_is_open(
        self, disk: Disk, value: bytes | Entries | None, what: str
    ) -> None:
        store, _ = disk.open()
        assert isinstance(store, LevelDBStorage)
        row = store._row
        assert row is not None
        key = keys.entry_key(0, 4)
        batch = row.write_batch(sync=True)
        if value is None:
            batch.delete(key)
        else:
            batch.put(key, value if isinstance(value, bytes) else seal(key, value.data))
        batch.write()
        assert store.group(0).entries(1, 4, EVERYTHING).count == 3
        for _ in range(2):  # and the handle is dead
            with pytest.raises(StorageDamaged, match=f"record of entry 4 .*{what}"):
                store.group(0).entries(1, 5, EVERYTHING)
        with pytest.raises(StorageDamaged):
            submit(store, [append(entries(7, 1, 2))])
        store.close()


class TestInterruptedStart:
    """A start that dies between any two of its steps can be made again, and sees what it would have seen."""

    def interrupted(self, monkeypatch: pytest.MonkeyPatch, path: Path, after: int) -> int:
        """Opens, dying after ``after`` durable steps (a floor file or a batch); returns how many there were."""
        with interrupted_after(monkeypatch, after) as steps:
            store = LevelDBStorage(path)
            try:
                store.open(OWNER)
            except Interrupted:
                return steps.count
        store.close()
        return steps.count

    @pytest.mark.parametrize("after", [1, 2, 3, 4])
    def test_first_start(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, after: int) -> None:
        path = tmp_path / "node1"
        assert self.interrupted(monkeypatch, path, after) == after
        disk = Disk("leveldb", path)
        store, first = disk.open()
        assert first.boot >> 32 >= 1
        assert (first.members, first.groups[0].last_index) == (MEMBERS, 0)
        submit(store, [append(entries(1, 1, 1))])
        assert disk.reopen(store)[1].store_id == first.store_id

    @pytest.mark.parametrize("clean", [True, False], ids=["closed", "killed"])
    @pytest.mark.parametrize("after", [1, 2])
    def test_later_start(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, after: int, clean: bool) -> None:
        """Also when the boot before had cut its log below its floor: the new floor may not be written yet."""
        disk = Disk("leveldb", tmp_path / "node1")
        model = Model()
        store, _ = disk.open()
        submit(store, batch := [append(entries(1, 9, 1), term=1, vote=1)])
        model.submit(batch)
        store, _ = disk.reopen(store)
        submit(store, batch := [append(entries(4, 2, 2), term=2, vote=3, commit=1)])
        model.submit(batch)
        if clean:
            store.close()
        else:
            abandon(store)
        for _ in range(2):
            assert self.interrupted(monkeypatch, disk.path, after) == after
        store, recovered = disk.open()
        model.check(store, recovered)
        assert recovered.boot >> 32 == 5
        store.close()

    def test_every_step_was_interrupted(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        assert self.interrupted(monkeypatch, tmp_path / "x", after=0) == 4
        assert self.interrupted(monkeypatch, tmp_path / "x", after=0) == 2


class TestCutBelowTheFloor:
    @pytest.mark.parametrize("clean", [True, False], ids=["closed", "killed"])
    def test_entries_replaced_below_the_floor_are_no_damage(self, tmp_path: Path, clean: bool) -> None:
        """A new leader replaces what the floor had seen: term 2's shorter log is right (paper 5.3)."""
        disk = Disk("leveldb", tmp_path / "node1")
        store, _ = disk.open()
        submit(store, [append(entries(1, 9, 1), term=3)])
        store, _ = disk.reopen(store)
        submit(store, [append(entries(5, 1, 2))])  # in pieces, and in the same term
        if clean:
            store.close()
        else:
            abandon(store)
        _, recovered = disk.open()
        assert (recovered.groups[0].last_index, recovered.groups[0].term_runs) == (5, ((1, 1), (5, 2)))

    def test_a_new_boot_starts_without_marks(self, tmp_path: Path) -> None:
        """``cut`` and ``closed`` speak of one boot: carried into the next they would excuse a loss there."""
        disk = Disk("leveldb", tmp_path / "node1")
        store, _ = disk.open()
        submit(store, [append(entries(1, 9, 1), term=3)])
        submit(store, [append(entries(5, 1, 2))])
        submit(store, [append(entries(6, 1, 2)), append(entries(6, 2, 3))])
        abandon(store)
        head = Head.unpack(read(disk.path, keys.entry_key(0, 6))[-HEAD.size :])
        assert (head.cut, head.closed) == (5, 0)
        store, _ = disk.open()
        store.close()
        head = Head.unpack(read(disk.path, keys.head_key(0)))
        assert (head.cut, head.closed) == (0, 1)
        abandon(disk.open()[0])
        head = Head.unpack(read(disk.path, keys.head_key(0)))
        assert (head.cut, head.closed) == (0, 0)


class FailingBatch:
    """A batch whose write fails, before or after it has reached the disk."""

    def __init__(self, batch: RowBatch, error: Exception, reached: bool) -> None:
        self._batch, self._error, self._reached = batch, error, reached
        self.put, self.delete, self.clear = batch.put, batch.delete, batch.clear
        self.forget_before = batch.forget_before

    def write(self) -> None:
        if self._reached:
            self._batch.write()
        raise self._error


class TestFailedWrites:
    @pytest.mark.parametrize("reached", [False, True], ids=["nothing written", "written all the same"])
    @pytest.mark.parametrize("kind", [LevelDB.Error, MemoryError])
    def test_a_failed_batch_kills_the_handle(self, tmp_path: Path, kind: type[Exception], reached: bool) -> None:
        error = kind(b"IO error: 000005.log: No space left on device")
        disk = Disk("leveldb", tmp_path / "node1")
        store, _ = disk.open()
        assert isinstance(store, LevelDBStorage)
        submit(store, [append(entries(1, 2, 1), term=1)])
        store._batch = FailingBatch(store._batch, error, reached)
        said = "IO error: .*No space left" if kind is LevelDB.Error else "MemoryError"
        for call in (
            lambda: submit(store, [append(entries(3, 1, 1))]),
            lambda: submit(store, [append(entries(3, 1, 1))]),
            lambda: submit(store, [append(term=2, must_sync=False)]),
            lambda: store.group(0).entries(1, 2, EVERYTHING),
            lambda: store.pin(2, 2),
            lambda: store.group(0).snapshot(),
        ):
            with pytest.raises(StorageFailed, match=rf"writing to the store .*node1 failed: .*{said}"):
                call()
        store.close()
        _, recovered = disk.open()
        assert recovered.groups[0].last_index == (3 if reached else 2)

    def test_a_failed_pin(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        class FailingDatabase:
            def __init__(self, database: Database) -> None:
                self.close = database.close

            def put(self, key: bytes, value: bytes, *, sync: bool) -> None:
                assert sync
                raise LevelDB.Error(b"IO error: full")

        disk = Disk("leveldb", tmp_path / "node1")
        store, _ = disk.open()
        assert isinstance(store, LevelDBStorage)
        assert store._row is not None
        monkeypatch.setattr(store, "_row", FailingDatabase(store._row))
        for _ in range(2):
            with pytest.raises(StorageFailed, match="IO error: full"):
                store.pin(2, 22)
        with pytest.raises(StorageFailed, match="IO error: full"):
            submit(store, [append(entries(1, 1, 1))])

    def test_an_error_in_the_middle_of_building_writes_nothing(self, tmp_path: Path) -> None:
        disk = Disk("leveldb", tmp_path / "node1")
        store, _ = disk.open()
        submit(store, [append(entries(1, 2, 1), term=1)])
        with pytest.raises(StorageFailed, match="begins|ends"):
            submit(store, [append(entries(3, 1, 1), term=5, vote=5), append(entries(9, 1, 5))])
        _, recovered = disk.reopen(store)
        assert (recovered.groups[0].last_index, recovered.groups[0].hard_state.term) == (2, 1)


def test_a_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"")
    with pytest.raises(StorageFailed, match="opening the store .*x failed"):
        LevelDBStorage(tmp_path / "x").open(OWNER)


def test_a_directory_is_made_with_all_its_parents(tmp_path: Path) -> None:
    store = LevelDBStorage(tmp_path / "a" / "b" / "c")
    store.open(StoreOwner(1, MEMBERS))
    store.close()


def test_large_payloads(tmp_path: Path) -> None:
    disk = Disk("leveldb", tmp_path / "node1")
    store, _ = disk.open()
    big = Entries.build([Entry(1, index, 0, bytes([index]) * (3 << 20)) for index in range(1, 4)])
    submit(store, [append(big)])
    assert store.group(0).entries(1, 4, EVERYTHING) == big
    assert store.group(0).entries(2, 4, 4 << 20) == big.slice(2, 3)
    store, _ = disk.reopen(store)
    assert store.group(0).entries(1, 4, EVERYTHING) == big
    store.close()
