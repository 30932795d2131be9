"""Write-ahead files read without LevelDB: beside LevelDB and the double, which write them and read them themselves."""

from __future__ import annotations

import shutil
from pathlib import Path, PurePath
from random import Random

import pytest

from raftcore.wire.codec import crc32c
from raftpy.contracts.database import DatabaseEngine
from raftpy.contracts.files import Files
from raftpy.sim.disk.database import SimulatedEngine
from raftpy.sim.disk.files import Disk
from raftpy.sim.disk.leveldb.batches import pack
from raftpy.sim.disk.leveldb.records import fragments
from raftpy.storage.leveldb.wal import write_ahead_files
from raftpy.storage.leveldb.wal_batches import DELETED, Batches, MalformedBatch, stored_size, value_in
from raftpy.storage.leveldb.wal_records import BLOCK, WHOLE, survey
from raftpy.system.files import SystemFiles
from raftpy.system.leveldb import LevelDB

Write = tuple[bytes, bytes | None]

BUFFER = 1 << 28
"""So that nothing becomes a table."""


def place(kind: str, directory: Path) -> tuple[DatabaseEngine, Files, PurePath]:
    """An engine, its file system, and where to put a database."""
    if kind == "leveldb":
        return LevelDB(), SystemFiles(), directory / "db"
    files = Disk(Random(1)).files()
    return SimulatedEngine(files), files, PurePath("/db")


def written(engine: DatabaseEngine, files: Files, path: PurePath, batches: list[list[Write]]) -> bytes:
    """The write-ahead file of a new database into which they were written."""
    database = engine.open(path, create=True, write_buffer_size=BUFFER)
    for writes in batches:
        batch = database.write_batch(sync=True)
        for key, value in writes:
            batch.delete(key) if value is None else batch.put(key, value)
        batch.write()
    database.close()
    (file,) = write_ahead_files(files, path)
    return files.read(file)


def read(data: bytes) -> tuple[list[list[Write]], int]:
    """All batches of a file, as they were written, and where they end."""
    batches = Batches(data, survey(data)[1])
    found = [
        [(key, None if size == DELETED else batches.value(offset, size)) for key, offset, size in writes]
        for writes in batches
    ]
    return found, batches.end


def drawn(rng: Random, count: int) -> list[list[Write]]:
    """Batches of all sizes, with keys and values that end at, before and behind the ends of blocks."""
    sizes = [0, 1, 5, 100, 127, 128, 4000, BLOCK - 40, BLOCK - 7, BLOCK, 3 * BLOCK, 5 * BLOCK + 1]
    batches: list[list[Write]] = []
    for _ in range(count):
        writes: list[Write] = []
        for _ in range(rng.choice((0, 1, 1, 1, 2, 7))):
            key = rng.randbytes(rng.choice((0, 1, 17, 17, 17, 200)))
            value = rng.randbytes(max(0, rng.choice(sizes) + rng.randrange(-8, 9)))
            writes.append((key, rng.choice((value, value, value, None))))
        batches.append(writes)
    return batches


