"""A row of segments that is damaged while nobody has it open is refused by name, or is whole."""

from __future__ import annotations

import shutil
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from raftpy.contracts.errors import StorageDamaged, StorageFailed
from raftpy.storage.leveldb.sealing import seal
from raftpy.storage.leveldb.segment import name_of, segments
from raftpy.storage.leveldb.wal_batches import Batches
from raftpy.system.files import SystemFiles
from raftpy.system.leveldb import LevelDB
from tests.storage.layout import batch_ends
from tests.storage.rows import ROW, Simulated, open_real, record, scan


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[bytes, bytes]]:
    """Three segments in use and one made beforehand, as kill -9 leaves them, and what is in them."""
    place = Simulated()
    row = place.open(create=True, size=3200)
    row.put(b"I", seal(b"I", b"identity"), sync=True)
    for first in range(1, 22):
        row.put(*record(0, first, 200), sync=True)
        place.executor.run()
    told = scan(row)
    path = tmp_path_factory.mktemp("row")
    for name, (data, size) in place.disk.copy().files:
        target = path / name.relative_to(ROW)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data + bytes(size - len(data)))
    assert segments(SystemFiles(), path) == [1, 2, 3, 4]
    return path, told


def outcome(path: Path, told: dict[bytes, bytes]) -> str:
    """ "exact", or why the row was refused; anything else is a failure."""
    try:
        row = open_real(path)
    except (StorageDamaged, StorageFailed) as error:
        return str(error)
    try:
        assert scan(row) == told
        return "exact"
    finally:
        row.close()


@pytest.fixture
def copy(sample: tuple[Path, dict[bytes, bytes]], tmp_path: Path) -> Path:
    return shutil.copytree(sample[0], tmp_path / "copy")


