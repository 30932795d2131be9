"""When a snapshot is due, and how far the log is cut: tables of what goes in and what comes out."""

from __future__ import annotations

import math

import pytest

from raftpy.runtime.snapshot_policy import (
    APART_S,
    BRIEF_BYTES,
    TURN_S,
    Behind,
    SnapshotPolicy,
    cut_to,
    is_due,
    is_short,
    matters,
    share_of,
)

MB = 1 << 20
BYTES = SnapshotPolicy(100 * MB)
ENTRIES = SnapshotPolicy(100 * MB, entries=1000)
FEW = SnapshotPolicy(10 * MB)
TURN = 30 + 7 * APART_S
"""A log time at which the turn of the node with a share of 0.5 begins."""


@pytest.mark.parametrize(
    ("policy", "share", "entries", "size", "snapshot", "seconds", "log_s", "due"),
    [
        # Nothing was applied behind the last one.
        (BYTES, None, 0, 200 * MB, 1, math.inf, TURN, False),
        (ENTRIES, None, 0, 0, 1, math.inf, TURN, False),
        (BYTES, 0.5, 0, 200 * MB, 1, math.inf, TURN, False),
        # Bytes of log behind it.
        (BYTES, None, 1, 100 * MB, 1, math.inf, TURN - 1, True),
        (BYTES, None, 1, 100 * MB - 1, 1, math.inf, TURN - 1, False),
        # As many as the state has, where that is more: snapshots write no more than the log does.
        (BYTES, None, 1, 200 * MB, 300 * MB, math.inf, TURN - 1, False),
        (BYTES, None, 1, 300 * MB, 300 * MB, math.inf, TURN - 1, True),
        # One a minute.
        (BYTES, None, 1, 900 * MB, 1, APART_S - 1, TURN - 1, False),
        (BYTES, None, 1, 900 * MB, 1, APART_S, TURN - 1, True),
        # Who has others beside it waits for its turn, be it the first one or not.
        (BYTES, 0.5, 1, 100 * MB, 1, math.inf, TURN, True),
        (BYTES, 0.5, 1, 100 * MB - 1, 1, math.inf, TURN, False),
        (BYTES, 0.5, 1, 300 * MB, 300 * MB, math.inf, TURN, True),
        (BYTES, 0.5, 1, 300 * MB - 1, 300 * MB, math.inf, TURN, False),
        (BYTES, 0.5, 1, 900 * MB, 1, math.inf, TURN - 0.1, False),
        (BYTES, 0.5, 1, 900 * MB, 1, math.inf, TURN + TURN_S - 0.1, True),
        (BYTES, 0.5, 1, 900 * MB, 1, math.inf, TURN + TURN_S, False),
        (BYTES, 0.5, 1, 900 * MB, 0, math.inf, TURN + TURN_S, False),
        (BYTES, 0.5, 1, 100 * MB, 0, math.inf, TURN, True),
        (BYTES, 0.0, 1, 100 * MB, 0, math.inf, TURN, False),
        (BYTES, 0.0, 1, 100 * MB, 0, math.inf, 7 * APART_S, True),
        # One a turn, of a minute each: the last one may have been at the end of the turn before.
        (BYTES, 0.5, 1, 900 * MB, 1, TURN_S - 1, TURN + TURN_S - 1, False),
        (BYTES, 0.5, 1, 900 * MB, 1, APART_S - TURN_S, TURN, True),
        (BYTES, 0.5, 1, 900 * MB, 1, APART_S - TURN_S - 1, TURN, False),
        # Entries, at any time, and only where they were set.
        (ENTRIES, None, 1000, 0, 1, 0, TURN - 1, True),
        (ENTRIES, None, 999, 0, 1, 0, TURN - 1, False),
        (ENTRIES, 0.5, 1000, 0, 1, 0, TURN - 1, True),
        (BYTES, None, 10**9, 0, 1, math.inf, TURN - 1, False),
        (ENTRIES, None, 1, 100 * MB, 1, math.inf, TURN - 1, True),
        # Of small ones the first comes later by the node's share, the others do not; none waits for a turn.
        (FEW, 0.5, 1, 15 * MB - 1, 0, math.inf, TURN, False),
        (FEW, 0.5, 1, 15 * MB, 0, math.inf, TURN - 1, True),
        (FEW, 0.5, 1, 10 * MB, 1, math.inf, TURN - 1, True),
        (FEW, 0.5, 1, 10 * MB, 1, APART_S - 1, TURN - 1, False),
        (FEW, 0.5, 1, BRIEF_BYTES, BRIEF_BYTES - 1, math.inf, TURN - 1, True),
        (FEW, 0.5, 1, BRIEF_BYTES, BRIEF_BYTES, math.inf, TURN - 1, False),
        (ENTRIES, 0.5, 1499, 0, 0, 0, TURN, False),
        (ENTRIES, 0.5, 1500, 0, 0, 0, TURN - 1, True),
    ],
)
def test_a_snapshot_is_due(
    policy: SnapshotPolicy,
    share: float | None,
    entries: int,
    size: int,
    snapshot: int,
    seconds: float,
    log_s: float,
    *,
    due: bool,
) -> None:
    assert is_due(policy, share, Behind(entries, size, snapshot, seconds), log_s) is due


