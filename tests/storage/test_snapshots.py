"""The contract of raftpy.contracts.snapshots.Snapshots, over every kind of store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raftpy.contracts.errors import NotUnderstood, SnapshotDamaged, SnapshotFailed
from raftpy.contracts.snapshots import SnapshotFile, SnapshotRef, complete
from raftpy.contracts.typed import TypeHeader
from raftpy.storage.snapshots.choosing import newest_whole
from raftpy.storage.snapshots.folder import Folder
from tests.storage.snapshots import (
    HINT,
    KNOWN,
    MACHINE,
    MEMBERS,
    SAMPLE,
    Place,
    contents,
    flipped,
    ranges,
    raw,
    read,
    ref,
    sample,
    write,
)


class TestWriting:
    def test_what_is_written_is_read(self, place: Place) -> None:
        store = place.store()
        file = write(store, ref(7), SAMPLE)
        assert contents(store, ref(7)) == SAMPLE
        assert store.open(ref(7)).file == file
        assert contents(place.store(), ref(7)) == SAMPLE

    def test_any_number_of_sections_and_pieces(self, place: Place) -> None:
        store = place.store()
        writer = store.begin(ref(7))
        writer.section(MEMBERS)
        writer.section(MACHINE)
        buffer = bytearray(1000)
        for piece in range(1500):
            buffer[:] = bytes([piece % 251]) * 1000
            writer.write(memoryview(buffer)[: piece % 999 + 1])
        writer.write(b"")
        writer.section(HINT)
        writer.commit()
        whole = b"".join(bytes([piece % 251]) * (piece % 999 + 1) for piece in range(1500))
        assert contents(store, ref(7)) == [(MEMBERS, b""), (MACHINE, whole), (HINT, b"")]
        assert [size for _, size in complete(store.verify(ref(7))).sections] == [0, len(whole), 0]
        for header, chunks in store.open(ref(7)).sections():
            assert header != MACHINE or [len(chunk) for chunk in chunks] == [262_144, 262_144, len(whole) - 524_288]

    def test_one_without_sections(self, place: Place) -> None:
        store = place.store()
        write(store, ref(7), [])
        assert contents(store, ref(7)) == []
        assert complete(store.verify(ref(7))).sections == ()

    def test_the_same_sections_are_the_same_bytes(self, place: Place, tmp_path: Path) -> None:
        other = Place("memory", tmp_path / "other").store()
        file = write(place.store(), ref(7), SAMPLE)
        assert write(other, ref(7), SAMPLE) == file
        assert write(other, ref(8), SAMPLE).digest != file.digest
        changed = [*SAMPLE[:-1], (MACHINE, bytes(256))]
        assert write(other, ref(7, group=1), changed).size == file.size
        assert write(Place("memory", tmp_path).store(), ref(7), changed).digest != file.digest

    def test_it_does_not_matter_in_which_chunks(self, place: Place, tmp_path: Path) -> None:
        data = bytes(range(251)) * 3000
        files = []
        for size in (1000, 262_144, 300_001, 10**9):
            store = Place(place.kind, tmp_path / str(size)).store()
            writer = store.begin(ref(7))
            for header in (MEMBERS, MACHINE):
                writer.section(header)
                for chunk in ranges(data, size):
                    writer.write(chunk)
            files.append(writer.commit())
        assert files == files[:1] * 4

    def test_it_is_there_when_commit_returns_and_not_before(self, place: Place) -> None:
        store = place.store()
        writer = store.begin(ref(7))
        writer.section(MACHINE)
        writer.write(bytes(600_000))
        assert (store.refs(0), store.groups()) == ((), ())
        assert place.store().refs(0) == ()
        assert place.names() == []  # and a life that finds what another one has begun deletes it
        store = place.store()
        write(store, ref(7))
        assert (store.refs(0), store.groups()) == ((ref(7),), (0,))
        assert place.store().refs(0) == (ref(7),)

    def test_nothing_is_left_of_one_that_is_given_up(self, place: Place) -> None:
        store = place.store()
        writer = store.begin(ref(7))
        writer.section(MACHINE)
        writer.write(b"x")
        writer.abort()
        writer.abort()
        assert (place.names(), store.refs(0)) == ([], ())
        for call in (lambda: writer.write(b"x"), lambda: writer.section(HINT), writer.commit):
            with pytest.raises(ValueError, match="committed or given up"):
                call()
        write(store, ref(7))
        writer.abort()
        assert store.refs(0) == (ref(7),)

    def test_what_is_no_snapshot_is_refused(self, place: Place) -> None:
        store = place.store()
        write(store, ref(7))
        with pytest.raises(ValueError, match="group 0, index 7, term 1 is there already"):
            store.begin(ref(7))
        writer = store.begin(ref(8))
        with pytest.raises(ValueError, match="group 0 is being written already"):
            store.begin(ref(9))
        with pytest.raises(ValueError, match="begin one first"):
            writer.write(b"x")
        with pytest.raises(ValueError, match="group 0, index 8, term 1 is being made already"):
            complete(store.receive(SnapshotFile(ref(8), 1000, bytes(16))))
        write(store, ref(7, group=1))  # another group is another matter
        writer.commit()
        assert store.refs(0) == (ref(8), ref(7))
        for group, index, term in ((0, 0, 1), (0, 1, 0), (-1, 1, 1), (2**64, 1, 1), (0, 2**64, 1)):
            with pytest.raises(ValueError, match="no snapshot is of"):
                SnapshotRef(group, index, term)

    def test_the_newest_is_first_and_groups_are_apart(self, place: Place) -> None:
        store = place.store()
        for wanted in (ref(9), ref(101), ref(10), ref(5, group=2**64 - 1), SnapshotRef(0, 2**64 - 1, 2**64 - 1)):
            write(store, wanted)
        for each in (store, place.store()):
            assert each.refs(0) == (SnapshotRef(0, 2**64 - 1, 2**64 - 1), ref(101), ref(10), ref(9))
            assert (each.refs(2**64 - 1), each.refs(1)) == ((ref(5, group=2**64 - 1),), ())
            assert each.groups() == (0, 2**64 - 1)


class TestReading:
    def test_pieces_that_are_not_asked_for_are_passed_over(self, place: Place) -> None:
        store = place.store()
        big = bytes(range(251)) * 4000
        write(store, ref(7), [(MACHINE, big), (HINT, big), (MEMBERS, b"end")])
        found = []
        reader = store.open(ref(7))
        for header, chunks in reader.sections():
            found.append((header, b"".join(chunks) if header == MEMBERS else next(chunks)))
        assert found == [(MACHINE, big[:262_144]), (HINT, big[:262_144]), (MEMBERS, b"end")]
        reader.close()

    def test_two_readers_at_once(self, place: Place) -> None:
        store = place.store()
        write(store, ref(7), SAMPLE)
        one, other = store.open(ref(7)), store.open(ref(7))
        pairs = list(zip(one.sections(), other.sections(), strict=True))
        assert [(a, b) for (a, _), (b, _) in pairs] == [(header, header) for header, _ in SAMPLE]
        one.close()
        one.close()
        assert read(other) == SAMPLE

    def test_it_stays_readable_when_it_is_deleted(self, place: Place) -> None:
        store = place.store()
        write(store, ref(7), SAMPLE)
        reader = store.open(ref(7))
        complete(store.retain(0, 0))
        assert store.refs(0) == ()
        assert read(reader) == SAMPLE

    def test_what_is_not_understood(self, place: Place) -> None:
        store = place.store()
        write(store, ref(7), SAMPLE)
        assert contents(store, ref(7), KNOWN) == [SAMPLE[0], SAMPLE[2]]
        complete(store.verify(ref(7), KNOWN))
        later = TypeHeader("machine", 2)
        write(store, ref(8), [(MEMBERS, b"m"), (later, b"x"), (TypeHeader("x.hint", 9, must_understand=False), b"")])
        write(store, ref(9), [(MEMBERS, b"m"), (TypeHeader("sessions", 3), b"x")])
        for wanted, text, known in (
            (ref(8), r"0-8-1\.snapshot: 'machine' of version 2 must be understood, .* knows it up to version 1", 1),
            (ref(9), r"0-9-1\.snapshot: 'sessions' of version 3 must be understood, .* does not know it", None),
        ):
            with pytest.raises(NotUnderstood, match=text) as caught:
                contents(store, wanted, KNOWN)
            assert caught.value.known == known
            with pytest.raises(NotUnderstood, match=text):
                complete(store.verify(wanted, KNOWN))
            complete(store.verify(wanted))  # it is whole all the same

    def test_reading_back_goes_in_small_steps(self, place: Place) -> None:
        store = place.store()
        file = write(store, ref(7), [(MACHINE, bytes(2_000_000))])
        steps = [0, *store.verify(ref(7))]
        assert steps[-1] == file.size
        assert all(0 < after - before <= 262_144 + 64 for before, after in zip(steps, steps[1:], strict=False))
        given_up = store.verify(ref(7))
        next(given_up)
        given_up.close()
        checked = complete(store.verify(ref(7)))
        assert (checked.file, checked.sections) == (file, ((MACHINE, 2_000_000),))

    def test_bytes_by_their_offset(self, place: Place) -> None:
        store = place.store()
        file = write(store, ref(7), [(MACHINE, bytes(range(256)) * 3000)])
        data = raw(store, ref(7))
        assert len(data) == file.size
        reader = store.open(ref(7))
        for offset, size in ((0, 1), (5, 1000), (300_000, 400_000), (file.size - 3, 10), (file.size, 5)):
            assert reader.read_range(offset, size) == data[offset : offset + size]
        reader.close()


class TestDamage:
    def test_a_damaged_one_is_noticed_and_an_older_one_is_whole(self, place: Place) -> None:
        store = place.store()
        write(store, ref(7))
        write(store, ref(8))
        place.damage(ref(8), flipped(150))
        with pytest.raises(
            SnapshotDamaged, match=r"0-8-1\.snapshot: it is damaged: block 3, at byte 136: its checksum"
        ):
            complete(store.verify(ref(8)))
        with pytest.raises(SnapshotDamaged, match="checksum does not hold"):
            contents(store, ref(8))
        assert store.refs(0) == (ref(8), ref(7))
        assert complete(store.verify(ref(7))).file.ref == ref(7)

    def test_one_that_is_missing(self, place: Place) -> None:
        store = place.store()
        write(store, ref(7))
        place.folder().remove("0-7-1.snapshot")
        for call in (lambda: store.open(ref(7)), lambda: complete(store.verify(ref(7)))):
            with pytest.raises(SnapshotDamaged, match="it is not there"):
                call()
        assert place.store().refs(0) == ()

    def test_one_under_the_name_of_another(self, place: Place) -> None:
        store = place.store()
        write(store, ref(7))
        place.put("0-8-1.snapshot", place.get("0-7-1.snapshot"))
        store = place.store()
        for call in (lambda: store.open(ref(8)), lambda: complete(store.verify(ref(8)))):
            with pytest.raises(SnapshotDamaged, match="it is of group 0, index 7, term 1"):
                call()

    def test_a_damaged_one_is_written_again(self, place: Place) -> None:
        store = place.store()
        file = write(store, ref(7), SAMPLE)
        place.damage(ref(7), lambda data: data[:-1])
        with pytest.raises(SnapshotDamaged):
            store.open(ref(7))
        assert write(store, ref(7), SAMPLE) == file
        assert contents(store, ref(7)) == SAMPLE
        with pytest.raises(ValueError, match="there already"):
            store.begin(ref(7))

    def test_a_file_of_a_later_format(self, place: Place) -> None:
        from raftcore.base.crc import crc32c  # noqa: PLC0415

        store = place.store()
        write(store, ref(7))
        head = place.get("0-7-1.snapshot")[:36]
        head = head[:8] + b"\x02\x00" + head[10:]
        place.damage(ref(7), lambda data: head + crc32c(head).to_bytes(4, "little") + data[40:])
        for call in (lambda: store.open(ref(7)), lambda: complete(store.verify(ref(7)))):
            with pytest.raises(NotUnderstood, match="'format of snapshots' of version 2 .* up to version 1"):
                call()


class TestChoosing:
    def test_the_newest_that_is_whole(self, place: Place) -> None:
        store = place.store()
        for index in range(1, 5):
            write(store, ref(index))
        place.damage(ref(4), flipped(100))
        place.damage(ref(3), lambda data: data[:-1])
        refused: list[SnapshotFailed] = []
        chosen = complete(newest_whole(store, 0, KNOWN, refused.append))
        assert chosen is not None
        assert (chosen.file.ref, [header.name for header, _ in chosen.sections]) == (ref(2), ["members", "machine"])
        assert ["0-4-1.snapshot" in str(refused[0]), "0-3-1.snapshot" in str(refused[1])] == [True, True]
        assert all(isinstance(error, SnapshotDamaged) for error in refused)

    def test_where_there_is_none(self, place: Place) -> None:
        store = place.store()
        refused: list[SnapshotFailed] = []
        assert complete(newest_whole(store, 0, KNOWN, refused.append)) is None
        write(store, ref(1))
        place.damage(ref(1), flipped(100))
        assert complete(newest_whole(store, 0, KNOWN, refused.append)) is None
        assert len(refused) == 1

    def test_what_must_be_understood_is_not_passed_over_for_an_older_one(self, place: Place) -> None:
        store = place.store()
        write(store, ref(1))
        write(store, ref(2), [(TypeHeader("sessions", 1), b"")])
        with pytest.raises(NotUnderstood, match="sessions"):
            complete(newest_whole(store, 0, KNOWN, lambda error: None))


class TestRetaining:
    def test_the_newest_two_stay_and_the_log_goes_behind_the_older(self, place: Place) -> None:
        store = place.store()
        write(store, ref(7, group=1))
        cut: list[SnapshotRef | None] = []
        for index in range(1, 5):
            write(store, ref(index))
            cut.append(complete(store.retain(0)))
        assert cut == [None, ref(1), ref(2), ref(3)]
        for each in (store, place.store()):
            assert (each.refs(0), each.refs(1)) == ((ref(4), ref(3)), (ref(7, group=1),))

    def test_other_numbers(self, place: Place) -> None:
        store = place.store()
        for index in range(1, 7):
            write(store, ref(index))
        assert complete(store.retain(0, 9)) is None
        assert complete(store.retain(0, 5)) == ref(2)
        assert complete(store.retain(0, 1)) == ref(6)
        assert store.refs(0) == (ref(6),)
        with pytest.raises(ValueError, match="0 or more, got -1"):
            complete(store.retain(0, -1))
        assert complete(store.retain(0, 0)) is None
        assert (store.refs(0), store.groups(), place.names()) == ((), (), [])

    def test_what_waits_beyond_an_index_does_not_count_and_stays(self, place: Place) -> None:
        """The log is cut behind what this node has applied, and not behind what it has merely received."""
        store = place.store()
        for index in (1, 2, 3, 8, 9):
            write(store, ref(index))
        assert complete(store.retain(0, up_to=2)) == ref(1)
        assert complete(store.retain(0, up_to=7)) == ref(2)
        assert store.refs(0) == (ref(9), ref(8), ref(3), ref(2))
        assert complete(store.retain(0, 0, up_to=7)) is None
        assert store.refs(0) == (ref(9), ref(8))
        assert complete(store.retain(0, up_to=8)) is None
        assert complete(store.retain(0, up_to=9)) == ref(8)

    def test_one_alone_that_nothing_needs(self, place: Place) -> None:
        store = place.store()
        for index in (1, 2, 3):
            write(store, ref(index))
        store.discard(ref(2))
        store.discard(ref(9))  # which is not there
        assert store.refs(0) == (ref(3), ref(1))
        assert place.store().refs(0) == (ref(3), ref(1))
        write(store, ref(2))
        assert store.refs(0) == (ref(3), ref(2), ref(1))

    def test_none_is_deleted_before_the_one_that_takes_its_place_was_read_back(self, place: Place) -> None:
        store = place.store()
        for index in range(1, 5):
            write(store, ref(index))
        place.damage(ref(3), flipped(100))
        assert complete(store.retain(0)) == ref(2)  # 3 does not count: 4 and 2 do
        assert store.refs(0) == (ref(4), ref(3), ref(2))
        write(store, ref(5))
        assert complete(store.retain(0)) == ref(4)
        assert store.refs(0) == (ref(5), ref(4))

    def test_it_is_read_back_once_and_in_small_steps(self, place: Place) -> None:
        store = place.store()
        write(store, ref(1), [(MACHINE, bytes(1_000_000))])
        write(store, ref(2))
        assert len(list(store.retain(0))) >= 5
        assert list(store.retain(0)) == []
        assert len(list(place.store().retain(0))) >= 5

    def test_what_takes_the_place_of_one_that_was_read_back_is_read_back_as_well(self, place: Place) -> None:
        store = place.store()
        write(store, ref(1))
        write(store, ref(2))
        assert complete(store.retain(0)) == ref(1)
        place.damage(ref(1), flipped(100))
        with pytest.raises(SnapshotDamaged):
            complete(store.verify(ref(1)))
        write(store, ref(1))
        place.damage(ref(1), flipped(100))
        assert complete(store.retain(0)) is None

    def test_one_that_is_being_deleted_does_not_count_any_more(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A reader may find its file, or none, meanwhile; it counts again where it could not be deleted."""
        store = place.store()
        for index in (1, 2, 3):
            write(store, ref(index))
        kind: Any = type(place.folder())
        remove: Callable[[Folder, str], None] = kind.remove
        counted: list[tuple[SnapshotRef, ...]] = []

        def removing(folder: Folder, name: str) -> None:
            counted.append(store.refs(0))
            remove(folder, name)
            counted.append(store.refs(0))

        def failing(folder: Folder, name: str) -> None:
            raise SnapshotFailed(name, "it cannot be deleted")

        monkeypatch.setattr(kind, "remove", failing)
        with pytest.raises(SnapshotFailed, match="cannot be deleted"):
            complete(store.retain(0, 2))
        assert store.refs(0) == (ref(3), ref(2), ref(1))
        monkeypatch.setattr(kind, "remove", removing)
        complete(store.retain(0, 2))
        assert counted == [(ref(3), ref(2))] * 2

    def test_where_all_are_damaged_all_stay(self, place: Place) -> None:
        store = place.store()
        for index in range(1, 4):
            write(store, ref(index))
            place.damage(ref(index), flipped(100))
        assert complete(store.retain(0)) is None
        assert store.refs(0) == (ref(3), ref(2), ref(1))
        complete(store.retain(0, 0))
        assert store.refs(0) == ()


