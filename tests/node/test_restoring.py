"""From where a group goes on at a start: by what its log, its snapshots and its state machine say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from raftcore import ConfState, HardState, Snapshot
from raftcore.values.storage_view import InitialState
from raftpy import NotUnderstood, StorageDamaged
from raftpy.contracts.errors import Stopped
from raftpy.contracts.snapshots import CheckedSnapshot, SnapshotRef, Steps
from raftpy.contracts.typed import TypeHeader
from raftpy.members.own_entries import MEMBERS
from raftpy.members.table import MemberRecord, MemberTable
from raftpy.runtime.restoring import Restoring, Start
from raftpy.runtime.saved_state import StateReader
from raftpy.runtime.sections import state_header
from raftpy.runtime.starting import StartProgress
from raftpy.storage.snapshots.memory import MemoryFolder
from raftpy.storage.snapshots.metadata import write_metadata
from raftpy.storage.snapshots.names import whole_name
from raftpy.storage.snapshots.store import SnapshotStore
from tests.node.words import CHUNK, Words, WordsDisk, WordsOnDisk

TABLE = MemberTable({3: MemberRecord(priority=7)})


def term_at(index: int) -> int:
    """In every log here: term 1 up to entry 15, then term 2."""
    return 1 if index <= 15 else 2


def log(begins_behind: int, last: int, commit: int = 0) -> InitialState:
    runs = tuple((max(first, begins_behind + 1), term_at(first)) for first in (1, 16) if first <= last)
    return InitialState(
        hard_state=HardState(2, 0, max(commit, begins_behind)),
        conf_state=ConfState([1]),
        snapshot_index=begins_behind,
        snapshot_term=term_at(begins_behind) if begins_behind else 0,
        last_index=last,
        term_runs=runs[-1:] if begins_behind >= 15 else runs,
    )


class Given:
    """A folder of snapshots, each of the words up to its index, with the configuration of as many voters."""

    def __init__(self, *indexes: int) -> None:
        self.folder = MemoryFolder()
        self.store = SnapshotStore(self.folder)
        self.store.load()
        for index in indexes:
            self.write(SnapshotRef(0, index, term_at(index)))

    def write(self, ref: SnapshotRef, state: TypeHeader | None = None) -> None:
        writer = self.store.begin(ref)
        write_metadata(writer, Snapshot(ref.index, ref.term, ConfState([1, ref.index]), ref.index - 1, 5))
        writer.section(MEMBERS)
        writer.write(TABLE.encode())
        writer.section(state or state_header(1))
        for index in range(1, ref.index + 1):
            writer.write(CHUNK.pack(index, 1) + b"x")
        writer.commit()

    def damage(self, index: int) -> None:
        self.folder.held[whole_name(SnapshotRef(0, index, term_at(index)))][-60] ^= 1

    def start(self, machine: Words, initial: InitialState, *, others: bool = False) -> Start:
        self.store = SnapshotStore(self.folder)
        self.store.load()
        return Restoring("node 1", 0, machine, self.store, initial, others=others).run()


def on_disk(applied: int) -> WordsOnDisk:
    return WordsOnDisk(WordsDisk([(index, b"x") for index in range(1, applied + 1)], applied))


def test_the_snapshot_is_where_the_core_begins() -> None:
    given, machine = Given(10, 20), Words()
    start = given.start(machine, log(10, 30))
    assert (start.applied, start.known, start.size) == (
        20,
        20,
        len(given.folder.held[whole_name(SnapshotRef(0, 20, 2))]),
    )
    assert start.initial.conf_state == ConfState([1, 20])
    assert start.initial.conf_index == 19
    assert start.initial.snapshot_index == 10, "the log begins where it did"
    assert start.table == TABLE
    assert [index for index, _ in machine.words] == list(range(1, 21))


@pytest.mark.parametrize(
    ("snapshots", "begins_behind", "stands", "restored", "applied"),
    [
        ((), 0, 0, False, 0),  # a first start
        ((), 0, 17, False, 0),  # the log alone says the configuration
        ((10, 20), 0, 25, False, 20),
        ((10, 20), 10, 25, False, 20),
        ((10, 20), 10, 20, False, 20),
        ((10, 20), 10, 17, False, 10),  # the older one says what the configuration was
        ((10, 20), 0, 7, False, 0),  # older than both, and the log is whole
        ((10, 20), 5, 7, True, 20),  # older than both, and nothing says the configuration at 5
        ((10, 20), 10, 7, True, 20),  # the log begins behind it
        ((10, 20), 10, 0, True, 20),  # a restore was cut off, or the machine's disk is new
        ((10, 20), 0, 0, True, 20),
    ],
)
def test_a_machine_on_disk_is_restored_only_where_the_log_does_not_go_on_from_it(
    snapshots: tuple[int, ...], begins_behind: int, stands: int, *, restored: bool, applied: int
) -> None:
    machine = on_disk(stands)
    start = Given(*snapshots).start(machine, log(begins_behind, 30))
    assert bool(machine.restored) is restored
    assert start.applied == applied
    assert start.known == (applied if restored else stands)
    assert start.initial.hard_state.commit >= start.known
    if applied:
        assert start.initial.conf_state == ConfState([1, applied])


@pytest.mark.parametrize("commit", [0, 18, 22, 29])
@pytest.mark.parametrize(
    ("snapshots", "stands", "begins_behind", "said"),
    [
        ((10, 20), None, 10, 20),  # a machine in memory has what its snapshot has
        ((10, 20), None, 0, 20),
        ((), None, 0, 0),
        ((), 25, 0, 25),
        ((10,), 25, 10, 25),
        ((10, 20), 25, 10, 25),
        ((10, 20), 20, 10, 20),
        ((10, 20), 17, 10, 20),  # the newest snapshot is newer than the machine, which did not sync so far
        ((10, 20), 17, 0, 20),
        ((10, 20), 7, 0, 20),
        ((10, 20), 17, 20, 20),  # and the log is cut behind it
        ((10, 20, 30), 17, 10, 30),
        ((10, 20, 31), 17, 10, 20),  # the log does not reach the newest
        ((20,), 0, 0, 20),
    ],
)
def test_the_commit_index_is_the_highest_that_anything_says(
    snapshots: tuple[int, ...], stands: int | None, begins_behind: int, said: int, commit: int
) -> None:
    machine = Words() if stands is None else on_disk(stands)
    start = Given(*snapshots).start(machine, log(begins_behind, 30, commit))
    assert start.initial.hard_state == HardState(2, 0, max(commit, said))


@pytest.mark.parametrize("begins_behind", [0, 10, 20])
def test_what_is_committed_and_not_applied_is_in_the_log(begins_behind: int) -> None:
    """Else the core would hand out what is nowhere: the machine has it from the snapshot then."""
    machine = on_disk(17)
    start = Given(10, 20).start(machine, log(begins_behind, 30))
    assert start.initial.hard_state.commit == 20
    assert start.known == (20 if begins_behind == 20 else 17)
    assert bool(machine.restored) is (begins_behind == 20)
    assert begins_behind <= start.applied <= start.known


def test_a_snapshot_newer_than_the_machine_is_believed_by_its_head_and_its_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    given = Given(10, 20)
    read: list[int] = []
    verify = SnapshotStore.verify

    def noted(store: SnapshotStore, ref: SnapshotRef, known: Mapping[str, int] | None = None) -> Steps[CheckedSnapshot]:
        read.append(ref.index)
        return verify(store, ref, known)

    monkeypatch.setattr(SnapshotStore, "verify", noted)
    assert given.start(on_disk(17), log(10, 30)).initial.hard_state.commit == 20
    assert read == [10], "only what a configuration is taken from is read from end to end"
    name = whole_name(SnapshotRef(0, 20, 2))
    whole = bytes(given.folder.held[name])
    for at in (0, 20, 30, 36, len(whole) - 1, len(whole) - 20):  # magic, index, term and checksum; the end
        given.folder.held[name][at] ^= 1
        assert given.start(on_disk(17), log(10, 30)).initial.hard_state.commit == 17, f"byte {at} was damaged"
        assert "it says nothing of what is committed" in caplog.text
        given.folder.held[name][at] ^= 1
        caplog.clear()
    del given.folder.held[name][-1]
    assert given.start(on_disk(17), log(10, 30)).initial.hard_state.commit == 17
    given.write(SnapshotRef(0, 18, 2))
    assert given.start(on_disk(17), log(10, 30)).initial.hard_state.commit == 18, "the one before it is as good"


def test_a_snapshot_of_another_log_commits_nothing_of_this_one() -> None:
    """It was received, and the node died before it took the log's place: entry 20 here is another, uncommitted one."""
    given = Given(10)
    given.write(SnapshotRef(0, 20, 3))
    assert given.start(on_disk(17), log(10, 30)).initial.hard_state.commit == 17
    given.write(SnapshotRef(0, 19, 2))
    assert given.start(on_disk(17), log(10, 30)).initial.hard_state.commit == 19


