"""A row of segments: a database that looks like one, whatever happens to its disk."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from pathlib import Path, PurePath
from random import Random

import pytest

from raftpy.contracts.errors import StorageDamaged, StorageFailed
from raftpy.contracts.files import OpenMode
from raftpy.sim.disk.faults import DiskFaults
from raftpy.sim.disk.files import Disk, DiskFile, DiskFiles, PowerFailure
from raftpy.storage.leveldb import keys
from raftpy.storage.leveldb.emptying import RECORDS_MOVED_AT_ONCE
from raftpy.storage.leveldb.row import RowBatch, SegmentRow
from raftpy.storage.leveldb.sealing import seal
from raftpy.storage.leveldb.segment import Made, name_of, segments
from raftpy.storage.leveldb.wal_framing import Framing
from raftpy.system.files import SystemFiles
from raftpy.system.leveldb import LevelDB
from tests.storage.late import LateExecutor
from tests.storage.rows import END, ROW, SIZE, Simulated, open_real, record, scan, write_busily
from tests.storage.support import next_is_made


class Told:
    """What a row was told, and has to hold."""

    def __init__(self) -> None:
        self.content: dict[bytes, bytes] = {}
        self.forgotten: set[bytes] = set()
        self.last = {0: 0, 7: 0}
        self.first = {0: 1, 7: 1}

    def draw(self, rng: Random, batch: RowBatch, *, compacted: bool = True) -> None:
        """A drawn batch is built, and taken note of; with nothing compacted, most segments stay."""
        for _ in range(rng.choice((1, 1, 1, 2, 5))):
            group = rng.choice((0, 0, 0, 7))
            kind = rng.random()
            if kind < 0.15:
                key = rng.choice((b"I", b"P", keys.head_key(group), keys.bootstrap_key(group)))
                value = None if kind < 0.03 else seal(key, rng.randbytes(20))
                self._write(batch, key, value)
                continue
            if kind < 0.25 and self.last[group] > self.first[group]:  # the end is cut off, a record cut through
                cut = rng.randint(max(self.first[group], self.last[group] - 5), self.last[group])
                for first in range(cut + 1, self.last[group] + 1):
                    self._write(batch, keys.entry_key(group, first), None)
                self._write(batch, *record(group, cut, 100))
                self.last[group] = cut
            if compacted and kind < 0.35 and self.last[group] > self.first[group] + 3:
                upto = rng.randint(self.first[group], self.last[group] - 1)
                batch.forget_before(keys.entry_key(group, upto))
                for first in range(self.first[group], upto):
                    key = keys.entry_key(group, first)
                    self.forgotten.add(key)
                    del self.content[key]
                self.first[group] = upto
            self.last[group] += 1
            self._write(batch, *record(group, self.last[group], rng.choice((20, 300, 300, 2000, 9000))))

    def _write(self, batch: RowBatch, key: bytes, value: bytes | None) -> None:
        if value is None:
            batch.delete(key)
            self.content.pop(key, None)
        else:
            batch.put(key, value)
            self.content[key] = value

    def check(self, row: SegmentRow) -> None:
        """The row holds all of it; and nothing else, but for what it was told to forget."""
        found = scan(row)
        extra = found.keys() - self.content.keys()
        assert extra <= self.forgotten
        assert {key: value for key, value in found.items() if key not in extra} == self.content
        assert list(found) == sorted(found)
        for key, value in self.content.items():
            assert row.get(key, verify_checksums=True) == value
        assert row.get(keys.entry_key(0, 10**6), verify_checksums=True) is None
        assert row.get(b"X", verify_checksums=True) is None


def forget_again(row: SegmentRow, told: Told) -> None:
    """What a store does after an opening."""
    batch = row.write_batch(sync=True)
    for group, first in told.first.items():
        batch.forget_before(keys.entry_key(group, first))
    batch.write()


class TestContent:
    def test_on_leveldb(self, tmp_path: Path, seed: int) -> None:
        rng, told = Random(seed), Told()
        row = open_real(tmp_path, create=True)
        for _ in range(6):
            for _ in range(60):
                batch = row.write_batch(sync=True)
                told.draw(rng, batch)
                batch.write()
            told.check(row)
            row.close()
            row = open_real(tmp_path)
            told.check(row)
            forget_again(row, told)
        row.close()
        assert segments(SystemFiles(), tmp_path)[0] > 5

    @pytest.mark.parametrize("late", [0, 1, 3])
    def test_on_the_double_with_kills(self, seed: int, late: int) -> None:
        """With what is done beside the writes done at once, or late."""
        rng, told, place = Random(seed), Told(), Simulated(seed)
        row = place.open(create=True)
        for _ in range(8):
            for _ in range(60):
                batch = row.write_batch(sync=True)
                told.draw(rng, batch)
                batch.write()
                place.executor.run(1000 if not late else rng.randrange(0, late + 1) // late)
            told.check(row)
            if rng.random() < 0.5:
                row.close()
            place.disk.kill()
            row = place.open()
            told.check(row)
            forget_again(row, told)
        assert segments(place.files, ROW)[0] > 5

    def test_what_the_double_has_written_is_read_on_leveldb(self, tmp_path: Path, seed: int) -> None:
        rng, told, place = Random(seed), Told(), Simulated(seed)
        row = place.open(create=True)
        for _ in range(100):
            batch = row.write_batch(sync=True)
            told.draw(rng, batch)
            batch.write()
            place.executor.run()
        for path, (data, size) in place.disk.copy().files:
            target = tmp_path / path.relative_to("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data + bytes(size - len(data)))
        told.check(open_real(tmp_path / "row"))

    def test_what_it_has_written_leveldb_reads(self, tmp_path: Path, seed: int) -> None:
        """Each segment is a database of LevelDB's, which opens it and finds what was written there last."""
        rng, told, executor = Random(seed), Told(), LateExecutor()
        path = tmp_path / "row"
        path.mkdir()
        row = open_real(path, create=True, executor=executor)
        for _ in range(200):
            batch = row.write_batch(sync=True)
            told.draw(rng, batch, compacted=False)
            batch.write()
            executor.run()  # the next segment is made, however quick the disk is
        row.close()
        copy = tmp_path / "copy"
        shutil.copytree(path, copy)
        found: dict[bytes, bytes] = {}
        numbers = segments(SystemFiles(), copy)
        assert len(numbers) > 5
        for number in numbers:
            database = LevelDB().open(copy / name_of(number), create=False, write_buffer_size=1 << 20)
            found.update(database.iterator(start=b"", stop=END, verify_checksums=True, fill_cache=False))
            database.close()
        assert told.content.items() <= found.items()

    def test_leveldb_does_not_open_what_is_written(self, tmp_path: Path) -> None:
        """Nor the one made beforehand: whoever goes by LevelDB's lock is kept out. What is closed it may open."""
        row = open_real(tmp_path, create=True)
        row.put(*record(0, 1), sync=True)
        next_is_made(row)
        assert segments(SystemFiles(), tmp_path) == [1, 2]
        script = (
            "import sys\nfrom raftpy.system.leveldb import binding\n"
            "try: binding.DB(sys.argv[1])\nexcept binding.IOError: sys.exit(7)"
        )
        row.put(*record(0, 2), sync=True)
        codes = [
            subprocess.run([sys.executable, "-c", script, str(tmp_path / name_of(number))], check=False).returncode
            for number in (1, 2)
        ]
        assert codes == [7, 7]
        row.close()
        assert subprocess.run([sys.executable, "-c", script, str(tmp_path / name_of(1))], check=False).returncode == 0


