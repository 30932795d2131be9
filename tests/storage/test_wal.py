"""Write-ahead files: where their records end, what a crash may leave there, and the space set aside in them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePath
from random import Random

import pytest

from raftpy.contracts.errors import StorageDamaged
from raftpy.contracts.files import Files
from raftpy.storage import LevelDBStorage
from raftpy.storage.leveldb.floor import Floor
from raftpy.storage.leveldb.row import room_of
from raftpy.storage.leveldb.wal import check_manifest, check_write_ahead, set_aside, write_ahead_files
from raftpy.storage.leveldb.wal_records import BLOCK, BROKEN, LENGTH, TORN, WHOLE, survey, whole_until
from raftpy.system.leveldb import LevelDB
from raftpy.system.space import set_aside as system_set_aside
from tests.storage.layout import log_files, newest_file
from tests.storage.support import FILES, OWNER, SMALLEST_BUFFER, Disk, abandon, append, entries, joined, submit

SPACE = bytes(2 * BLOCK)


def records(data: bytes) -> Iterator[tuple[int, int]]:
    """(start, stop) of each record, by LevelDB's doc/log_format.md; ``data`` has nothing but records."""
    offset = 0
    while offset < len(data):
        if BLOCK - offset % BLOCK < 7:
            offset += BLOCK - offset % BLOCK
            continue
        stop = offset + 7 + int.from_bytes(data[offset + 4 : offset + 6], "little")
        yield offset, stop
        offset = stop


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What a store has written since its start: small batches, one of many records, and one over three blocks."""
    disk = Disk("leveldb", tmp_path_factory.mktemp("wal") / "node1")
    store, _ = disk.open()
    submit(store, [append(entries(1, 1, 1), term=1, vote=1)])
    submit(store, [append(joined(*(entries(index, 1, 1) for index in range(2, 40))))])
    submit(store, [append(term=2, vote=3)])
    submit(store, [append(entries(40, 8000, 2))])
    submit(store, [append(entries(8040, 2, 2), term=2, vote=3, commit=8039)])
    abandon(store)
    data = newest_file(disk.path).read_bytes().rstrip(b"\0")
    assert len(data) > 2 * BLOCK
    return data


class TestSurvey:
    @pytest.mark.parametrize("size", [0, 1, 6, 7, 100, BLOCK, BLOCK + 3, 3 * BLOCK])
    def test_nothing_written_yet(self, size: int) -> None:
        assert survey(bytes(size)) == (WHOLE, 0)

    @pytest.mark.parametrize("space", [0, 1, 6, 7, 8, 1000, BLOCK, 5 * BLOCK])
    def test_everything_is_there(self, written: bytes, space: int) -> None:
        assert survey(written + bytes(space)) == (WHOLE, len(written))

    @pytest.mark.parametrize("space", [b"", SPACE], ids=["shorter", "zeros"])
    def test_every_beginning(self, written: bytes, space: bytes, seed: int) -> None:
        """Cut off anywhere, the whole records before are found, and nothing is accused."""
        ends = list(records(written))
        near = {at + d for start, stop in ends for at in (start, stop) for d in range(-9, 10)}
        cuts = [at for at in near if 0 <= at < len(written)] + Random(seed).sample(range(len(written)), 300)
        for cut in sorted(cuts):
            data = written[:cut] + space + bytes(len(written) - cut if space else 0)
            verdict, end = survey(data)
            assert verdict in (WHOLE, TORN), cut
            # A record whose cut-off part was zeros is there all the same.
            whole = [stop for _, stop in ends if data[:stop] == written[:stop]]
            assert 0 <= end - (whole[-1] if whole else 0) < 7, cut  # a block's last bytes are padding

    @pytest.mark.parametrize("space", [b"", SPACE])
    def test_piece_by_piece_it_says_the_same(self, written: bytes, space: bytes, seed: int) -> None:
        """Whatever is wrong, and wherever the pieces end that it is read in."""
        dice = Random(seed)
        for _ in range(200):
            data = bytearray(written + space)
            if dice.random() < 0.8:
                data[dice.randrange(len(written))] ^= 1 << dice.randrange(8)
            if dice.random() < 0.5:
                del data[dice.randrange(len(data)) :]
            whole = 0
            for read in sorted(dice.randrange(len(data) + 1) for _ in range(dice.randrange(8))):
                before, whole = whole, whole_until(data[:read], whole)
                assert before <= whole <= read
            assert survey(data, whole) == survey(data)
        assert whole_until(written, 0) > len(written) - BLOCK - 1
        for wrong in (-1, len(written) + 1):
            with pytest.raises(ValueError, match="no place"):
                survey(written, wrong)
            with pytest.raises(ValueError, match="no place"):
                whole_until(written, wrong)

    def test_a_flipped_bit_is_never_taken_for_a_beginning(self, written: bytes, seed: int) -> None:
        """Every bit of the last two batches' record headers and last bytes, and some of everything else."""
        ends = list(records(written))
        rng = Random(seed)
        bits = {
            (at, bit) for start, stop in ends[-6:] for at in (*range(start, start + 7), stop - 1) for bit in range(8)
        }
        bits |= {(rng.randrange(len(written)), rng.randrange(8)) for _ in range(1000)}
        bits |= {(rng.randrange(ends[-1][0], len(written)), rng.randrange(8)) for _ in range(300)}
        for at, bit in sorted(bits):
            data = bytearray(written + SPACE)
            data[at] ^= 1 << bit
            verdict, _ = survey(data)
            assert verdict in (LENGTH, BROKEN), (at, bit)

    def test_a_damaged_length_at_the_end_of_the_file(self, written: bytes) -> None:
        """LevelDB would take it for a torn write."""
        start, _ = list(records(written))[-1]
        for bit in range(3, 16):
            data = bytearray(written)
            data[start + 4 + bit // 8] ^= 1 << bit % 8
            length = int.from_bytes(data[start + 4 : start + 6], "little")
            if start + 7 + length > len(data):
                assert survey(data) == (LENGTH, start)

    def test_a_torn_record_is_no_damaged_length(self) -> None:
        data = b"\1\2\3\4" + (500).to_bytes(2, "little") + b"\1" + b"x" * 400
        assert survey(data) == (TORN, 0)
        assert survey(data + bytes(2000)) == (TORN, 0)
        assert survey(data + b"x" * 100) == (BROKEN, 0)

    def test_something_behind_what_was_never_written(self, written: bytes) -> None:
        assert survey(written + bytes(100) + b"x" + bytes(100)) == (BROKEN, len(written))


class TestCheck:
    def test_no_file(self, tmp_path: Path) -> None:
        (tmp_path / "000001.ldb").write_bytes(b"")
        with pytest.raises(StorageDamaged, match="write-ahead file"):
            check_write_ahead(FILES, tmp_path)

    def test_a_torn_write_is_cut_off(self, tmp_path: Path, written: bytes) -> None:
        path = tmp_path / "000007.log"
        start, _ = list(records(written))[-1]
        for left in (written[:-5], written[:-5] + SPACE):
            path.write_bytes(left)
            check_write_ahead(FILES, tmp_path)
            assert path.read_bytes() == written[:start]

    def test_only_the_newest_can_be_torn(self, tmp_path: Path, written: bytes) -> None:
        """LevelDB begins a file only when everything in the one before is synced. Names sort as numbers."""
        older, newer = tmp_path / "999999.log", tmp_path / "1000000.log"
        assert write_ahead_files(FILES, tmp_path) == []
        older.write_bytes(written + SPACE)
        newer.write_bytes(written[:-1])
        assert write_ahead_files(FILES, tmp_path) == [older, newer]
        check_write_ahead(FILES, tmp_path)
        assert older.read_bytes() == written
        older.write_bytes(written[:-1])
        with pytest.raises(StorageDamaged, match=r"999999\.log is damaged: the record at byte"):
            check_write_ahead(FILES, tmp_path)

    def test_a_torn_file_and_a_newer_one_with_nothing_in_it(self, tmp_path: Path, written: bytes) -> None:
        """A start cut the older one and LevelDB began the newer; the power failed, and only the newer's name stayed."""
        older = tmp_path / "000007.log"
        for newer in (b"", SPACE):
            older.write_bytes(written[:-1])
            (tmp_path / "000009.log").write_bytes(newer)
            check_write_ahead(FILES, tmp_path)
            assert len(older.read_bytes()) < len(written) - 1

    def test_other_files_are_not_looked_at(self, tmp_path: Path, written: bytes) -> None:
        path = tmp_path / "000007.log"
        path.write_bytes(written)
        (tmp_path / "console.log").write_bytes(b"hello")
        check_write_ahead(FILES, tmp_path)
        assert (tmp_path / "console.log").read_bytes() == b"hello"
        assert path.read_bytes() == written

    def test_damage_stays_as_it_is(self, tmp_path: Path, written: bytes) -> None:
        path = tmp_path / "000007.log"
        data = bytearray(written + SPACE)
        data[len(written) - 1] ^= 1
        path.write_bytes(data)
        with pytest.raises(StorageDamaged, match="the record at byte"):
            check_write_ahead(FILES, tmp_path)
        assert path.read_bytes() == data


class TestManifest:
    """Of a database as a data directory of format 2 has it."""

    @pytest.fixture
    def manifest(self, tmp_path: Path) -> Path:
        """The manifest of a database with several tables."""
        database = LevelDB().open(tmp_path / "leveldb", create=True, write_buffer_size=SMALLEST_BUFFER)
        for number in range(300):
            database.put(b"%d" % number, bytes(2000), sync=False)
        database.close()
        LevelDB().open(tmp_path / "leveldb", create=False, write_buffer_size=SMALLEST_BUFFER).close()
        return tmp_path / "leveldb" / (tmp_path / "leveldb" / "CURRENT").read_text().strip()

    def test_a_length_that_was_damaged(self, manifest: Path) -> None:
        """LevelDB would leave the record and the tables named in it out."""
        data = manifest.read_bytes()
        check_manifest(FILES, manifest.parent)
        damaged = 0
        for start, stop in list(records(data))[-3:]:
            for bit in range(16):
                flipped = bytearray(data)
                flipped[start + 4 + bit // 8] ^= 1 << bit % 8
                if int.from_bytes(flipped[start + 4 : start + 6], "little") > stop - start - 7:
                    manifest.write_bytes(flipped)
                    with pytest.raises(StorageDamaged, match="MANIFEST-"):
                        check_manifest(FILES, manifest.parent)
                    damaged += 1
        assert damaged > 10

    def test_a_torn_record_is_leveldbs_to_leave_out(self, manifest: Path) -> None:
        data = manifest.read_bytes() + b"\1\2\3\4" + (500).to_bytes(2, "little") + b"\1" + b"x" * 400
        manifest.write_bytes(data)
        check_manifest(FILES, manifest.parent)
        assert manifest.read_bytes() == data


class TestFirstStart:
    def test_a_power_failure_in_the_very_first_start(self, tmp_path: Path) -> None:
        """It may leave any of what was written; nothing was promised to anybody yet."""
        disk = Disk("leveldb", tmp_path / "node1")
        store, _ = disk.open()
        store.close()
        file = newest_file(disk.path)
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
        with pytest.raises(StorageDamaged):
            disk.open()
        floor = Floor.read(FILES, disk.path)
        assert floor is not None
        Floor(floor.store_id).write(FILES, disk.path)  # as it is until the first start is through
        assert disk.open()[1].store_id == floor.store_id


class TestSpaceAhead:
    def test_every_segment_gets_it_and_a_clean_close_cuts_it_off(self, tmp_path: Path) -> None:
        path = tmp_path / "node1"
        store = LevelDBStorage(path, segment_size=SMALLEST_BUFFER)
        store.open(OWNER)
        assert log_files(path)[0].stat().st_size == room_of(SMALLEST_BUFFER)
        last, seen = 0, set()
        while len(seen) < 4:
            submit(store, [append(entries(last + 1, 1000, 1))])
            last += 1000
            newest = log_files(path)[-1]
            if newest.stat().st_size == room_of(SMALLEST_BUFFER):
                seen.add(newest.parent.name)
        store.close()
        for file in log_files(path):
            data = file.read_bytes()
            assert survey(data) == (WHOLE, len(data))
            assert not data.endswith(b"\0")

    def test_what_is_written_stays(self, tmp_path: Path) -> None:
        path = tmp_path / "000001.log"
        path.write_bytes(b"written")
        set_aside(FILES, path, 100_000)
        assert path.read_bytes() == b"written" + bytes(100_000 - 7)
        set_aside(FILES, path, 50)
        assert path.stat().st_size == 100_000

    def test_where_room_is_short(self, tmp_path: Path) -> None:
        """A file system that runs full takes the last room before it says so."""
        path = tmp_path / "000001.log"
        path.write_bytes(b"written")
        room = os.statvfs(tmp_path)
        set_aside(FILES, path, room.f_bavail * room.f_frsize // 4)
        assert path.read_bytes() == b"written"

    def test_a_clean_close_cuts_before_it_writes_the_floor(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The floor may need the room."""
        store, _ = Disk("leveldb", tmp_path / "node1").open()
        sizes = []
        write = Floor.write

        def noting(floor: Floor, files: Files, directory: PurePath) -> None:
            sizes.extend(file.stat().st_size for file in log_files(Path(directory)))
            write(floor, files, directory)

        monkeypatch.setattr(Floor, "write", noting)
        store.close()
        assert sizes
        assert max(sizes) < 1000

    def test_where_it_cannot_be_done(self) -> None:
        reading, writing = os.pipe()
        assert not system_set_aside(writing, 100)
        os.close(reading)
        os.close(writing)
