"""The next segment is made as soon as it can be, and one that cannot be closed stays open; the one in use grows.

Only a segment that is full ends a row that has no next one. What cannot be made may be for want of room or descriptors,
or for any other reason: nothing is in it yet.
"""

from __future__ import annotations

import errno
from collections import Counter
from pathlib import Path, PurePath
from random import Random

import pytest

from raftpy.contracts.errors import StorageFailed
from raftpy.contracts.files import OpenMode
from raftpy.sim.disk.database import SimulatedEngine
from raftpy.sim.disk.faults import DiskFaults
from raftpy.sim.disk.files import Disk, DiskFile, DiskFiles
from raftpy.sim.entropy import SeededEntropy
from raftpy.storage import LevelDBStorage
from raftpy.storage.leveldb import keys, row
from raftpy.storage.leveldb.row import SegmentRow
from raftpy.storage.leveldb.segment import name_of, segments
from raftpy.storage.leveldb.wal import write_ahead_files
from raftpy.system.files import SystemFiles
from tests.storage.descriptors import SEGMENT, Refusing, RefusingFiles, no_descriptors
from tests.storage.late import LateExecutor
from tests.storage.rows import ROW, Simulated, open_real, record, scan
from tests.storage.support import EVERYTHING, OWNER, abandon, append, entries, submit