class TestLooking:
    def test_nothing_is_changed_by_who_only_looks(self, place: Place) -> None:
        store = place.store()
        write(store, ref(7), SAMPLE)
        store.begin(ref(8)).section(MACHINE)
        receiver = complete(store.receive(SnapshotFile(ref(6), 1000, bytes(16))))
        receiver.close()
        names = place.names()
        assert len(names) == 3
        steps = place.disk.steps
        looking = place.store(read_only=True)
        assert contents(looking, ref(7)) == SAMPLE
        complete(looking.verify(ref(7)))
        for call in (
            lambda: looking.begin(ref(9)),
            lambda: complete(looking.retain(0, 0)),
            lambda: complete(looking.receive(SnapshotFile(ref(9), 1000, bytes(16)))),
        ):
            with pytest.raises(ValueError, match="not loaded to be changed"):
                call()
        assert (place.names(), place.disk.steps) == (names, steps)

    def test_what_is_somebody_elses_is_left_alone(self, place: Place) -> None:
        strange = ["0-7-1.snapshot.old", "00-7-1.snapshot", "0-0-1.snapshot", "0-7-1.SNAPSHOT", "notes", "7-1.writing"]
        strange += ["0-99999999999999999999-1.snapshot", "0-7-1-5-00.receiving", "0-0-1.writing"]
        for name in strange:
            place.put(name, b"x")
        store = place.store()
        assert store.groups() == ()
        write(store, ref(7))
        complete(store.retain(0, 0))
        assert place.names() == sorted(strange)


def test_a_store_that_was_not_loaded_changes_nothing(place: Place) -> None:
    from raftpy.storage.snapshots.store import SnapshotStore  # noqa: PLC0415

    store = SnapshotStore(place.folder())
    with pytest.raises(ValueError, match="not loaded"):
        store.begin(ref(1))
    with pytest.raises(ValueError, match="a block has 69 to 262144 bytes, got 10"):
        SnapshotStore(place.folder(), max_body=10)


def test_groups_by_the_hundred(place: Place) -> None:
    store = place.store()
    for group in range(100):
        write(store, ref(5, group), sample(group))
    store = place.store()
    assert store.groups() == tuple(range(100))
    assert all(contents(store, ref(5, group)) == sample(group) for group in range(100))