class TestDamage:
    def test_none(self, sample: tuple[Path, dict[bytes, bytes]], copy: Path) -> None:
        assert outcome(copy, sample[1]) == "exact"

    @pytest.mark.parametrize("number", [1, 2, 3, 4])
    def test_a_missing_segment(self, sample: tuple[Path, dict[bytes, bytes]], copy: Path, number: int) -> None:
        shutil.rmtree(copy / name_of(number))
        assert "missing" in outcome(copy, sample[1])

    def test_the_newest_two_missing(self, sample: tuple[Path, dict[bytes, bytes]], copy: Path) -> None:
        shutil.rmtree(copy / name_of(4))
        shutil.rmtree(copy / name_of(3))
        assert "missing" in outcome(copy, sample[1])

    def test_all_missing(self, sample: tuple[Path, dict[bytes, bytes]], copy: Path) -> None:
        for number in range(1, 5):
            shutil.rmtree(copy / name_of(number))
        assert "no segment" in outcome(copy, sample[1])

    @pytest.mark.parametrize("number", [1, 2, 3, 4])
    @pytest.mark.parametrize("empty", [False, True])
    def test_a_missing_or_empty_file(
        self, sample: tuple[Path, dict[bytes, bytes]], tmp_path: Path, number: int, empty: bool
    ) -> None:
        for file in sorted((sample[0] / name_of(number)).iterdir()):
            copy = shutil.copytree(sample[0], tmp_path / file.name)
            target = copy / file.relative_to(sample[0])
            target.write_bytes(b"") if empty else target.unlink()
            assert (outcome(copy, sample[1]) == "exact") == (file.suffix != ".log"), file

    def test_any_flipped_bit_of_what_was_written(
        self, sample: tuple[Path, dict[bytes, bytes]], tmp_path: Path, seed: int
    ) -> None:
        rng = Random(seed)
        copy = shutil.copytree(sample[0], tmp_path / "copy")
        files = sorted(copy.rglob("*.log"))
        for round_ in range(250):
            file = rng.choice(files)
            data = file.read_bytes()
            size = len(data.rstrip(b"\0"))
            at = round_ % size if round_ < 60 else rng.randrange(size)
            bit = rng.randrange(8)
            file.write_bytes(data[:at] + bytes((data[at] ^ 1 << bit,)) + data[at + 1 :])
            assert outcome(copy, sample[1]) != "exact", (file, at, bit)
            file.write_bytes(data)
            assert segments(SystemFiles(), copy) == [1, 2, 3, 4]

    @pytest.mark.parametrize("number", [1, 2])
    def test_a_closed_segment_cut_off(
        self, sample: tuple[Path, dict[bytes, bytes]], tmp_path: Path, number: int
    ) -> None:
        (file,) = (sample[0] / name_of(number)).glob("*.log")
        data = file.read_bytes().rstrip(b"\0")
        for left in (0, 20, 60, len(data) - 1):
            copy = shutil.copytree(sample[0], tmp_path / str(left))
            (copy / file.relative_to(sample[0])).write_bytes(data[:left])
            assert outcome(copy, sample[1]) != "exact", left

    @pytest.mark.parametrize("number", [1, 2])
    def test_a_closed_segment_that_ends_with_an_earlier_batch(
        self, sample: tuple[Path, dict[bytes, bytes]], tmp_path: Path, number: int
    ) -> None:
        """Every record of LevelDB's that is left is whole: only the segment behind it tells that others were there."""
        (file,) = (sample[0] / name_of(number)).glob("*.log")
        data = file.read_bytes()
        *ends, whole = batch_ends(data)
        assert len(ends) > 3
        for end in ends:
            for zeros in (0, whole - end):
                copy = shutil.copytree(sample[0], tmp_path / f"{end}-{zeros}")
                (copy / file.relative_to(sample[0])).write_bytes(data[:end] + bytes(zeros))
                assert outcome(copy, sample[1]) != "exact", end

    def test_a_closed_segment_that_goes_on_behind_its_end(
        self, sample: tuple[Path, dict[bytes, bytes]], copy: Path
    ) -> None:
        """As one of a row that went on differently does."""
        (file,) = (copy / name_of(1)).glob("*.log")
        data = file.read_bytes()
        *_, whole = batch_ends(data)
        batches = Batches(data, whole)
        database = LevelDB().open(copy / "aside", create=True, write_buffer_size=1 << 20)
        for writes in batches:
            batch = database.write_batch(sync=True)
            for key, offset, size in writes:
                batch.put(key, batches.value(offset, size))
            batch.write()
        database.put(*record(0, 100), sync=True)
        database.close()
        (longer,) = (copy / "aside").glob("*.log")
        assert longer.read_bytes()[:whole] == data[:whole]
        file.write_bytes(longer.read_bytes())
        assert "they ended at byte" in outcome(copy, sample[1])

    @pytest.mark.parametrize("starts", [1, 3])
    def test_a_segment_that_a_start_has_made_says_where_the_one_before_it_ended(self, starts: int) -> None:
        """Also where segments that nobody has used lie between them, and where a crash has left part of a batch."""
        for boundary in range(3):
            place = Simulated()
            row = place.open(create=True)
            for first in range(1, 6):
                row.put(*record(0, first), sync=True)
            place.disk.kill()
            (path,) = [path for path in place.disk.paths() if path.parent.name == name_of(1) and path.suffix == ".log"]
            for _ in range(starts):
                place.open()  # and it ends before it has written anything
                place.disk.kill()
            row = place.open()
            row.put(*record(0, 6), sync=True)
            place.disk.kill()
            data = place.files.read(path)
            end = batch_ends(data)[-2 - boundary]
            assert len(scan(place.open())) == 6
            place.disk.kill()
            place.disk.rewrite(path, data[:end])
            with pytest.raises(StorageDamaged, match="they ended at byte"):
                place.open()

    @pytest.mark.parametrize("number", [1, 2, 3])
    def test_a_batch_taken_out(self, sample: tuple[Path, dict[bytes, bytes]], tmp_path: Path, number: int) -> None:
        """Also the one that opens a segment: the writes of a file are numbered without a gap."""
        (file,) = (sample[0] / name_of(number)).glob("*.log")
        data = file.read_bytes()
        header, *ends = batch_ends(data)
        assert ends[-1] < 32768, "all are in one block, and may be moved"
        for begin, end in pairwise([header, *ends]):
            copy = shutil.copytree(sample[0], tmp_path / str(end))
            (copy / file.relative_to(sample[0])).write_bytes(data[:begin] + data[end : ends[-1]])
            if end != ends[-1]:
                assert "not numbered" in outcome(copy, sample[1])
            elif number != 3:  # of the newest one it is not missed
                assert "they ended at" in outcome(copy, sample[1])

    def test_a_segment_of_another_row(self, sample: tuple[Path, dict[bytes, bytes]], tmp_path: Path) -> None:
        (tmp_path / "other").mkdir()
        other = open_real(tmp_path / "other", create=True, size=3000)
        first = 0
        while len(segments(SystemFiles(), tmp_path / "other")) < 3:
            first += 1
            other.put(*record(0, first, 200), sync=True)
        other.close()
        copy = shutil.copytree(sample[0], tmp_path / "copy")
        shutil.rmtree(copy / name_of(2))
        shutil.copytree(tmp_path / "other" / name_of(2), copy / name_of(2))
        assert "another store" in outcome(copy, sample[1])

    def test_a_segment_under_anothers_number(self, sample: tuple[Path, dict[bytes, bytes]], copy: Path) -> None:
        (copy / name_of(2)).rename(copy / "aside")
        (copy / name_of(1)).rename(copy / name_of(2))
        (copy / "aside").rename(copy / name_of(1))
        assert "it is segment 2" in outcome(copy, sample[1])