GB = 1 << 30


@pytest.mark.parametrize(
    ("size", "snapshot", "free", "due"),
    [
        # As much log again and another snapshot, with what was appended, would take what is free: at once.
        (100 * MB, GB, GB + 200 * MB, False),  # less than an eighth of what a snapshot writes
        (128 * MB, GB, GB + 256 * MB + 128 * MB, False),
        (128 * MB, GB, GB + 256 * MB, True),
        (128 * MB, GB, GB + 128 * MB, True),
        # It might find no room.
        (128 * MB, GB, GB + 128 * MB - 1, False),
        (128 * MB, GB, 0, False),
        # A first one, of which nothing is known but what it is made of.
        (20 * MB, 0, 60 * MB, False),
        (20 * MB, 0, 40 * MB, True),
        (20 * MB, 0, 20 * MB, True),
        (20 * MB, 0, 20 * MB - 1, False),
        # What has little is tried where twice as much is free: it frees far more log than it takes.
        (128 * MB, 2 * MB, 4 * MB, True),
        (128 * MB, 2 * MB, 4 * MB - 1, False),
        (128 * MB, 2 * MB + 1, 4 * MB + 2, False),
        (128 * MB, 1000, 2000, True),
        (128 * MB, 1000, 1999, False),
        (16 * MB, 20, 0, False),
        # So little log that nothing is won.
        (16 * MB - 1, 1, 20 * MB, False),
        (16 * MB, 1, 20 * MB, True),
        # Nobody has asked, or no answer came.
        (200 * MB, GB, None, False),
    ],
)
@pytest.mark.parametrize("share", [None, 0.0, 0.5])
def test_a_snapshot_is_due_at_once_where_the_disk_runs_short(
    size: int, snapshot: int, free: int | None, share: float | None, *, due: bool
) -> None:
    """Whatever the minute and the turn."""
    behind = Behind(1, size, snapshot, 1.0, free)
    assert not is_due(SnapshotPolicy(256 * MB), share, behind, TURN - 1)
    assert is_short(share, behind) is due
    assert not due or matters(size, snapshot), "the free space is asked for where it may make one due"
    assert not is_short(share, Behind(0, size, snapshot, 1.0, free))


@pytest.mark.parametrize(("share", "free"), [(None, 400), (0.0, 400), (1 / 4, 450), (1 / 2, 500)])
def test_members_with_such_disks_are_not_short_at_the_same_entry(share: float | None, free: int) -> None:
    for more, due in ((0, True), (1, False)):
        assert is_short(share, Behind(1, 200 * MB, 1, 1.0, free * MB + 1 + more)) is due


@pytest.mark.parametrize(
    ("free", "due"),
    [
        # Room for this one's and the others', and for as much log again as there is behind all of them.
        (GB + 128 * MB + 3 * GB + (128 + 300) * MB + 1, False),
        (GB + 128 * MB + 3 * GB + (128 + 300) * MB, True),
        # Room for this one's alone: it is due before there is none.
        (GB + 128 * MB, True),
        (GB + 128 * MB - 1, False),
    ],
)
def test_what_other_groups_of_the_host_would_need_counts(free: int, *, due: bool) -> None:
    behind = Behind(1, 128 * MB, GB, 1.0, free, others=3 * GB, others_log=300 * MB)
    assert is_short(None, behind) is due


@pytest.mark.parametrize(
    ("first", "kept", "durable", "held", "to"),
    [
        (1, 10, 100, 100, 10),  # the oldest snapshot kept
        (1, 10, 7, 100, 7),  # what a machine on disk has synced
        (1, 10, 100, 5, 5),  # what a member still needs
        (1, 0, 100, 100, 0),  # none was read back
        (1, 10, 100, 0, 0),  # nobody knows who needs what
        (8, 10, 100, 7, 0),  # it is cut that far already
        (8, 10, 100, 8, 8),
        (11, 10, 100, 100, 0),
    ],
)
def test_the_log_is_cut(first: int, kept: int, durable: int, held: int, to: int) -> None:
    assert cut_to(first, kept, durable, held) == to


def test_the_shares_of_the_members_lie_apart() -> None:
    members = (7, 3, 5)
    assert [share_of(node_id, members) for node_id in sorted(members)] == [0, 1 / 3, 2 / 3]
    assert share_of(9, (9,)) == 0
