"""A data directory read without a node: what is in it, every damaged thing by name, and nothing changed.

A start of the store is the judge: what it refuses as damaged has a fault here, and what it opens has none.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from raftcore.base.types import EntryKind
from raftcore.values.message import ConfState, Entries, Entry, Snapshot
from raftpy.contracts.errors import StorageFailed, StorageLocked
from raftpy.contracts.snapshots import SnapshotRef
from raftpy.contracts.typed import TypeHeader
from raftpy.storage import LevelDBStorage
from raftpy.storage.leveldb import keys
from raftpy.storage.leveldb.floor import Floor
from raftpy.storage.leveldb.places import Places
from raftpy.storage.leveldb.segment import SegmentFile, name_of, segments
from raftpy.storage.leveldb.store import SNAPSHOTS
from raftpy.storage.offline.directory import NotADataDirectory
from raftpy.storage.offline.examining import examined
from raftpy.storage.offline.salvage import Salvage
from raftpy.storage.snapshots.metadata import write_metadata
from raftpy.storage.snapshots.names import whole_name
from tests.storage.damage import PINS, Sample, cut_off, flip
from tests.storage.former import former
from tests.storage.layout import batch_ends, closed, file_of, in_use, log_files, records, rewrite
from tests.storage.offline import FILES, faults, fingerprint, log_of, texts
from tests.storage.script import GROUPS, OWNER_OF_GROUPS, batches
from tests.storage.support import (
    MEMBERS,
    SMALLEST_BUFFER,
    Disk,
    Model,
    abandon,
    append,
    entries,
    next_is_made,
    submit,
)


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In memory where that is there: hundreds of starts, each with its syncs."""
    memory = Path("/dev/shm")
    path = Path(tempfile.mkdtemp(prefix="raftpy-test-", dir=memory if memory.is_dir() else None))
    yield path
    shutil.rmtree(path)


@pytest.fixture(params=["closed", "killed"])
def sample(request: pytest.FixtureRequest, tmp_path: Path) -> Sample:
    return Sample.build(tmp_path, clean=request.param == "closed")


def copied(sample: Sample) -> Path:
    """A copy to be damaged."""
    copy = sample.path.parent / "damaged"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(sample.path, copy)
    return copy


def scripted(path: Path, count: int, segment_size: int = SMALLEST_BUFFER) -> dict[int, Model]:
    """A store of several groups in many segments, killed; what it holds."""
    models = {group: Model() for group in GROUPS}
    store = LevelDBStorage(path, segment_size=segment_size)
    store.open(OWNER_OF_GROUPS)
    for batch in islice(batches(1), count):
        store.submit(batch)
        next_is_made(store)  # else the segment in use grows, and there are few
        for group, appends in batch:
            models[group].submit(appends)
    abandon(store)
    return models


class TestWhole:
    def test_what_is_in_it(self, sample: Sample) -> None:
        with examined(FILES, sample.path) as found:
            assert (found.faults.found, found.faults.notes) == ([], [])
            assert found.identity is not None
            assert (found.identity.node_id, found.identity.store_id) == (1, sample.store_id)
            assert (found.members, found.pins) == (MEMBERS, PINS)
            assert found.boot is not None
            assert found.boot >> 32 == 3
            report = found.groups[0]
            model = sample.states[-1]
            assert report.head is not None
            assert (report.head.term, report.head.vote, report.head.commit) == model.hard_state
            assert (report.first, report.last) == (1, len(model.log))
            assert [report.term_at(index) for index in (1, 8, 9, 12)] == [1, 1, 2, 3]
            assert [each.number for each in found.row.summaries()] == in_use(sample.path)

    def test_many_segments_and_groups(self, tmp_path: Path) -> None:
        models = scripted(tmp_path / "store", 60)
        assert len(in_use(tmp_path / "store")) > 3
        assert texts(tmp_path / "store") == []
        for group, model in models.items():
            found = log_of(tmp_path / "store", group)
            assert [(entry.term, entry.data) for entry in found] == model.log
            assert [entry.index for entry in found] == list(range(1, len(model.log) + 1))
            assert [entry.index for entry in log_of(tmp_path / "store", group, 3, 7)] == [3, 4, 5, 6, 7]

    def test_a_log_that_was_compacted_needs_a_snapshot(self, tmp_path: Path) -> None:
        store, _ = Disk("leveldb", tmp_path).open()
        submit(store, [append(entries(1, 20, 1), term=1, vote=1, commit=20)])
        put_snapshot(store, SnapshotRef(0, 10, 1))
        store.group(0).compact(10)
        submit(store, [append(entries(21, 2, 1), term=1, vote=1, commit=20)])
        store.close()
        assert texts(tmp_path) == []
        assert [entry.index for entry in log_of(tmp_path)] == list(range(11, 23))
        (tmp_path / SNAPSHOTS / whole_name(SnapshotRef(0, 10, 1))).unlink()
        (fault,) = texts(tmp_path)
        assert fault.endswith("the log of group 0 begins behind entry 10, and no whole snapshot reaches it")

    def test_a_snapshot_of_another_term_than_the_log(self, tmp_path: Path) -> None:
        store, _ = Disk("leveldb", tmp_path).open()
        submit(store, [append(entries(1, 20, 1), term=1, vote=1, commit=20)])
        put_snapshot(store, SnapshotRef(0, 10, 2))
        store.close()
        (fault,) = texts(tmp_path)
        assert fault.endswith("it is of term 2, and the log has term 1 at entry 10")

    def test_a_command_of_the_largest_size_is_read(self, tmp_path: Path) -> None:
        store, _ = Disk("leveldb", tmp_path).open()
        submit(store, [append(entries(1, 2, 1), term=1, vote=1)])
        command = bytes(range(256)) * (64 << 10)
        submit(store, [append(Entries.build([Entry(1, 3, EntryKind.EntryNormal, command)]), term=1, vote=1)])
        abandon(store)
        assert texts(tmp_path) == []
        assert log_of(tmp_path)[2].data == command


