"""The contract of databases, of the double and of LevelDB: ``raftpy.contracts.database``, and what both make of files
that something has happened to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePath
from random import Random

import pytest

from raftpy.contracts.database import Database, DatabaseEngine
from raftpy.contracts.files import Files
from raftpy.sim.disk.database import SimulatedEngine
from raftpy.sim.disk.faults import DiskFaults
from raftpy.sim.disk.files import Disk
from raftpy.sim.disk.image import DiskImage, FileImage
from raftpy.storage.leveldb.wal import write_ahead_files
from raftpy.storage.leveldb.wal_records import WHOLE, survey
from raftpy.system.files import SystemFiles
from raftpy.system.leveldb import LevelDB
from tests.sim.disk.both import BUFFER, disk_of, fresh, judge, judge_both, kind, read_image, work, write_image

__all__ = ["work"]

PATH = PurePath("/db")
KEYS = tuple(b"k%03d" % number for number in range(200))


class Place:
    """An engine, the files it is on, and the directory of a database in them."""

    def __init__(self, engine: DatabaseEngine, files: Files, path: PurePath) -> None:
        self.engine = engine
        self.files = files
        self.path = path

    def open(self, *, create: bool = True) -> Database:
        return self.engine.open(self.path, create=create, write_buffer_size=BUFFER)

    def put(self, name: str, data: bytes) -> None:
        file = self.files.open(self.path / name, "rewrite")
        file.write(data)
        file.close()

    def current(self) -> str:
        return self.files.read(self.path / "CURRENT").decode().strip()


@pytest.fixture(params=["simulated", "leveldb"])
def place(request: pytest.FixtureRequest, work: Path) -> Place:
    if request.param == "simulated":
        files = Disk(Random(1)).files()
        return Place(SimulatedEngine(files), files, PATH)
    return Place(LevelDB(), SystemFiles(), work / "db")


def scan(database: Database, start: bytes = b"", stop: bytes = b"\xff") -> list[tuple[bytes, bytes]]:
    return list(database.iterator(start=start, stop=stop, verify_checksums=True, fill_cache=False))


def get(database: Database, key: bytes) -> bytes | None:
    return database.get(key, verify_checksums=True)


class TestContract:
    def test_a_batch(self, place: Place) -> None:
        database = place.open()
        batch = database.write_batch(sync=True)
        batch.put(b"a", b"1")
        batch.put(b"b", b"")
        batch.put(b"a", b"2")
        batch.put(b"c", b"3")
        batch.delete(b"c")
        batch.delete(b"never")
        assert get(database, b"a") is None
        batch.write()
        expected = [(b"a", b"2"), (b"b", b"")]
        assert (scan(database), get(database, b"c")) == (expected, None)
        database.put(b"a", b"9", sync=True)
        batch.write()  # what is in it stays in it
        assert scan(database) == expected
        batch.clear()
        batch.write()
        batch.put(b"d", b"4")
        batch.write()
        database.close()
        assert scan(place.open(create=False)) == [*expected, (b"d", b"4")]

    def test_an_iterator_is_of_the_moment_and_has_its_bounds(self, place: Place) -> None:
        database = place.open()
        for key in (b"b", b"d", b"a", b"c", b"\xff\xff"):
            database.put(key, key, sync=True)
        iterator = database.iterator(start=b"b", stop=b"d", verify_checksums=True, fill_cache=False)
        database.put(b"bb", b"later", sync=True)
        assert list(iterator) == [(b"b", b"b"), (b"c", b"c")]
        assert scan(database, b"bb", b"bc") == [(b"bb", b"later")]
        assert scan(database, b"x", b"a") == []
        database.close()

    def test_it_is_made_only_where_that_is_asked_for(self, place: Place) -> None:
        with pytest.raises(place.engine.Error) as caught:
            place.open(create=False)
        assert place.engine.is_damage(caught.value)
        assert not place.engine.is_locked(caught.value)
        assert "does not exist" in place.engine.text(caught.value)
        place.open().close()
        place.open(create=False).close()

    def test_its_parent_must_be_there(self, place: Place) -> None:
        with pytest.raises(place.engine.Error) as caught:
            place.engine.open(place.path / "in" / "it", create=True, write_buffer_size=BUFFER)
        assert kind(place.engine, caught.value) == "damaged"  # LevelDB's word for it is NotFound

    def test_one_has_it_open(self, place: Place) -> None:
        database = place.open()
        with pytest.raises(place.engine.Error) as caught:
            place.open()
        assert place.engine.is_locked(caught.value)
        assert not place.engine.is_damage(caught.value)
        database.put(b"a", b"1", sync=True)
        database.close()
        database = place.open()
        assert get(database, b"a") == b"1"
        database.close()

    def test_closing_writes_nothing_and_can_be_done_again(self, place: Place) -> None:
        database = place.open()
        database.put(b"a", b"1", sync=True)
        paths = [place.path / name for name in place.files.names(place.path) if not name.startswith("LOG")]
        before = {path: place.files.read(path) for path in paths}
        database.close()
        database.close()
        assert {path: place.files.read(path) for path in paths} == before
        for call in (
            lambda: get(database, b"a"),
            lambda: database.put(b"a", b"2", sync=True),
            lambda: scan(database),
        ):
            with pytest.raises(RuntimeError, match="closed"):
                call()

    def test_its_files_have_the_form_that_a_start_looks_for(self, place: Place) -> None:
        database = place.open()
        for number in range(300):
            database.put(b"%03d" % number, bytes(number % 250) + b"x", sync=True)
        newest = write_ahead_files(place.files, place.path)[-1]
        written = place.files.read(newest)
        database.close()
        assert survey(written) == (WHOLE, len(written))
        manifest = place.files.read(place.path / place.current())
        assert survey(manifest) == (WHOLE, len(manifest))
        # Zeros behind the records, and a cut behind the last whole one, do no harm.
        place.put(newest.name, written + bytes(100_000))
        database = place.open(create=False)
        assert len(scan(database)) == 300
        database.close()

    @pytest.mark.parametrize("more", [0, 3, 10])
    def test_the_beginning_of_a_record_is_left_out(self, place: Place, more: int) -> None:
        database = place.open()
        database.put(b"a", b"1", sync=True)
        (path,) = write_ahead_files(place.files, place.path)
        whole = len(place.files.read(path))
        database.put(b"b", b"2", sync=True)
        written = place.files.read(path)
        database.close()
        place.put(path.name, written[: whole + more])
        database = place.open(create=False)
        assert scan(database) == [(b"a", b"1")]
        database.close()

    def test_many_writes_make_files_of_their_own(self, place: Place) -> None:
        database = place.open()
        (first,) = write_ahead_files(place.files, place.path)
        rng = Random(1)
        expected = {}
        for _ in range(40):
            batch = database.write_batch(sync=True)
            for _ in range(10):
                key, value = rng.choice(KEYS), rng.randbytes(1000)
                batch.put(key, value)
                expected[key] = value
            batch.write()
        assert write_ahead_files(place.files, place.path)[-1] != first
        assert scan(database) == sorted(expected.items())
        assert all(get(database, key) == expected.get(key) for key in KEYS)
        database.close()
        assert any(name.endswith(".ldb") for name in place.files.names(place.path))
        database = place.open(create=False)
        assert scan(database) == sorted(expected.items())
        database.close()


def filled(seed: int) -> DiskImage:
    """A database with tables in two levels and a write-ahead file, as a kill leaves it."""
    disk = Disk(Random(seed))
    rng = Random(seed)
    for _ in range(4):
        database = SimulatedEngine(disk.files()).open(PATH, create=True, write_buffer_size=BUFFER)
        for _ in range(30):
            write(database, rng)
        disk.kill()
    return disk.copy()


def write(database: Database, rng: Random) -> None:
    batch = database.write_batch(sync=True)
    for _ in range(rng.randrange(1, 20)):
        key = rng.choice(KEYS)
        if rng.random() < 0.2:
            batch.delete(key)
        else:
            batch.put(key, rng.randbytes(rng.choice((5, 100, rng.randrange(3000)))))
    batch.write()


def with_file(image: DiskImage, name: PurePath, change: Callable[[bytes], bytes | None]) -> DiskImage:
    files = []
    for path, (data, size) in image.files:
        if path != name:
            files.append((path, FileImage(data, size)))
        elif (changed := change(data)) is not None:
            files.append((path, FileImage(changed, len(changed))))
    return DiskImage(image.directories, tuple(files))


class TestDamage:
    """Both say the same of the same bytes: opened, refused and how, and what is read, key by key."""

    def alike(self, image: DiskImage, work: Path) -> str:
        simulated, real = judge_both(image, work / "real", PATH, KEYS)
        assert simulated == real
        return simulated.refused

    def paths(self, image: DiskImage) -> list[PurePath]:
        return [path for path, _ in image.files if not path.name.startswith("LO")]

    def test_a_flipped_bit(self, seed: int, work: Path) -> None:
        image, rng = filled(seed), Random(seed)
        refused = []
        for turn in range(160):
            path = self.paths(image)[turn % len(self.paths(image))]

            def flip(data: bytes) -> bytes:
                changed = bytearray(data)
                if changed:
                    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
                return bytes(changed)

            refused.append(self.alike(with_file(image, path, flip), work))
        assert {"", "damaged"} <= set(refused)

    @pytest.mark.parametrize("behind", [0, 1, 3, 6, 7, 100, 40_000], ids="{} zeros".format)
    def test_an_end_that_is_torn(self, seed: int, work: Path, behind: int) -> None:
        image, rng = filled(seed), Random(seed)
        for path in self.paths(image):
            for _ in range(4):
                damaged = with_file(image, path, lambda data: data[: rng.randint(0, len(data))] + bytes(behind))
                self.alike(damaged, work)

    def test_a_file_that_is_missing(self, seed: int, work: Path) -> None:
        image = filled(seed)
        for path in self.paths(image):
            without = with_file(image, path, lambda data: None)
            assert self.alike(without, work) == ("" if path.suffix == ".log" else "damaged")

    def test_a_current_that_leads_elsewhere(self, seed: int, work: Path) -> None:
        image = filled(seed)
        for text in (b"", b"\n", b"MANIFEST-000001\n", b"MANIFEST-", b"LOCK\n", b"CURRENT\n"):
            changed = with_file(image, PATH / "CURRENT", lambda data, text=text: text)  # type: ignore[misc]
            assert self.alike(changed, work) != ""

    def test_a_current_that_is_missing_where_a_database_may_be_made(self, seed: int, work: Path) -> None:
        image = with_file(filled(seed), PATH / "CURRENT", lambda data: None)
        simulated = judge(SimulatedEngine(disk_of(image).files()), PATH, KEYS, create=True)
        write_image(image, fresh(work / "real"))
        assert simulated == judge(LevelDB(), work / "real" / "db", KEYS, create=True)


def test_a_script_of_writes_crashes_and_openings_on_both(seed: int, work: Path) -> None:
    """Both are told the same, and give the same back; what a power failure leaves of the double both go on from."""
    rng = Random(seed)
    root = fresh(work / "script")
    disk = Disk(Random(seed))
    engines = SimulatedEngine(disk.files()), LevelDB()
    places = PATH, root / "db"
    databases: list[Database] = []
    crashes = 0
    found_again = False  # after a power failure, since it was made
    for step in range(400):
        if not databases:
            engines = SimulatedEngine(disk.files()), engines[1]
            for engine, path in zip(engines, places, strict=True):
                databases.append(engine.open(path, create=True, write_buffer_size=BUFFER))
        for database in databases:
            write(database, Random(seed * 1000 + step))
        for key in rng.choices(KEYS, k=5):
            assert get(databases[0], key) == get(databases[1], key)
        start, stop = sorted(rng.choices(KEYS, k=2))
        assert scan(databases[0], start, stop) == scan(databases[1], start, stop)
        if rng.random() < 0.07:
            end = rng.choice(("close", "kill", "power"))
            for database in databases:
                database.close()  # LevelDB writes nothing then, so it is a kill, too
            databases = []
            if end == "kill":
                disk.kill()
            elif end == "power":
                crashes += 1
                disk.power_failure()
                if disk.files().exists(PATH):
                    write_image(disk.copy(), fresh(root))
                else:
                    fresh(root)
            simulated, real = judge_both(disk.copy(), work / "real", PATH, KEYS)
            assert simulated == real
            if simulated.refused and disk.files().exists(PATH):
                # CURRENT was made and not replaced yet, as far as the disk knows, and what it names was never synced:
                # LevelDB leaves the directory for its owner to sync, which the store does, and this script does not.
                assert (end, found_again) == ("power", False)
                disk.files().remove_tree(PATH)
                disk.files().sync_directory(PATH.parent)
                fresh(root)
            if end == "power":
                found_again = not simulated.refused
            else:
                assert judge_both(read_image(root), work / "real", PATH, KEYS)[0] == real
    for database in databases:
        database.close()
    assert crashes > 0


class TestErrors:
    """How the double says what its disk does to it. That LevelDB fares the same: test_failing.py."""

    def place(self) -> tuple[Disk, Place]:
        disk = Disk(Random(1))
        files = disk.files()
        return disk, Place(SimulatedEngine(files), files, PATH)

    @pytest.mark.parametrize(
        ("faults", "text"),
        [
            (DiskFaults(write_error=1.0), "IO error: /db/000003.log: Input/output error"),
            (DiskFaults(sync_error=1.0), "IO error: /db/000003.log: Input/output error"),
            (DiskFaults(no_space=1.0), "IO error: /db/000003.log: No space left on device"),
        ],
        ids=["write", "sync", "space"],
    )
    def test_a_write_that_fails_is_no_damage(self, faults: DiskFaults, text: str) -> None:
        disk, place = self.place()
        database = place.open()
        disk.faults = faults
        with pytest.raises(place.engine.Error) as caught:
            database.put(b"a", b"1", sync=True)
        assert (place.engine.text(caught.value), kind(place.engine, caught.value)) == (text, "other")
        disk.faults = DiskFaults()
        if faults.sync_error:  # nothing is written any more, as nobody knows what is there
            with pytest.raises(place.engine.Error, match="Input/output error"):
                database.put(b"a", b"1", sync=True)

    def test_an_opening_without_room_is_no_damage(self) -> None:
        disk, place = self.place()
        database = place.open()
        database.put(b"a", b"1", sync=True)
        database.close()
        disk.capacity = disk.used
        with pytest.raises(place.engine.Error, match="No space left") as caught:
            place.open()
        assert kind(place.engine, caught.value) == "other"
        disk.capacity *= 100
        database = place.open()
        assert scan(database) == [(b"a", b"1")]

    def test_what_fails_in_its_thread_fails_the_next_write(self) -> None:
        disk, place = self.place()
        database = place.open()
        with pytest.raises(place.engine.Error, match="No space left"):
            for number in range(1000):
                if len(write_ahead_files(place.files, place.path)) > 1:
                    disk.capacity = disk.used + 2000  # for the next writes, and no table
                database.put(b"%03d" % number, bytes(500), sync=True)
        assert not any(name.endswith(".ldb") for name in place.files.names(PATH))