class TestSegments:
    def test_each_record_is_written_once(self) -> None:
        place = Simulated()
        row = place.open(create=True)
        for first in range(1, 400):
            row.put(*record(0, first), sync=True)
            place.executor.run()
        row.close()
        for number in segments(place.files, ROW):
            names = place.files.names(ROW / name_of(number))
            assert not [name for name in names if name.endswith(".ldb")]
        logs = [place.files.read(path) for path in place.disk.paths() if path.suffix == ".log"]
        written = sum(len(log.rstrip(b"\0")) for log in logs)
        assert written < 400 * (300 + 64) + 2000

    def test_a_batch_larger_than_a_segment(self) -> None:
        place = Simulated()
        row = place.open(create=True)
        told: dict[bytes, bytes] = {}
        for first in range(1, 9):
            key, value = record(0, first, (10 * SIZE if first % 3 == 0 else 50))
            told[key] = value
            row.put(key, value, sync=True)
            place.executor.run()
        assert len(segments(place.files, ROW)) == 6
        assert scan(row) == told
        place.disk.power_failure()
        assert scan(place.open()) == told

    def test_the_next_one_is_not_waited_for(self) -> None:
        """While it is not ready the one before grows."""
        place = Simulated()
        row = place.open(create=True)
        for first in range(1, 200):
            row.put(*record(0, first), sync=True)
        assert segments(place.files, ROW) == [1]
        place.executor.run()
        row.put(*record(0, 200), sync=True)
        assert segments(place.files, ROW) == [1, 2]
        assert len(scan(row)) == 200
        place.disk.power_failure()
        assert len(scan(place.open())) == 200

    def test_a_successor_is_named_before_it_is_used(self) -> None:
        """Also where no batch has come since it was ready: without it the row is refused."""
        place = Simulated()
        row = place.open(create=True)
        for first in range(1, 100):
            row.put(*record(0, first), sync=True)
        place.executor.run()
        row.put(*record(0, 100), sync=True)
        place.disk.kill()
        assert segments(place.files, ROW) == [1, 2]
        place.files.remove_tree(ROW / name_of(2))
        with pytest.raises(StorageDamaged, match="missing"):
            place.open()

    def test_a_successor_that_could_not_be_named_is_closed_with_the_row(self, monkeypatch: pytest.MonkeyPatch) -> None:
        place = Simulated()
        row = place.open(create=True)
        for first in range(1, 100):
            row.put(*record(0, first), sync=True)
        place.executor.run()

        def full(*_: object) -> list[int]:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Made, "write", full)
        with pytest.raises(OSError, match="No space left"):
            row.put(*record(0, 100), sync=True)
        row.close()
        assert list(row._files.opened) == []  # type: ignore[attr-defined]

    def test_readers_beside_a_writer(self, tmp_path: Path) -> None:
        """They find each record while segments change, close and go."""
        row = open_real(tmp_path, create=True, size=3000)
        written: list[int] = [0]
        failed: list[object] = []
        for first in range(1, 4):
            row.put(*record(7, first), sync=True)

        def write() -> None:
            for first in range(1, 1200):
                batch = row.write_batch(sync=True)
                batch.put(*record(0, first))
                if first > 50:
                    batch.forget_before(keys.entry_key(0, first - 49))
                batch.write()
                written[0] = first

        writer = threading.Thread(target=write)
        writer.start()
        idle = [record(7, first) for first in range(1, 4)]  # which go along from segment to segment
        while writer.is_alive() and not failed:
            last = written[0]
            for first in range(max(1, last - 20), last + 1):
                key, value = record(0, first)
                if row.get(key, verify_checksums=True) != value and written[0] - first < 45:
                    failed.append(first)
            failed += [key for key, value in idle if row.get(key, verify_checksums=True) != value]
        writer.join()
        assert not failed
        assert len(segments(SystemFiles(), tmp_path)) < 20
        row.close()

    def test_without_room_for_a_thread(self) -> None:
        place = Simulated()
        row = place.open(create=True)

        def no_room(item: object) -> None:
            raise RuntimeError

        place.executor.workers[0].put = no_room  # type: ignore[method-assign]
        for first in range(1, 200):
            row.put(*record(0, first), sync=True)
        assert len(segments(place.files, ROW)) > 3
        assert len(scan(row)) == 199

    @pytest.mark.parametrize("idle", [1, 99])
    def test_idle_groups_keep_no_segments(self, idle: int) -> None:
        """One busy group whose log is compacted all the time, and others that wrote once."""
        place = Simulated()
        row = place.open(create=True)
        told = dict(record(group, 1, 50) for group in range(1, idle + 1))
        for key, value in told.items():
            row.put(key, value, sync=True)
            row.put(keys.head_key(keys.entry_first(key)), seal(b"H", b"x"), sync=True)
            place.executor.run()
        live = sum(len(value) for value in told.values()) + 21 * 310

        def is_short() -> None:
            assert len(segments(place.files, ROW)) <= 2 * live // SIZE + 8

        write_busily(place, row, range(1, 1500), also=is_short)
        told.update(record(0, first) for first in range(1480, 1500))
        assert {key: value for key, value in scan(row).items() if key.startswith(b"e")} == told
        place.disk.power_failure()
        found = {key: value for key, value in scan(place.open()).items() if key.startswith(b"e")}
        assert told.items() <= found.items()

    @pytest.mark.parametrize("how", ["flipped", "short", "missing"])
    def test_damage_in_a_segment_that_is_to_be_emptied_stays_damage(self, how: str) -> None:
        """The record is not copied, its segment stays, who writes goes on, and a start refuses it: until nothing in it
        is needed any more."""
        place = Simulated()
        row = place.open(create=True)
        for first in range(1, 4):
            row.put(*record(7, first, 50), sync=True)
        where = row._places.find(record(7, 2)[0])
        assert where is not None
        (path,) = [path for path in place.disk.paths() if path.parent.name == name_of(1) and path.suffix == ".log"]

        write_busily(place, row, range(1, 100))
        assert 1 in row._paths
        if how == "flipped":
            place.disk.flip_bit(path, where.offset + 20, 1)
        elif how == "short":
            place.disk.rewrite(path, place.files.read(path)[: where.offset + 20])
        else:
            place.disk.lose(path)
        write_busily(place, row, range(100, 1500))
        assert segments(place.files, ROW)[0] == 1
        assert row._places.find(record(7, 2)[0]) == where
        assert [str(damage).startswith(f"{path} is damaged: ") for damage in row.damage()] == [True]
        assert len([damage for _, damage in row.reread() if damage is not None]) == 1
        image = place.disk.copy()
        batch = row.write_batch(sync=True)
        batch.forget_before(keys.entry_key(7, 4))
        batch.put(*record(7, 4))
        batch.write()
        write_busily(place, row, range(1500, 1520))
        assert segments(place.files, ROW)[0] > 1
        assert row.damage() == []
        place.disk.restore(image)
        with pytest.raises(StorageDamaged):
            place.open()

    def test_many_short_records_go_along_a_few_at_a_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A batch waits for them. The file they are in is opened once for each batch."""
        place = Simulated()
        row = place.open(create=True, size=1 << 20)
        batch = row.write_batch(sync=True)
        for first in range(1, 5000):
            batch.put(*record(7, first, 50))
        batch.write()
        opened: list[str] = []
        carried: list[int] = []
        open_, carry = DiskFiles.open, SegmentRow._carried

        def noting(files: DiskFiles, path: PurePath, mode: OpenMode) -> DiskFile:
            opened.append(path.parent.name)
            return open_(files, path, mode)

        def counting(row: SegmentRow, size: int, count: int) -> list[tuple[bytes, bytes | None]]:
            opened.clear()
            found = carry(row, size, count)
            assert opened == [name_of(row._emptying.source)]
            carried.append(len(found))
            return found

        monkeypatch.setattr(DiskFiles, "open", noting)
        monkeypatch.setattr(SegmentRow, "_carried", counting)
        for first in range(1, 200):
            batch = row.write_batch(sync=True)
            batch.put(*record(0, first, 60_000))
            batch.forget_before(keys.entry_key(0, max(1, first - 3)))
            batch.write()
            place.executor.run()
        assert sum(carried) >= 4999
        assert max(carried) == RECORDS_MOVED_AT_ONCE
        assert segments(place.files, ROW)[0] > 1
        assert len([key for key in scan(row) if key[8] == 7]) == 4999

    def test_a_segment_that_is_being_removed_is_not_damaged(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whatever is there of it while it is read back."""
        place = Simulated()
        row = place.open(create=True)
        for first in range(1, 300):
            row.put(*record(0, first), sync=True)
            place.executor.run()
        pieces = row.reread()
        assert next(pieces)[1] is None
        remove_tree, said = DiskFiles.remove_tree, [0]

        def remove(files: DiskFiles, directory: PurePath) -> None:
            for before in (True, False):
                if not before:
                    remove_tree(files, directory)
                assert [damage for _, damage in row.reread() if damage is not None] == []
                said[0] += 1

        monkeypatch.setattr(DiskFiles, "remove_tree", remove)
        batch = row.write_batch(sync=True)
        batch.put(*record(0, 300))
        batch.forget_before(keys.entry_key(0, 300))
        batch.write()
        place.executor.run()
        place.executor.run()
        assert said[0] > 4
        assert [damage for _, damage in pieces if damage is not None] == []
        assert len(segments(place.files, ROW)) < 4

    def test_the_next_segment_is_made_before_many_are_removed(self) -> None:
        """Removing takes a while, and it may be soon that a write asks for the next one."""
        place = Simulated()
        row = place.open(create=True, size=600)
        for first in range(1, 100):
            row.put(*record(0, first), sync=True)
            place.executor.run()
        before = segments(place.files, ROW)
        assert len(before) > 40
        batch = row.write_batch(sync=True)
        batch.put(*record(0, 100, 700))
        batch.forget_before(keys.entry_key(0, 100))
        batch.write()
        (worker,) = place.executor.workers
        for _ in range(20):
            worker.run(1)
            if before[-1] + 1 in segments(place.files, ROW):
                break
        left = segments(place.files, ROW)
        assert left[-1] == before[-1] + 1
        assert left[:-1] == before, "and nothing is removed meanwhile"
        while len(segments(place.files, ROW)) > 3:
            left = segments(place.files, ROW)
            worker.run(1)
            now = segments(place.files, ROW)
            assert 0 < len(left) - len(now) <= 4
            assert now == left[-len(now) :], "the oldest go first: what a crash leaves is one row without a gap"
        row.close()

    @pytest.mark.parametrize("off", [-1, 1, -40])
    def test_nothing_is_cut_off_where_the_records_end_elsewhere(self, off: int) -> None:
        """Where they end is computed: wrongly, here. The row fails, and the records stay."""
        place = Simulated()
        row = place.open(create=True)
        for first in range(1, 30):
            row.put(*record(0, first), sync=True)
            place.executor.run()
        (path,) = [path for path in place.disk.paths() if path.parent.name == name_of(1) and path.suffix == ".log"]
        before = place.files.read(path).rstrip(b"\0")
        newest = row._newest
        newest.made._framing = Framing(newest.made.end + off)
        with pytest.raises(StorageFailed, match="not at byte"):
            row._close_segment(newest)
        row.close()
        assert place.files.read(path).rstrip(b"\0") == before
        assert len(scan(place.open())) == 29

    def test_a_full_disk_fails_a_write(self) -> None:
        """Not before what was set aside for the segment in use is used up."""
        place = Simulated()
        row = place.open(create=True)
        row.put(*record(0, 1), sync=True)
        place.disk.capacity = place.disk.used + 100
        with pytest.raises(Exception, match="No space"):
            for first in range(2, 300):
                place.executor.run()
                row.put(*record(0, first), sync=True)
        place.disk.capacity = 1 << 40
        with pytest.raises(Exception, match="No space"):
            row.put(*record(0, 300), sync=True)
        row.close()
        assert record(0, 1)[0] in scan(place.open())


