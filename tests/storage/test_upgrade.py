"""Data directories of format 2: upgraded whole, or left as they were and refused by name."""

from __future__ import annotations

import random
import re
import shutil
from contextlib import suppress
from pathlib import Path, PurePath
from random import Random

import pytest

from raftpy.contracts.errors import StorageDamaged, StorageFailed, StorageLocked, WrongIdentity
from raftpy.contracts.types import StoreOwner
from raftpy.sim.disk.database import SimulatedEngine
from raftpy.sim.disk.files import Disk as SimulatedDisk
from raftpy.sim.disk.files import DiskFiles
from raftpy.sim.disk.image import DiskImage
from raftpy.sim.entropy import SeededEntropy
from raftpy.storage import LevelDBStorage
from raftpy.storage.leveldb.floor import FLOOR_FORMAT, Floor
from raftpy.storage.leveldb.ownership import SEGMENTS
from raftpy.storage.leveldb.places import is_record
from raftpy.storage.leveldb.row import RowBatch, room_of
from raftpy.system.leveldb import LevelDB
from tests.sim.disk.both import disk_of, read_image
from tests.storage.damage import Sample, cut_off, flip, truth
from tests.storage.former import former, models_of_groups
from tests.storage.late import LateExecutor
from tests.storage.power import fail_at_each_step
from tests.storage.script import OWNER_OF_GROUPS
from tests.storage.support import FILES, MEMBERS, OWNER, Disk, append, entries, submit

FORMER = "leveldb"
NODE = PurePath("/node")