class TestTheNextSegment:
    def full(self, there: Refusing) -> None:
        """Nothing more can be made on the disk, and what is set aside can be written."""
        there.files.number, there.files.mode = errno.ENOSPC, "share"  # LevelDB's lock

    @pytest.mark.parametrize("earlier", [0, 1])
    def test_it_is_tried_again(self, earlier: int) -> None:
        """LevelDB locks it; when it has let go of it, the store does."""
        there = Refusing()
        there.write(3)
        before = segments(there.files, PurePath("/node/segments"))
        self.full(there)
        there.files.before = earlier
        there.write(100)  # several times as much as a segment has
        assert there.files.refused > 3
        (said,) = there.store.damage()
        assert "making segment" in str(said)
        assert "No space left on device" in str(said)
        there.files.number = 0
        there.write(60)
        assert there.store.damage() == []
        assert len(segments(there.files, PurePath("/node/segments"))) > len(before) + 3
        assert there.read() == list(range(1, there.last + 1))
        there.again()
        assert there.read() == list(range(1, there.last + 1))

    def test_its_file_cannot_be_opened_to_be_written(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """When all of it is there: it is opened twice, at first to set room aside."""
        place = Simulated()
        row = place.open(create=True)
        row.put(*record(0, 1), sync=True)
        open_, times = DiskFiles.open, Counter[PurePath]()

        def refusing(files: DiskFiles, path: PurePath, mode: OpenMode) -> DiskFile:
            if mode == "change" and path.parent.name == name_of(2):
                times[path] += 1
                if times[path] in (2, 4):
                    raise OSError(errno.EMFILE, "Too many open files", str(path))
            return open_(files, path, mode)

        monkeypatch.setattr(DiskFiles, "open", refusing)
        for first in range(2, 100):
            place.executor.run()
            assert [str(said) for said in row.damage()] == (
                [f"making segment {ROW / name_of(2)} failed: OSError: [Errno 24] Too many open files: '{path}'"]
                if (path := next(iter(times), None)) and times[path] in (2, 4)
                else []
            )
            row.put(*record(0, first), sync=True)
        assert times.popitem()[1] >= 6
        assert segments(place.files, ROW)[-1] > 2
        assert len(scan(row)) == 99
        row.close()
        assert list(row._files.opened) == []  # type: ignore[attr-defined]

    def test_a_few_attempts_for_each_segment(self) -> None:
        """However many batches there are: an attempt costs a directory and a database."""
        there = Refusing()
        there.write(3)
        self.full(there)
        for index in range(there.last + 1, there.last + 400):
            submit(there.store, [append(entries(index, 1, 1), term=1)])
            there.executor.run()
        newest = there.store._row._newest  # type: ignore[union-attr]
        assert newest.held > 10 * SEGMENT
        assert there.files.refused <= row.TRIES_IN_A_SEGMENT * newest.held / SEGMENT + 1

    def test_a_segment_that_is_full_ends_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(row, "LARGEST_SEGMENT", 10 * SEGMENT)
        there = Refusing()
        there.write(3)
        self.full(there)
        with pytest.raises(StorageFailed, match=r"it is full: making segment .* failed: .*No space left on device"):
            there.write(1000)
        there.files.number = 0
        with pytest.raises(StorageFailed, match="it is full"):  # the handle is dead
            there.write(1)
        acknowledged = there.last
        there.again()
        assert there.recovered.groups[0].last_index == acknowledged
        there.write(100)
        assert there.read() == list(range(1, there.last + 1))

    def test_for_real(self, tmp_path: Path) -> None:
        """Without descriptors no segment is made; what is acknowledged meanwhile is there after kill -9."""
        store = LevelDBStorage(tmp_path / "node", mode="inline", segment_size=SEGMENT)
        store.open(OWNER)
        submit(store, [append(entries(1, 10, 1), term=1)])
        store._row._worker.put(lambda: None)  # type: ignore[union-attr]
        with no_descriptors():
            for first in range(11, 1000, 10):
                submit(store, [append(entries(first, 10, 1), term=1)])
        path = tmp_path / "node" / "segments"
        before = len(segments(SystemFiles(), path))
        for first in range(1001, 2000, 10):
            submit(store, [append(entries(first, 10, 1), term=1)])
        assert len(segments(SystemFiles(), path)) > before
        abandon(store)
        again = LevelDBStorage(tmp_path / "node", mode="inline")
        try:
            assert again.open(OWNER).groups[0].last_index == 2000
            assert again.group(0).entries(1, 2001, EVERYTHING).last == 2000
        finally:
            again.close()


def refusing_row() -> tuple[SegmentRow, RefusingFiles, LateExecutor]:
    """A row with one record, and what is to refuse something from now on."""
    files = RefusingFiles(Simulated().disk)
    executor = LateExecutor()
    there = SegmentRow(
        ROW,
        create=True,
        files=files,
        engine=SimulatedEngine(files),
        executor=executor,
        entropy=SeededEntropy(Random(7)),
        segment_size=SEGMENT,
    )
    there.put(*record(0, 1), sync=True)
    executor.run()
    return there, files, executor


def need_the_newest(row: SegmentRow, executor: LateExecutor, numbers: range) -> None:
    """Writes these records, each of which is the only one needed from then on."""
    for first in numbers:
        batch = row.write_batch(sync=True)
        batch.put(*record(0, first))
        batch.forget_before(keys.entry_key(0, first))
        batch.write()
        executor.run()


class TestClosing:
    @pytest.mark.parametrize("mode", ["read", "change"])
    def test_a_segment_stays_open_until_it_can_be_closed(self, mode: str) -> None:
        there, files, executor = refusing_row()
        files.number, files.mode = errno.EMFILE, mode  # type: ignore[assignment]
        for first in range(2, 30):
            there.put(*record(0, first), sync=True)
            executor.run()
        assert len(there._open) >= 2
        if mode == "read":
            assert len(there._open) > 5, "none could be closed"
        assert there.get(record(0, 1)[0], verify_checksums=True) == record(0, 1)[1], "LevelDB reads it"
        files.number = 0
        for first in range(30, 60):
            there.put(*record(0, first), sync=True)
            executor.run()
        assert len(there._open) == 1, "the newest"
        assert len(scan(there)) == 59
        batch = there.write_batch(sync=True)
        batch.put(*record(0, 60))
        batch.forget_before(keys.entry_key(0, 60))
        batch.write()
        for _ in range(6):
            executor.run()
        assert len(segments(files, ROW)) < 4
        there.close()
        assert list(files.opened) == []

    def test_what_is_needed_no_more_goes_once_it_is_closed(self) -> None:
        """Though it was to be removed while it could not be closed."""
        there, files, executor = refusing_row()
        files.number = errno.EMFILE
        need_the_newest(there, executor, range(2, 60))
        assert len(segments(files, ROW)) > 5
        files.number = 0
        need_the_newest(there, executor, range(60, 80))
        assert len(segments(files, ROW)) < 4
        there.close()

    def test_an_error_of_the_disk_ends_it_as_before(self) -> None:
        there, files, executor = refusing_row()
        files.number = errno.EIO
        with pytest.raises(OSError, match="Input/output error"):
            for first in range(2, 60):
                there.put(*record(0, first), sync=True)
                executor.run()
        there.close()


def test_a_row_on_the_system_that_closed_late_opens_again(tmp_path: Path) -> None:
    """Killed while segments wait to be closed: their room is cut off by the next start."""
    there = open_real(tmp_path, create=True, size=SEGMENT)
    there.put(*record(0, 1), sync=True)
    with no_descriptors():
        for first in range(2, 12):
            there.put(*record(0, first), sync=True)
    for first in range(12, 40):
        there.put(*record(0, first), sync=True)
    there._trouble = StorageFailed("killed")
    there.close()
    again = open_real(tmp_path, size=SEGMENT)
    assert len(scan(again)) == 39
    again.close()
    assert write_ahead_files(SystemFiles(), tmp_path / name_of(1))


class FailsOnce:
    """An input/output error in the place of one of the operations of a simulated disk, the ``step``-th from now on."""

    def __init__(self, disk: Disk, step: int) -> None:
        self.disk = disk
        self.failed = ""
        self._left = step
        disk.on_step = self._on_step

    def _on_step(self, operation: str) -> None:
        self.disk.faults = DiskFaults()
        self._left -= 1
        if self._left != 0:
            return
        self.failed = operation
        if "sync" in operation:
            self.disk.faults = DiskFaults(sync_error=1.0)
        elif operation in ("write", "set aside"):
            self.disk.faults = DiskFaults(write_error=1.0)
        else:
            raise OSError(errno.EIO, "Input/output error")

    def end(self) -> None:
        self.disk.on_step, self.disk.faults = None, DiskFaults()


@pytest.mark.parametrize("seed", range(5))
def test_an_error_of_the_disk_while_it_is_made_costs_that_attempt_alone(seed: int) -> None:
    """EIO from any one call: the segment in use is written on, the next attempt makes everything anew, and what was
    acknowledged outlives the power, also where it is in the segment that was made at last."""
    failed: list[str] = []
    made_though = 0
    while True:
        place = Simulated(seed)
        row = place.open(create=True, size=SEGMENT)
        row.put(*record(0, 1), sync=True)
        disk = FailsOnce(place.disk, len(failed) + 1)
        place.executor.run()
        disk.end()
        if not disk.failed:
            break
        failed.append(disk.failed)
        made_though += row.damage() == []
        row.put(*record(0, 2), sync=True)
        for first in range(3, 60):
            row.put(*record(0, first), sync=True)
            place.executor.run()
        assert row.damage() == []
        assert len(segments(place.files, ROW)) > 4
        place.disk.power_failure()
        again = place.open()
        assert len(scan(again)) == 59, f"after {disk.failed}, step {len(failed)}"
    assert {"make directory", "write", "sync", "rename", "sync directory", "set aside"} <= set(failed)
    assert made_though < len(failed) / 2, "most of them are needed"