class TestPowerFailure:
    @pytest.mark.parametrize("failed_sync", [False, True])
    def test_what_a_start_has_found_stays(self, failed_sync: bool) -> None:
        """Also a batch that nobody was told of: its sync failed, or the process died before it."""
        both = 0
        for seed in range(20):
            place = Simulated(seed)
            row = place.open(create=True)
            row.put(*record(0, 1), sync=True)
            place.disk.faults = DiskFaults(sync_error=float(failed_sync))
            if not failed_sync:

                def on_step(operation: str, disk: Disk = place.disk) -> None:
                    if operation == "sync":
                        raise PowerFailure

                place.disk.on_step = on_step
            with pytest.raises(OSError if failed_sync else PowerFailure):
                row.put(*record(0, 2), sync=True)
            place.disk.faults, place.disk.on_step = DiskFaults(), None
            place.disk.kill()
            row = place.open()
            found = scan(row)
            assert found in (told := dict([record(0, 1)]), told | dict([record(0, 2)]))  # a failed sync may lose it
            both += len(found) == 2
            row.put(b"I", seal(b"I", b"rests on it"), sync=True)
            place.disk.power_failure()
            assert scan(place.open()) == {**found, b"I": seal(b"I", b"rests on it")}
        assert both > 3

    def test_at_each_step(self, seed: int) -> None:
        """Whatever was written is there, what was under way wholly or not at all, and the row goes on."""
        step = 0
        for step in range(0, 2000, 1 + seed % 3):
            rng, told, place = Random(step), Told(), Simulated(step)
            at = place.disk.steps + step

            def on_step(operation: str, disk: Disk = place.disk, at: int = at) -> None:
                if disk.steps == at:
                    raise PowerFailure

            place.disk.on_step = on_step
            before: dict[bytes, bytes] = {}
            written = created = False
            try:
                row = place.open(create=True, size=3000)
                for _ in range(25):
                    before = dict(told.content)
                    batch = row.write_batch(sync=True)
                    told.draw(rng, batch)
                    batch.write()
                    created = True
                    before = dict(told.content)
                    place.executor.run(rng.randrange(3))
                row.close()
                written = True
            except (PowerFailure, StorageFailed):
                pass
            place.disk.on_step = None
            place.disk.power_failure()
            row = place.open(create=not created, size=3000)
            found = scan(row)
            kept = {key: value for key, value in found.items() if key not in told.forgotten}
            now = {key: value for key, value in told.content.items() if key not in told.forgotten}
            then = {key: value for key, value in before.items() if key not in told.forgotten}
            assert kept in (now, then), step
            row.put(b"I", seal(b"I", b"goes on"), sync=True)
            place.executor.run()
            row.close()
            place.disk.power_failure()
            assert scan(place.open())[b"I"] == seal(b"I", b"goes on")
            if written:
                break
        assert step > 100