def put_snapshot(store: object, ref: SnapshotRef, size: int = 1000) -> None:
    writer = store.snapshots.begin(ref)  # type: ignore[attr-defined]
    write_metadata(writer, Snapshot(ref.index, ref.term, ConfState((1, 2, 3)), 1, 5))
    writer.section(TypeHeader("state", 1))
    writer.write(bytes(range(250)) * (size // 250))
    writer.commit()


class TestDamage:
    def check(self, sample: Sample, copy: Path, damage: object) -> None:
        """A start of a copy that is damaged like this says whether anything should have been found."""
        refused = ""
        try:
            found = [str(fault) for fault in faults(copy)]
        except StorageFailed as error:
            found, refused = [], str(error)
        outcome = sample.outcome(damage)  # type: ignore[arg-type]
        if outcome.startswith("StorageDamaged"):
            assert found or "holds nothing yet" in refused, outcome
        elif outcome.startswith(("StorageFailed", "ForeignDirectory")):
            assert found or refused, outcome
        else:
            assert (found, refused) == ([], ""), outcome
        assert all(str(copy) in text for text in found), found

    def test_a_flipped_bit_in_any_byte(self, sample: Sample, seed: int) -> None:
        """Every fifth byte that counts, every byte over a few runs; some of the others."""
        rng = random.Random(seed)
        for file in sample.files():
            step = 60 if sample.is_irrelevant(file) else 5
            for byte in range(rng.randrange(step), sample.size(file), step):
                self.check_flip(sample, file, byte, rng.randrange(8))

    def check_flip(self, sample: Sample, file: Path, byte: int, bit: int) -> None:
        copy = copied(sample)
        flip(copy / file, byte, bit)
        self.check(sample, copy, lambda target: flip(target / file, byte, bit))

    def test_a_file_cut_off_missing_or_empty(self, sample: Sample, seed: int) -> None:
        rng = random.Random(seed)
        for file in sample.files():
            size = sample.size(file)
            sizes = {0, *(rng.sample(range(size), min(size, 1 if sample.is_irrelevant(file) else 5)))}
            for at in sorted(sizes):
                copy = copied(sample)
                cut_off(copy / file, at)
                self.check(sample, copy, lambda target, file=file, at=at: cut_off(target / file, at))
            copy = copied(sample)
            (copy / file).unlink()
            self.check(sample, copy, lambda target, file=file: (target / file).unlink())

    def test_zeros_over_the_end_of_a_file(self, sample: Sample, seed: int) -> None:
        rng = random.Random(seed)
        for file in (path.relative_to(sample.path) for path in log_files(sample.path)):
            for at in rng.sample(range(sample.size(file)), 5):

                def zero(target: Path, file: Path = file, at: int = at) -> None:
                    data = (target / file).read_bytes()
                    (target / file).write_bytes(data[:at] + bytes(len(data) - at))

                copy = copied(sample)
                zero(copy)
                self.check(sample, copy, zero)

    def test_every_damaged_thing_has_its_name(self, sample: Sample) -> None:
        """Also behind the first one, in the same file and in others."""
        copy = copied(sample)
        oldest, *_, newest = in_use(copy)
        first, last = file_of(copy, oldest), file_of(copy, newest)
        middle = 60
        flip(first, middle, 1)
        flip(first, sample.size(first.relative_to(copy)) - 2, 1)
        flip(last, sample.size(last.relative_to(copy)) - 40, 1)
        flip(copy / "floor", 30, 1)
        found = texts(copy)
        assert sum(text.startswith(f"{first}: bytes ") for text in found) >= 1
        assert sum(text.startswith(f"{last}: bytes ") for text in found) == 1
        assert sum(text.startswith(f"{copy / 'floor'}: ") for text in found) == 1

    def test_two_damaged_records_of_one_file(self, tmp_path: Path) -> None:
        scripted(tmp_path, 60)
        number = in_use(tmp_path)[1]
        file = file_of(tmp_path, number)
        salvage = Salvage(file.read_bytes())
        starts = [(batch.start, batch.end) for batch in salvage.batches()]
        (begin, end), (again, behind) = starts[2], starts[4]
        flip(file, begin + 100, 0)
        flip(file, again + 5, 6)  # the length
        found = texts(tmp_path)
        assert found[0] == f"{file}: bytes {begin} to {end - 1} are not what was written"
        assert found[1].startswith(f"{file}: bytes {again} to ")
        assert behind > again
        missing = [text for text in found if " are missing" in text or " is missing" in text]
        assert missing, "and which entries are lost with them"

    def test_a_segment_missing_in_the_middle(self, tmp_path: Path) -> None:
        scripted(tmp_path, 60)
        number = in_use(tmp_path)[1]
        shutil.rmtree(records(tmp_path) / name_of(number))
        found = texts(tmp_path)
        assert f"{records(tmp_path) / name_of(number)}: it is missing" in found
        assert any("log of group" in text and "missing" in text for text in found)

    def test_a_closed_segment_that_ends_with_an_earlier_batch(self, tmp_path: Path) -> None:
        """Whatever batch that is. Entries are perhaps missing as well, or a group's term and vote; it is said of the
        segment."""
        scripted(tmp_path, 60)
        before, number, _ = closed(tmp_path)[-3:]
        file = file_of(tmp_path, number)
        data = file.read_bytes()
        *ends, whole = batch_ends(data)
        for end in ends[1:]:
            file.write_bytes(data[:end])
            said = f"its batches end at byte {end}, and they ended at byte {whole} when the next segment was begun"
            assert f"{file}: {said}" in texts(tmp_path)
        file.write_bytes(data[: ends[0]])
        assert f"{records(tmp_path) / name_of(number)}: it is missing" in texts(tmp_path)
        file.write_bytes(data[: ends[1] + 20])
        assert not [text for text in texts(tmp_path) if "they ended at" in text], "what is torn is said once"
        file.write_bytes(data)
        shutil.rmtree(records(tmp_path) / name_of(before))
        assert not [text for text in texts(tmp_path) if "they ended at" in text], "nor is it that of the one before"

    def test_a_segment_of_another_store_and_under_another_number(self, tmp_path: Path) -> None:
        scripted(tmp_path / "one", 60)
        scripted(tmp_path / "other", 60)
        number, following = in_use(tmp_path / "one")[1:3]
        target = records(tmp_path / "one") / name_of(number)
        shutil.rmtree(target)
        shutil.copytree(records(tmp_path / "other") / name_of(number), target)
        assert f"{target}: it belongs to another store" in texts(tmp_path / "one")
        shutil.rmtree(target)
        shutil.copytree(records(tmp_path / "one") / name_of(following), target)
        assert f"{target}: it is segment {following}" in texts(tmp_path / "one")

    def test_records_that_are_deleted_or_changed_behind_checksums_that_hold(self, tmp_path: Path) -> None:
        """What LevelDB's checksums do not see."""
        sample = Sample.build(tmp_path, clean=False)
        for key, what in (
            (keys.IDENTITY, "record 'identity'"),
            (keys.PINS, "record 'pins'"),
            (keys.bootstrap_key(0), "record 'bootstrap'"),
            (keys.head_key(0), "record 'head'"),
        ):
            copy = copied(sample)
            rewrite(copy, (key, None))
            assert any(what in text and "it is missing" in text for text in texts(copy)), key
        copy = copied(sample)
        rewrite(copy, (keys.entry_key(0, 5), None))
        assert texts(copy) == [f"{records(copy)}: log of group 0: entries 5 to 7 are missing"]

    def test_the_last_record_deleted(self, tmp_path: Path) -> None:
        sample = Sample.build(tmp_path, clean=True)
        copy = copied(sample)
        rewrite(copy, (keys.entry_key(0, 15), None))
        where = f"{records(copy)}: log of group 0: "
        assert f"{where}entry 15 is missing, and 15 in term 3 was written" in texts(copy)

    def test_a_group_that_a_start_has_left_out(self, tmp_path: Path) -> None:
        scripted(tmp_path, 3)
        with examined(FILES, tmp_path) as found:
            report = found.groups[1]
            assert report.head is not None
            head = report.head.copy()
        head.boot += 1 << 32
        head.number += 1
        rewrite(tmp_path, (keys.head_key(1), head.pack()))
        (fault,) = texts(tmp_path)
        assert fault.endswith(f"it has boot {head.boot}, and group 0 has boot {head.boot - (1 << 32)}")

    def test_a_torn_tail_behind_damage_in_the_same_file(self, sample: Sample) -> None:
        copy = copied(sample)
        file = file_of(copy, in_use(copy)[-1])
        torn = sample.size(file.relative_to(copy))
        with file.open("r+b") as out:
            out.seek(torn)
            out.write(b"\x01\x02\x03\x04\x40\x00\x01 the beginning of a record")
        flip(file, torn - 20, 1)
        (damaged,) = [text for text in texts(copy) if ": bytes " in text]
        assert damaged.endswith(f" to {torn - 1} are not what was written")

    def test_an_older_copy_of_the_segments(self, sample: Sample) -> None:
        copy = copied(sample)
        store, _ = Disk("leveldb", sample.path).open()
        submit(store, [append(entries(16, 1, 3), term=3, vote=1)])
        store.close()
        shutil.copyfile(sample.path / "floor", copy / "floor")
        (fault,) = [text for text in texts(copy) if "boot" in text]
        assert "it is below its floor: boot" in fault

    def test_snapshots(self, tmp_path: Path) -> None:
        store, _ = Disk("leveldb", tmp_path).open()
        submit(store, [append(entries(1, 20, 1), term=1, vote=1, commit=20)])
        refs = [SnapshotRef(0, 10, 1), SnapshotRef(0, 15, 1)]
        for ref in refs:
            put_snapshot(store, ref, 600_000)
        store.close()
        (tmp_path / SNAPSHOTS / "0-17-1.writing").write_bytes(b"begun")
        (tmp_path / SNAPSHOTS / "note").write_bytes(b"?")
        with examined(FILES, tmp_path) as found:
            assert [each.ref for each in found.snapshots[0]] == refs[::-1]
            assert all(each.is_whole for each in found.snapshots[0])
            assert [note.split(": ")[1].split(":")[0] for note in found.faults.notes] == [
                "a snapshot that was never finished",
                "no file of a node's",
            ]
        for ref in refs:
            flip(tmp_path / SNAPSHOTS / whole_name(ref), 300_000, 1)
        said = texts(tmp_path)
        assert [text.split(": ")[0] for text in said] == [
            str(tmp_path / SNAPSHOTS / whole_name(ref)) for ref in refs[::-1]
        ]
        assert all("block 6, at byte" in text and "its checksum does not hold" in text for text in said), said


class TestUnchanged:
    def test_a_killed_store_with_a_torn_tail(self, sample: Sample) -> None:
        """What a crash leaves of a write is no damage, and stays where it is."""
        file = sample.write_ahead_file()
        copy = copied(sample)
        with (copy / file).open("r+b") as out:
            out.seek(sample.size(file))
            out.write(b"\x01\x02\x03\x04\x40\x00\x01 the beginning of a record")
            out.write(bytes(200))
        before = fingerprint(copy)
        with examined(FILES, copy) as found:
            assert found.faults.found == []
            (note,) = found.faults.notes
            assert f"{copy / file}: the beginning of a write that was never finished, at byte" in note
        assert fingerprint(copy) == before

    @pytest.mark.needs_root
    def test_a_read_only_mount(self, sample: Sample, tmp_path: Path) -> None:
        mount = tmp_path / "mount"
        mount.mkdir()
        subprocess.run(["mount", "--bind", sample.path, mount], check=True)
        try:
            subprocess.run(["mount", "-o", "remount,bind,ro", mount], check=True)
            with pytest.raises(OSError, match="Read-only"):
                (mount / "probe").write_bytes(b"")
            assert texts(mount) == []
            assert len(log_of(mount)) == len(sample.states[-1].log)
        finally:
            subprocess.run(["umount", mount], check=True)


class TestRefused:
    def test_a_directory_on_which_a_node_runs(self, tmp_path: Path) -> None:
        store, _ = Disk("leveldb", tmp_path).open()
        assert isinstance(store, LevelDBStorage)
        next_is_made(store)  # all files are looked at here
        before = fingerprint(tmp_path / "lock")
        with pytest.raises(StorageLocked, match="as node 1"):
            faults(tmp_path)
        assert fingerprint(tmp_path / "lock") == before
        store.close()
        assert faults(tmp_path) == []

    def test_one_whose_lock_was_removed_while_a_node_runs(self, tmp_path: Path) -> None:
        code = (
            "import sys; from raftpy.storage import LevelDBStorage\n"
            "from tests.storage.support import OWNER, next_is_made\n"
            "store = LevelDBStorage(sys.argv[1]); store.open(OWNER); next_is_made(store)\n"
            "print('open', flush=True); sys.stdin.read()"
        )
        command = [sys.executable, "-c", code, str(tmp_path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == b"open\n"
            (tmp_path / "lock").unlink()
            with pytest.raises(StorageLocked):
                faults(tmp_path)
            process.stdin.close()

    def test_no_node_starts_meanwhile(self, sample: Sample) -> None:
        with examined(FILES, sample.path), examined(FILES, sample.path), pytest.raises(StorageLocked):
            Disk("leveldb", sample.path).open()
        store, _ = Disk("leveldb", sample.path).open()
        store.close()

    @pytest.fixture
    def elsewhere(self, tmp_path: Path) -> Path:
        (tmp_path / "file").write_bytes(b"")
        (tmp_path / "empty").mkdir()
        (tmp_path / "foreign").mkdir()
        (tmp_path / "foreign" / "something").write_bytes(b"")
        (tmp_path / "begun").mkdir()
        (tmp_path / "begun" / "lock").write_bytes(b"")
        former("killed", tmp_path / "former")
        return tmp_path

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("missing", "is not there: the data directory of a node is expected"),
            ("file", "is no directory: the data directory of a node is expected"),
            ("empty", "is empty: the data directory of a node is expected"),
            ("foreign", "is no node's data directory: it holds something"),
            ("begun", "holds nothing yet: a node's first start was cut short there"),
            ("former", "has format 2, and format 3 is read here: the next start of its node with this release"),
        ],
    )
    def test_what_is_no_data_directory(self, elsewhere: Path, name: str, words: str) -> None:
        with pytest.raises(NotADataDirectory, match=words):
            faults(elsewhere / name)

    def test_a_part_of_one(self, sample: Sample) -> None:
        with pytest.raises(NotADataDirectory, match=f"is a part of the data directory {sample.path}"):
            faults(records(sample.path))

    def test_another_release(self, sample: Sample) -> None:
        floor = Floor.read(FILES, sample.path)
        assert floor is not None
        floor.format = 4
        floor.write(FILES, sample.path)
        with pytest.raises(StorageFailed, match="has format 4"):
            faults(sample.path)


class TestSalvage:
    """The reading of a damaged file, held against that of a whole one."""

    def test_of_a_file_that_is_whole(self, tmp_path: Path) -> None:
        scripted(tmp_path, 60)
        row = records(tmp_path)
        for number in segments(FILES, row):
            places = Places()
            small: dict[bytes, bytes] = {}
            found = SegmentFile(FILES, row, number)
            found.read(places, small)
            salvage, saved = Salvage(bytes(found.data)), Places()
            other: dict[bytes, bytes | None] = {}
            for batch in salvage.batches():
                for key, value, offset in batch.writes if batch.start else ():
                    if len(key) != keys.ENTRY_KEY_SIZE:
                        other[key] = value
                    elif value is None:
                        saved.remove(key)
                    else:
                        saved.put(key, number, offset, len(value))
            assert (salvage.damaged, salvage.other, salvage.torn, salvage.end) == ([], [], None, found.end)
            assert other == small
            for group in GROUPS:
                both = keys.entry_range(group)
                assert saved.keys(*both) == places.keys(*both)
                assert all(saved.find(key) == places.find(key) for key in places.keys(*both))

    def test_of_any_bytes_it_never_fails(self, tmp_path: Path, seed: int) -> None:
        scripted(tmp_path, 12)
        whole = log_files(tmp_path)[0].read_bytes().rstrip(b"\0")
        rng = random.Random(seed)
        for _ in range(200):
            data = bytearray(whole)
            for _ in range(rng.choice((1, 3, 30))):
                start = rng.randrange(len(data))
                data[start : start + rng.choice((1, 7, 3000))] = rng.randbytes(rng.choice((0, 1, 7, 3000)))
            salvage = Salvage(bytes(data))
            kept = sum(batch.end - batch.start for batch in salvage.batches())
            assert salvage.damaged or salvage.torn is not None or salvage.other or bytes(data) == whole[: len(data)]
            assert kept + sum(stop - start for start, stop in salvage.damaged) <= len(data)