def test_an_older_one_is_used_where_the_newest_is_damaged_unless_the_log_does_not_reach_it() -> None:
    given = Given(10, 20)
    given.damage(20)
    machine = Words()
    assert given.start(machine, log(10, 30)).applied == 10
    assert len(machine.words) == 10
    with pytest.raises(
        StorageDamaged, match="the log begins behind entry 11, no whole snapshot reaches it, and this node"
    ):
        given.start(Words(), log(11, 30))
    given.damage(10)
    with pytest.raises(StorageDamaged, match="no whole snapshot reaches it"):
        given.start(Words(), log(10, 30))
    assert given.start(Words(), log(0, 30)) == Start(log(0, 30))


def test_what_a_machine_on_disk_has_applied_is_committed_also_where_no_snapshot_is_whole() -> None:
    """It waits for another member's, which says the configuration."""
    given = Given(10, 20)
    given.damage(10)
    given.damage(20)
    start = given.start(on_disk(25), log(10, 30, commit=22), others=True)
    assert start.initial.awaits_state
    assert start.initial.hard_state == HardState(2, 0, 25)
    assert given.start(on_disk(25), log(10, 30, commit=27), others=True).initial.hard_state == HardState(2, 0, 27)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(StorageDamaged, match="applied entries up to 31, and the log ends at 30"):
        Given().start(on_disk(31), log(0, 30))
    given = Given()
    given.write(SnapshotRef(0, 20, 1))
    with pytest.raises(StorageDamaged, match="the log has term 2 at entry 20, and the snapshot there term 1"):
        given.start(Words(), log(0, 30, commit=20))
    given = Given()
    given.write(SnapshotRef(0, 20, 2), TypeHeader("other"))
    with pytest.raises(NotUnderstood, match="'other' of version 1 must be understood"):
        given.start(Words(), log(0, 30))
    given = Given()
    given.write(SnapshotRef(0, 20, 2), state_header(2))
    with pytest.raises(NotUnderstood, match="knows it up to version 1"):
        given.start(Words(), log(0, 30))
    given.write(SnapshotRef(0, 21, 2), replace(state_header(1), name="passed-over", must_understand=False))
    with pytest.raises(StorageDamaged, match="has no section 'state'"):
        given.start(Words(), log(0, 30))