@pytest.fixture(scope="module", params=[True, False], ids=["closed", "killed"])
def sample(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return Sample.former(tmp_path_factory.mktemp("former"), clean=request.param)


class TestWhole:
    def test_nothing_is_lost(self, sample: Sample) -> None:
        assert sample.outcome(lambda copy: None) == "exact"
        copy = sample.path.parent / "copy"
        assert not (copy / FORMER).exists()
        floor = Floor.read(FILES, copy)
        assert floor is not None
        assert floor.format == FLOOR_FORMAT

    def test_groups_one_of_them_compacted(self, tmp_path: Path) -> None:
        disk = Disk("leveldb", former("groups", tmp_path / "node1"), segment_size=20_000)
        models = models_of_groups()
        for _ in range(2):
            store, recovered = disk.open(OWNER_OF_GROUPS)
            for group, model in models.items():
                state = recovered.groups[group].hard_state
                model.hard_state = (state.term, state.vote, state.commit)
                model.check(store, recovered, group)
            last = len(models[0].log)
            message = append(entries(last + 1, 5, 30), term=30, vote=1)
            submit(store, [message])
            models[0].submit([message])
            store.close()

    def test_a_stop_does_not_wait_for_the_copy(self, sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
        """The directory stays one of format 2, and the next start begins again."""
        copy = sample.path.parent / "stopped"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(sample.path, copy)
        store, put, copied = LevelDBStorage(copy), RowBatch.put, [0]

        def stopping(batch: RowBatch, key: bytes, value: bytes) -> None:
            copied[0] += 1
            if is_record(key):
                store.close()
            put(batch, key, value)

        monkeypatch.setattr(RowBatch, "put", stopping)
        with pytest.raises(StorageFailed, match="was given up"):
            store.open(OWNER)
        assert copied[0] == 5, "all that is small, and one record"
        monkeypatch.undo()
        floor = Floor.read(FILES, copy)
        assert floor is not None
        assert floor.format == 2
        assert not (copy / SEGMENTS).exists()
        store = LevelDBStorage(copy)
        assert store.open(OWNER).groups[0].last_index == len(truth()[-1].log)
        store.close()

    def test_before_the_first_start_was_through(self, tmp_path: Path) -> None:
        """A floor of no boot: nothing was promised to anybody, and the store keeps its id."""
        path = former("closed", tmp_path / "node1")
        floor = Floor.read(FILES, path)
        assert floor is not None
        Floor(floor.store_id, format=2).write(FILES, path)
        recovered = Disk("leveldb", path).open()[1]
        assert (recovered.store_id, recovered.boot >> 32) == (floor.store_id, 1)
        assert recovered.groups[0].last_index == 0
        assert not (path / FORMER).exists()


class TestDamage:
    """As a start of the release that wrote it would have said; and what it finds damaged stays as it is."""

    def check_flip(self, sample: Sample, file: Path, byte: int, bit: int) -> None:
        outcome = sample.outcome(lambda copy: flip(copy / file, byte, bit))
        if sample.is_irrelevant(file):
            assert outcome == "exact", (file, byte, bit)
        elif file.suffix == ".ldb":  # its last part has padding and an index block that is not needed to find all
            assert outcome == "exact" or outcome.startswith("StorageDamaged"), (file, byte, bit, outcome)
        else:
            assert outcome.startswith("StorageDamaged"), (file, byte, bit, outcome)

    def test_a_flipped_bit(self, sample: Sample, seed: int) -> None:
        rng = random.Random(seed)
        for file in sample.files():
            size = sample.size(file)
            for byte in sorted(rng.sample(range(size), size // 20)):
                self.check_flip(sample, file, byte, rng.randrange(8))

    @pytest.mark.slow
    def test_every_byte(self, sample: Sample) -> None:
        """Another bit of each."""
        for file in sample.files():
            for byte in range(sample.size(file)):
                self.check_flip(sample, file, byte, byte % 8)

    def test_every_bit_of_the_floor(self, sample: Sample) -> None:
        floor = Path(Floor.FILE)
        for byte in range((sample.path / floor).stat().st_size):
            for bit in range(8):
                self.check_flip(sample, floor, byte, bit)

    @pytest.mark.parametrize("empty", [False, True], ids=["missing", "empty"])
    def test_a_file_that_is_missing_or_empty(self, sample: Sample, empty: bool) -> None:
        for file in sample.files():

            def damage(copy: Path, file: Path = file) -> None:
                cut_off(copy / file, 0) if empty else (copy / file).unlink()

            outcome = sample.outcome(damage)
            assert outcome == "exact" if sample.is_irrelevant(file) else outcome.startswith("StorageDamaged"), file
            if outcome != "exact":
                copy = sample.path.parent / "copy"
                assert {path.name for path in copy.iterdir()} <= {"lock", "floor", "floor.new", FORMER}

    def test_the_write_ahead_file_cut_off(self, sample: Sample) -> None:
        log = sample.write_ahead_file()
        outcomes = set()
        for at in range(0, sample.size(log), 7):
            outcome = sample.outcome(lambda copy, at=at: cut_off(copy / log, at))  # type: ignore[misc]
            outcomes.add("refused" if outcome.startswith("StorageDamaged") else outcome)
        closed = Floor.read(FILES, sample.path)
        assert closed is not None
        assert outcomes <= ({"refused"} if closed.closed else {"refused", "lost 4", "lost 3", "lost 2", "lost 1"})

    def test_a_length_in_the_manifest(self, tmp_path: Path) -> None:
        """LevelDB would leave the tables out that it names."""
        path = former("groups", tmp_path / "node1")
        manifest = path / FORMER / (path / FORMER / "CURRENT").read_text().strip()
        data = bytearray(manifest.read_bytes())
        data[5] ^= 1
        manifest.write_bytes(data)
        with pytest.raises(StorageDamaged, match="MANIFEST-"):
            Disk("leveldb", path).open(OWNER_OF_GROUPS)
        assert (path / FORMER).exists()

    def test_an_older_copy_of_the_database(self, tmp_path: Path) -> None:
        """Below its floor, whose boot was written since."""
        path = former("killed", tmp_path / "node1")
        floor = Floor.read(FILES, path)
        assert floor is not None
        floor.boot += 1 << 32
        floor.write(FILES, path)
        with pytest.raises(StorageDamaged, match="below its floor: boot"):
            Disk("leveldb", path).open()


class TestRefused:
    def test_another_nodes_directory_stays_as_it_is(self, tmp_path: Path) -> None:
        path = former("closed", tmp_path / "node1")
        with pytest.raises(WrongIdentity, match="belongs to node 1, not to node 2"):
            Disk("leveldb", path).open(StoreOwner(2, MEMBERS))
        assert {file.name for file in path.iterdir()} == {"lock", "floor", FORMER}
        floor = Floor.read(FILES, path)
        assert floor is not None
        assert floor.format == 2

    def test_one_that_its_release_has_open(self, tmp_path: Path) -> None:
        path = former("closed", tmp_path / "node1")
        other = LevelDB().open(path / FORMER, create=False, write_buffer_size=1 << 20)
        with pytest.raises(StorageLocked):
            Disk("leveldb", path).open()
        other.close()
        assert Disk("leveldb", path).open()[1].groups[0].last_index == 15

    def test_a_database_without_a_floor(self, tmp_path: Path) -> None:
        path = former("closed", tmp_path / "node1")
        (path / "lock").write_bytes(b'{"pid": 1, "host": "there", "node_id": 1}\n')
        (path / Floor.FILE).unlink()
        with pytest.raises(StorageDamaged, match="floor is damaged: it is missing"):
            Disk("leveldb", path).open()

    def test_an_older_floor_beside_segments(self, tmp_path: Path) -> None:
        """The database that it tells of is gone: they stay as they are, and with the right floor all is there."""
        path = former("closed", tmp_path / "node1")
        older = (path / Floor.FILE).read_bytes()
        Disk("leveldb", path).open()[0].close()
        newer = (path / Floor.FILE).read_bytes()
        (path / Floor.FILE).write_bytes(older)
        with pytest.raises(StorageDamaged, match="CURRENT is missing"):
            Disk("leveldb", path).open()
        (path / Floor.FILE).write_bytes(newer)
        assert Disk("leveldb", path).open()[1].groups[0].last_index == 15

    @pytest.mark.parametrize("version", [1, 4])
    def test_another_format(self, tmp_path: Path, version: int) -> None:
        path = former("closed", tmp_path / "node1")
        floor = Floor.read(FILES, path)
        assert floor is not None
        floor.format = version
        floor.write(FILES, path)
        with pytest.raises(StorageFailed, match=f"has format {version}, and this release reads format 3 and upgrades"):
            Disk("leveldb", path).open()


# --- On a simulated disk ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> DiskImage:
    """A disk with the directory ``killed``."""
    root = tmp_path_factory.mktemp("image")
    former("killed", root / NODE.name)
    return read_image(root)


def store(files: DiskFiles, seed: int = 1, segment_size: int = 2000) -> LevelDBStorage:
    return LevelDBStorage(
        NODE,
        mode="inline",
        segment_size=segment_size,
        files=files,
        database=SimulatedEngine(files),
        executor=LateExecutor(Random(seed)),
        entropy=SeededEntropy(Random(seed)),
    )


def check(files: DiskFiles) -> None:
    """It opens, and holds all of the sample; and so it does once more."""
    for seed in (2, 3):
        opened = store(files, seed)
        recovered = opened.open(OWNER)
        truth()[-1].check(opened, recovered)
        opened.close()
    assert not files.is_directory(NODE / FORMER)
    floor = Floor.read(files, NODE)
    assert floor is not None
    assert floor.format == FLOOR_FORMAT


@pytest.mark.parametrize("end", ["power", "kill"])
def test_wherever_the_power_fails_the_one_or_the_other_is_whole(image: DiskImage, end: str) -> None:
    formats = set()

    def before(files: DiskFiles) -> None:
        files.disk.restore(image)

    def upgraded(files: DiskFiles) -> None:
        store(files).open(OWNER)

    def after(files: DiskFiles, done: bool) -> None:
        floor = Floor.read(files, NODE)
        assert floor is not None
        formats.add((floor.format, files.is_directory(NODE / FORMER)))
        check(files)

    steps = fail_at_each_step(
        before, upgraded, after, end=SimulatedDisk.power_failure if end == "power" else SimulatedDisk.kill
    )
    assert steps > 60
    assert formats == {(2, True), (FLOOR_FORMAT, True), (FLOOR_FORMAT, False)}


def test_where_room_is_short_it_is_said_and_nothing_is_changed(image: DiskImage) -> None:
    """Twice what is there, and two segments."""
    disk = disk_of(image)
    disk.capacity = disk.used + 1_000_000
    with pytest.raises(StorageFailed, match=re.escape("to upgrade it takes ")):
        store(disk.files(), segment_size=1_000_000).open(OWNER)
    assert not disk.files().is_directory(NODE / "segments")
    disk.kill()
    check(disk.files(2))
    assert disk.used < disk.capacity


def test_a_disk_that_runs_full_meanwhile(image: DiskImage) -> None:
    """Somebody else has taken the room: what was begun is removed, and the next start does all of it."""
    for step in range(5, 60, 5):
        disk = disk_of(image)

        def on_step(operation: str, disk: SimulatedDisk = disk, at: int = disk.steps + step) -> None:
            if disk.steps >= at:
                disk.capacity = disk.used

        disk.on_step = on_step
        with pytest.raises(StorageFailed):
            store(disk.files()).open(OWNER)
        disk.on_step = None
        disk.kill()
        disk.capacity = 1 << 40
        check(disk.files(2))


def test_the_room_that_it_takes(tmp_path: Path) -> None:
    """The directory is never larger than twice what it was, and two segments."""
    path = former("groups", tmp_path / "node1")
    former_size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    sizes = []
    remove = shutil.rmtree
    disk = Disk("leveldb", path, segment_size=50_000)
    with pytest.MonkeyPatch.context() as patch:

        def watched(directory: Path, *arguments: object) -> None:
            sizes.append(0)
            for file in path.rglob("*"):
                with suppress(FileNotFoundError):  # LevelDB's come and go while the next segment is made
                    sizes[-1] += file.stat().st_blocks * 512 if file.is_file() else 0
            remove(directory)

        patch.setattr("raftpy.system.files.shutil.rmtree", watched)
        disk.open(OWNER_OF_GROUPS)[0].close()
    assert max(sizes) < 2 * former_size + 2 * room_of(50_000) + 50_000
