"""A log and its storage: the start, snapshots and compaction, reading back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from raftcore.base.errors import Compacted, ConfigError, InvariantViolation, PeerFault, Unavailable
from raftcore.log.log import RaftLog
from raftcore.values.message import Snapshot
from tests.model.log import UNLIMITED, Disk
from tests.unit.logs import NORMAL, ents, log_of, stored, terms

BOTH = pytest.mark.parametrize("make", [log_of, stored], ids=["memory", "disk"])


# ---- snapshots and compaction


def test_restore() -> None:
    log = log_of(1, 1, 2, committed=1)
    snapshot = Snapshot(7, 3)
    log.restore(snapshot)
    log.check()
    assert (log.first_index(), log.last_index(), log.last_term(), log.committed) == (8, 7, 3, 7)
    assert (log.applied, log.applying) == (0, 0)  # it has to be applied yet
    assert terms(log) == [3]
    assert log.term_at(6) is None
    assert log.snapshot() is snapshot
    assert log.next_unstable_snapshot() is snapshot
    log.accept_unstable()
    assert log.next_unstable_snapshot() is None
    assert log.has_next_or_in_progress_snapshot()
    with pytest.raises(Compacted):
        log.slice(7, 8, UNLIMITED)
    log.stable_snapshot_to(6)  # another one
    assert log.has_next_or_in_progress_snapshot()
    log.stable_snapshot_to(7)
    assert not log.has_next_or_in_progress_snapshot()
    assert log.snapshot() == Snapshot()  # the storage's


def test_restore_behind_commit_is_refused() -> None:
    log = log_of(1, 1, 2, committed=2)
    with pytest.raises(InvariantViolation, match="restore of a snapshot at 1: 2 is committed"):
        log.restore(Snapshot(1, 1))
    assert log.last_index() == 3


def test_a_snapshot_behind_all_possible_indexes_is_refused() -> None:
    """Whoever sends it: the index after it would be 0."""
    log = log_of(1, 1)
    with pytest.raises(PeerFault, match="a snapshot at 18446744073709551615, at most 9223372036854775807 is possible"):
        log.restore(Snapshot(UNLIMITED, 1))
    assert log.last_index() == 2
    log.restore(Snapshot(UNLIMITED // 2, 1))
    assert log.append_commands([b"x"], 1, NORMAL, 0) == UNLIMITED // 2 + 1
    log.check()


def test_none_is_no_snapshot_and_no_entries() -> None:
    log = log_of(1)
    for call in (log.restore, log.append, log.find_conflict, log.unstable.restore):
        with pytest.raises(TypeError, match="got None"):
            call(None)


@BOTH
def test_compaction(make: Callable[..., RaftLog]) -> None:
    log = make(1, 1, 2, 3, 3, committed=4, durable=True) if make is log_of else make(1, 1, 2, 3, 3, committed=4)
    log.applied_to(4, 0)
    log.compact(3)
    log.check()
    assert (log.snapshot_index, log.snapshot_term, log.first_index()) == (3, 2, 4)
    assert terms(log) == [2, 3, 3]
    assert [e.index for e in log.slice(4, 6, UNLIMITED)] == [4, 5]
    with pytest.raises(Compacted):
        log.slice(3, 5, UNLIMITED)
    with pytest.raises(Compacted):
        log.compact(3)
    with pytest.raises(Unavailable, match="cannot compact up to 5: entries are applied up to 4 and durable up to 5"):
        log.compact(5)
    log.compact(4)
    assert log.maybe_append(4, 3, 0, ents(5, 3, 3)) == 6


def test_what_is_not_durable_is_not_compacted() -> None:
    log = log_of(1, 1, committed=2)
    log.applied_to(2, 0)
    log.stable_to(1, 1)
    with pytest.raises(Unavailable, match="applied up to 2 and durable up to 1"):
        log.compact(2)
    log.compact(1)
    log.check()


def test_compaction_up_to_the_last_entry() -> None:
    log = log_of(1, 2, committed=2, durable=True)
    log.applied_to(2, 0)
    log.compact(2)
    log.check()
    assert (log.first_index(), log.last_index(), log.last_term()) == (3, 2, 2)
    assert log.append_commands([b"x"], 2, NORMAL, 0) == 3
    log.check()
    assert terms(log) == [2, 2]


# ---- the start


def test_entries_on_the_disk_are_there() -> None:
    log = stored(2, 2, 3, base=4, base_term=1, committed=6, applied=5)
    assert (log.first_index(), log.last_index(), log.window_first) == (5, 7, 8)
    assert (log.committed, log.applying, log.applied) == (6, 5, 5)
    assert (log.unstable.offset, log.unstable.offset_in_progress) == (8, 8)
    assert log.next_unstable() is None
    assert [e.index for e in log.next_committed(False)] == [6]
    assert terms(log) == [1, 2, 2, 3]


def test_commit_and_applied_begin_at_the_snapshot() -> None:
    log = RaftLog(Disk(4, 1), 4, 1)
    assert (log.committed, log.applying, log.applied, log.last_index()) == (4, 4, 4, 4)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"snapshot_index": 4, "last_index": 3}, "got 4, 4, 4, 3"),
        ({"committed": 4, "last_index": 3, "term_runs": [(1, 1)]}, "got 0, 0, 4, 3"),
        ({"applied": 2, "committed": 1, "last_index": 3, "term_runs": [(1, 1)]}, "got 0, 2, 1, 3"),
        ({"snapshot_index": 4, "applied": 3, "last_index": 5, "term_runs": [(5, 1)]}, "got 4, 3, 4, 5"),
        ({"last_index": 3}, "no term runs for entries 1 to 3"),
        ({"last_index": 3, "term_runs": [(2, 1)]}, r"term run \(2, 1\) after \(0, 0\)"),
        ({"last_index": 3, "term_runs": [(1, 0)]}, r"term run \(1, 0\)"),
        ({"last_index": 3, "term_runs": [(1, 2), (2, 1)]}, r"term run \(2, 1\) after \(1, 2\)"),
        ({"last_index": 3, "term_runs": [(1, 1), (1, 2)]}, r"term run \(1, 2\) after \(1, 1\)"),
        ({"last_index": 3, "term_runs": [(1, 1), (4, 2)]}, "within the last index 3"),
        ({"snapshot_index": 2, "snapshot_term": 5, "last_index": 3, "term_runs": [(3, 4)]}, r"after \(2, 5\)"),
        (
            {"last_index": 3, "term_runs": [(1, 1)], "conf_changes": [2, 4]},
            "configuration change 4 after 2: they must ascend, from 1 to the last index 3",
        ),
        ({"last_index": 3, "term_runs": [(1, 1)], "conf_changes": [2, 2]}, "configuration change 2 after 2"),
        (
            {"snapshot_index": 2, "last_index": 3, "term_runs": [(3, 1)], "conf_changes": [2]},
            "configuration change 2 after 2: they must ascend, from 3",
        ),
        ({"max_applying_bytes": 0}, "max_applying_bytes must be at least 1, got 0"),
        (
            {"last_index": UNLIMITED, "term_runs": [(1, 1)]},
            "last_index must be at most 9223372036854775807, got 18446744073709551615",
        ),
    ],
)
def test_a_start_that_does_not_fit_together_is_refused(arguments: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        RaftLog(Disk(), **arguments)


# ---- a storage that contradicts the log


class Liar(Disk):
    answer: object = None

    def entries(self, lo: int, hi: int, max_bytes: int) -> object:
        return self.answer

    def snapshot(self) -> object:
        return self.answer


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (None, r"storage gave NoneType for entries \[2, 4\), not Entries"),
        ([b"x"], "storage gave list for entries"),
        (ents(1, 1, 1), r"storage gave entries \[1, 3\) for \[2, 4\)"),
        (ents(2, 1, 2, 2), r"storage gave entries \[2, 5\) for \[2, 4\)"),
        (ents(2, 1, 3), "storage gave another term for entry 3 than the log's 2"),
        (ents(2, 2, 2), "storage gave another term for entry 2 than the log's 1"),
    ],
)
def test_a_storage_that_contradicts_the_log(answer: object, text: str) -> None:
    disk = Liar()
    disk.answer = answer
    log = RaftLog(disk, last_index=3, term_runs=[(1, 1), (3, 2)])
    with pytest.raises(InvariantViolation, match=text):
        log.slice(2, 4, UNLIMITED)
    with pytest.raises(InvariantViolation, match="storage gave"):
        log.has_pending_conf_change(2, 4)


def test_a_storage_without_a_snapshot() -> None:
    with pytest.raises(InvariantViolation, match="storage gave NoneType, not a Snapshot"):
        RaftLog(Liar()).snapshot()