@pytest.mark.parametrize("older", [(), (10,)])
def test_one_that_was_received_and_did_not_take_the_logs_place_waits(older: tuple[int, ...]) -> None:
    """The node died in between. The log goes on as it is: it may not reach the snapshot, or have other entries up there
    that were never committed. Once it has the same entry there, the snapshot is as good as one of its own."""
    given = Given(*older, 20)
    for initial in (log(0, 19), log(0, 10)):
        assert given.start(Words(), initial).applied == max(older, default=0)
    given = Given(*older)
    given.write(SnapshotRef(0, 20, 3))
    assert given.start(Words(), log(0, 30, commit=19)).applied == max(older, default=0)
    assert given.start(on_disk(19), log(0, 30, commit=19)).applied == max(older, default=0)
    given.write(SnapshotRef(0, 18, 2))
    assert given.start(Words(), log(0, 30)).applied == 18


def test_what_the_machine_raises_says_where() -> None:
    class Wrong(Words):
        def restore(self, saved: object) -> None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        Given(20).start(Wrong(), log(0, 30))
    assert caught.value.__notes__ == ["node 1: while the snapshot of group 0, index 20, term 2 was restored"]


def test_a_start_that_is_given_up_ends_at_the_next_block() -> None:
    given = Given(20)
    with pytest.raises(Stopped):
        Restoring("node 1", 0, Words(), given.store, log(0, 30), others=False).run(lambda: True)


def test_the_machine_reads_its_bytes_in_whatever_pieces_it_likes() -> None:
    data = bytes(range(100))
    for size in (1, 7, 40, 99, 100, 101):
        reader = StateReader(1, 100, iter([data[:40], b"", data[40:41], data[41:]]), lambda: False)
        pieces = []
        while piece := reader.read(size):
            pieces.append(piece)
        assert b"".join(pieces) == data
        assert {len(piece) for piece in pieces[:-1]} <= {size}
    assert reader.read(0) == b""
    with pytest.raises(ValueError, match="0 or more, got -1"):
        reader.read(-1)


def test_it_says_how_far_it_is() -> None:
    given = Given(10, 20)
    told: list[StartProgress] = []
    Restoring("node 1", 0, Words(), given.store, log(0, 25), others=False).run(told=told.append)
    checked = [progress for progress in told if progress.phase == "checking"]
    restored = [progress for progress in told if progress.phase == "restoring"]
    assert told == [*checked, *restored]
    assert checked
    assert all((progress.snapshot_index, progress.size) == (None, None) for progress in checked)
    assert restored
    assert all(progress.snapshot_index == 20 for progress in restored)
    assert restored[-1].position == restored[-1].size == 20 * (CHUNK.size + 1)
    for progress in (checked, restored):
        positions = [one.position for one in progress]
        assert positions == sorted(positions)


def test_a_start_is_said_in_words() -> None:
    assert StartProgress().describe() == "its store is being read"
    assert StartProgress("checking", position=1000).describe() == (
        "its newest snapshot is being read back, 1,000 bytes so far"
    )
    assert StartProgress("restoring", 0, 7, 1000, 2000).describe() == (
        "its state is being restored from the snapshot at entry 7, 1,000 of 2,000 bytes so far"
    )