def framed(*pieces: tuple[int, bytes]) -> bytes:
    """Records of these types and contents, with checksums that hold."""
    out = b""
    for kind, piece in pieces:
        crc = crc32c(bytes((kind,)) + piece)
        out += (((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF).to_bytes(4, "little")
        out += len(piece).to_bytes(2, "little") + bytes((kind,)) + piece
    return out


def header(sequence: int, count: int) -> bytes:
    return sequence.to_bytes(8, "little") + count.to_bytes(4, "little")


def framed_all(batches: list[list[Write]]) -> bytes:
    """The file that LevelDB would make of them."""
    out = bytearray()
    sequence = 1
    for writes in batches:
        for fragment in fragments(pack(sequence, writes), len(out)):
            out += fragment
        sequence += len(writes)
    return bytes(out)


def filler(batches: list[list[Write]], distance: int) -> list[Write]:
    """A batch behind these, of a block or two, that ends at this distance from the end of a block."""
    size = BLOCK
    while too_far := (len(framed_all([*batches, [(b"", b"\1" * size)]])) + distance) % BLOCK:
        size += BLOCK - too_far if too_far > BLOCK // 2 else -too_far
    return [(b"", b"\1" * size)]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, list[list[Write]]]:
    """A small file of LevelDB's, with a batch over three blocks, and what is in it."""
    batches: list[list[Write]] = [
        [(b"S", b"header" * 5)],
        [(b"a", b"1"), (b"b", b"two"), (b"a", None)],
        [(b"large", b"\1" * (2 * BLOCK + 100)), (b"c", b"3")],
        [(b"d", b"4\xff")],
    ]
    engine, files, path = place("leveldb", tmp_path_factory.mktemp("sample"))
    return written(engine, files, path, batches), batches


class TestWhatWasWritten:
    @pytest.mark.parametrize("kind", ["leveldb", "simulated"])
    def test_all_of_it_in_order(self, kind: str, tmp_path: Path, seed: int) -> None:
        for round_ in range(6):
            batches = drawn(Random(seed + round_), 25)
            engine, files, path = place(kind, tmp_path / str(round_))
            (tmp_path / str(round_)).mkdir()
            data = written(engine, files, path, batches)
            assert survey(data) == (WHOLE, len(data))
            assert read(data) == (batches, len(data))

    def test_the_double_and_leveldb_write_the_same_file(self, tmp_path: Path, seed: int) -> None:
        batches = drawn(Random(seed), 40)
        assert written(*place("leveldb", tmp_path), batches) == written(*place("simulated", tmp_path), batches)

    def test_what_leveldb_reads(self, tmp_path: Path, seed: int) -> None:
        """LevelDB, opening the same files, finds under each key what was written last."""
        batches = drawn(Random(seed), 30)
        engine, files, path = place("leveldb", tmp_path)
        data = written(engine, files, path, batches)
        last = {key: value for writes in read(data)[0] for key, value in writes}
        shutil.copytree(path, tmp_path / "copy")
        database = engine.open(tmp_path / "copy", create=False, write_buffer_size=BUFFER)
        scan = database.iterator(start=b"", stop=b"\xff" * 201, verify_checksums=True, fill_cache=False)
        assert dict(scan) == {key: value for key, value in last.items() if value is not None}
        database.close()

    def test_space_behind_it(self, sample: tuple[bytes, list[list[Write]]]) -> None:
        data, batches = sample
        for space in (1, 6, 7, 100, 3 * BLOCK):
            assert read(data + bytes(space)) == (batches, len(data))

    def test_all_places_near_the_ends_of_blocks(self, tmp_path: Path) -> None:
        """A batch that begins at each distance from the end of a block, with values that end at each."""
        batches: list[list[Write]] = []
        for distance in range(45):
            batches.append(filler(batches, distance))
            assert len(framed_all(batches)) % BLOCK == -distance % BLOCK
            batches.append([(b"a", b"2" * 300), (b"b", b"3" * (BLOCK + 7 * distance)), (b"c", b"4"), (b"", b"\1")])
        data = framed_all(batches)
        assert data == written(*place("leveldb", tmp_path), batches)
        assert read(data) == (batches, len(data))
        for count in range(120):
            writes: list[Write] = [(b"k", b"5" * (BLOCK - 7 - 12 - 60)), (b"", b"6" * count), (b"\1", b"7" * 20)]
            data = framed_all([writes, writes])
            assert read(data) == ([writes, writes], len(data))
        for count in range(-20, 20):
            writes = [(b"", b"8" * (2 * (BLOCK - 7) + count))]
            data = framed_all([writes, writes])
            assert read(data) == ([writes, writes], len(data))

    def test_nothing(self) -> None:
        assert read(b"") == ([], 0)
        assert read(bytes(BLOCK)) == ([], 0)

    def test_where_values_lie(self, tmp_path: Path, seed: int) -> None:
        """Of the file only the bytes that hold a value are needed to read it."""
        batches = drawn(Random(seed), 40)
        data = written(*place("leveldb", tmp_path), batches)
        found = [write for writes in Batches(data, len(data)) for write in writes]
        expected = [write for writes in batches for write in writes]
        assert len(found) == len(expected)
        for (key, offset, size), (written_key, value) in zip(found, expected, strict=True):
            assert key == written_key
            if value is None:
                assert size == DELETED
            else:
                stored = data[offset : offset + stored_size(offset, size)]
                assert value_in(stored, offset, size) == value

    def test_values_that_are_none(self, sample: tuple[bytes, list[list[Write]]]) -> None:
        data, _ = sample
        batches = Batches(data, len(data))
        for offset, size in ((-1, 1), (0, -1), (len(data), 1), (len(data) - 3, 4), (7, 2**62)):
            with pytest.raises(ValueError, match="value"):
                batches.value(offset, size)
        with pytest.raises(ValueError, match="do not hold"):
            value_in(b"123", 7, 4)
        for end in (-1, len(data) + 1):
            with pytest.raises(ValueError, match="no place"):
                Batches(data, end)


class TestDamage:
    def test_every_beginning(self, sample: tuple[bytes, list[list[Write]]]) -> None:
        """A file that was cut off anywhere has the batches that end before, each wholly or not at all."""
        data, batches = sample
        ends = [0]
        whole = Batches(data, len(data))
        ends += [whole.end for _ in whole]
        near = {end + distance for end in (*ends, BLOCK, 2 * BLOCK) for distance in range(-9, 10)}
        for cut in sorted({cut for cut in near if 0 <= cut <= len(data)} | set(range(0, len(data), 997))):
            count = sum(end <= cut for end in ends) - 1
            for space in (0, BLOCK):
                found, end = read(data[:cut] + bytes(space))
                assert (found, end) == (batches[:count], ends[count]), cut

    def test_every_flipped_bit(self, sample: tuple[bytes, list[list[Write]]], seed: int) -> None:
        """It is noticed, by the survey of the records; nothing else is ever read."""
        data, batches = sample
        rng = Random(seed)
        bits = {(at, bit) for at in range(300) for bit in range(8)}
        bits |= {(at, bit) for at in range(len(data) - 200, len(data)) for bit in range(8)}
        bits |= {(at, bit) for end in (BLOCK, 2 * BLOCK) for at in range(end - 8, end + 8) for bit in range(8)}
        bits |= {(rng.randrange(len(data)), rng.randrange(8)) for _ in range(1000)}
        for at, bit in sorted(bits):
            damaged = bytearray(data)
            damaged[at] ^= 1 << bit
            verdict, _ = survey(damaged)
            assert verdict != WHOLE, (at, bit)
            found, _ = read(bytes(damaged))
            assert found == batches[: len(found)]

    @pytest.mark.parametrize(
        ("pieces", "what"),
        [
            ([(1, header(1, 1))], "0 writes, and says 1"),
            ([(1, header(1, 0) + b"\0\0")], "1 writes, and says 0"),
            ([(1, header(2, 0))], "not numbered from 1 on"),
            ([(1, header(1, 0)[:-1])], "it has 11 bytes"),
            ([(1, b"")], "it has 0 bytes"),
            ([(1, header(1, 1) + b"\2\0")], "a write of kind 2"),
            ([(1, header(1, 1) + b"\0")], "a length"),
            ([(1, header(1, 1) + b"\0\1")], "a length"),
            ([(1, header(1, 1) + b"\1\0")], "a length"),
            ([(1, header(1, 1) + b"\1\1k\2v")], "a length"),
            ([(1, header(1, 1) + b"\0\xff\xff\xff\xff\xff\1")], "a length"),
            ([(1, header(1, 1) + b"\0\xff\xff\xff\xff\x7f")], "a length"),
            ([(3, header(1, 0))], "type 3 before a batch"),
            ([(4, header(1, 0))], "type 4 before a batch"),
            ([(0, header(1, 0))], "type 0 before a batch"),
            ([(5, header(1, 0))], "type 5 before a batch"),
            ([(2, bytes(BLOCK - 7)), (1, header(1, 0))], "type 1 in a batch"),
            ([(2, bytes(BLOCK - 7)), (2, header(1, 0))], "type 2 in a batch"),
            ([(2, header(1, 0)), (4, b"")], "before the end of its block"),
        ],
    )
    def test_no_batches(self, pieces: list[tuple[int, bytes]], what: str) -> None:
        """The checksums hold, so nobody but a broken program has written it."""
        data = framed(*pieces)
        with pytest.raises(MalformedBatch, match=what):
            list(Batches(data, len(data)))

    def test_a_batch_that_is_not_there(self, tmp_path: Path) -> None:
        """Taken out of the middle, it is missed: the writes of a file are numbered."""
        batches: list[list[Write]] = [[(b"a", b"1\xff")], [(b"b", b"2\xff")], [(b"c", b"3\xff")]]
        data = written(*place("leveldb", tmp_path), batches)
        third = len(data) // 3
        assert survey(data[:third] + data[2 * third :]) == (WHOLE, 2 * third)
        found = Batches(data[:third] + data[2 * third :], 2 * third)
        assert len(next(found)) == 1
        with pytest.raises(MalformedBatch, match="not numbered from 2 on"):
            next(found)
        assert (found.end, found.sequence) == (third, 2)
