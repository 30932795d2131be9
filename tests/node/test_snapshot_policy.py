"""When a snapshot is due, and how far the log is cut: tables of what goes in and what comes out."""

from __future__ import annotations

import math

import pytest

from raftpy.runtime.snapshot_policy import APART_S, Behind, SnapshotPolicy, cut_to, is_due, share_of

MB = 1 << 20
BYTES = SnapshotPolicy(100 * MB)
ENTRIES = SnapshotPolicy(100 * MB, entries=1000)


@pytest.mark.parametrize(
    ("policy", "share", "entries", "size", "snapshot", "seconds", "due"),
    [
        # Nothing was applied behind the last one.
        (BYTES, 0, 0, 200 * MB, 1, math.inf, False),
        (ENTRIES, 0, 0, 0, 1, math.inf, False),
        # Bytes of log behind it.
        (BYTES, 0, 1, 100 * MB, 1, math.inf, True),
        (BYTES, 0, 1, 100 * MB - 1, 1, math.inf, False),
        # As many as the state has, where that is more: snapshots write no more than the log does.
        (BYTES, 0, 1, 200 * MB, 300 * MB, math.inf, False),
        (BYTES, 0, 1, 300 * MB, 300 * MB, math.inf, True),
        # One a minute.
        (BYTES, 0, 1, 900 * MB, 1, APART_S - 1, False),
        (BYTES, 0, 1, 900 * MB, 1, APART_S, True),
        # Entries, at any time, and only where they were set.
        (ENTRIES, 0, 1000, 0, 1, 0, True),
        (ENTRIES, 0, 999, 0, 1, 0, False),
        (BYTES, 0, 10**9, 0, 1, math.inf, False),
        (ENTRIES, 0, 1, 100 * MB, 1, math.inf, True),
        # The first one comes later by the node's share, the others do not.
        (BYTES, 0.5, 1, 149 * MB, 0, math.inf, False),
        (BYTES, 0.5, 1, 150 * MB, 0, math.inf, True),
        (BYTES, 0.5, 1, 100 * MB, 1, math.inf, True),
        (ENTRIES, 0.5, 1499, 0, 0, 0, False),
        (ENTRIES, 0.5, 1500, 0, 0, 0, True),
        (ENTRIES, 0.5, 1000, 0, 1, 0, True),
    ],
)
def test_a_snapshot_is_due(
    policy: SnapshotPolicy, share: float, entries: int, size: int, snapshot: int, seconds: float, *, due: bool
) -> None:
    assert is_due(policy, share, Behind(entries, size, snapshot, seconds)) is due


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
