"""The borders of what is not durable: handed out, acknowledged, cut back."""

from __future__ import annotations

import pytest

from raftcore.log.unstable import Unstable
from raftcore.values.message import Snapshot


def unstable(
    offset: int, in_progress: int, last: int, snapshot: int = 0, snapshot_in_progress: bool = False
) -> Unstable:
    """Borders as given, brought about by the calls that lead there; `last` is the log's last index meanwhile."""
    u = Unstable(offset)
    if snapshot:
        u.restore(Snapshot(snapshot, 1))
        assert u.offset == offset
        if snapshot_in_progress:
            u.accept_in_progress(snapshot)
    if in_progress > offset:
        u.accept_in_progress(in_progress - 1)
    return u


def borders(u: Unstable) -> tuple[int, int]:
    return u.offset, u.offset_in_progress


@pytest.mark.parametrize(
    ("offset", "in_progress", "last", "after"),
    [
        (5, 5, 4, (5, 5)),  # nothing to write
        (5, 5, 5, (5, 6)),
        (5, 5, 6, (5, 7)),
        (5, 6, 6, (5, 7)),  # some of it was handed out before
        (5, 7, 6, (5, 7)),  # all of it was
    ],
)
def test_what_is_handed_out_is_in_progress(offset: int, in_progress: int, last: int, after: tuple[int, int]) -> None:
    u = unstable(offset, in_progress, last)
    u.accept_in_progress(last)
    assert borders(u) == after
    assert not u.snapshot_in_progress


@pytest.mark.parametrize("last", [4, 5])
def test_the_snapshot_is_handed_out_with_the_entries(last: int) -> None:
    u = unstable(5, 5, last, snapshot=4)
    u.accept_in_progress(last)
    assert u.snapshot_in_progress
    assert borders(u) == (5, last + 1)


@pytest.mark.parametrize(
    ("offset", "in_progress", "last", "index", "after"),
    [
        (5, 6, 5, 5, (6, 6)),
        (5, 7, 6, 5, (6, 7)),  # one of two that are being written
        (5, 7, 6, 6, (7, 7)),
        (5, 5, 6, 5, (6, 6)),  # durable before it was handed out: nothing of it has to be handed out any more
        (5, 6, 7, 6, (7, 7)),
    ],
)
def test_what_is_acknowledged_is_durable(
    offset: int, in_progress: int, last: int, index: int, after: tuple[int, int]
) -> None:
    u = unstable(offset, in_progress, last)
    u.stable_to(index)
    assert borders(u) == after


@pytest.mark.parametrize(
    ("offset", "in_progress", "last", "first", "after"),
    [
        # behind the last entry: nothing moves
        (5, 5, 5, 6, (5, 5)),
        (5, 6, 5, 6, (5, 6)),
        (5, 5, 4, 5, (5, 5)),
        # at or before the first unstable entry: all of it is new
        (5, 5, 5, 5, (5, 5)),
        (5, 6, 5, 5, (5, 5)),
        (5, 5, 5, 4, (4, 4)),
        (5, 7, 7, 2, (2, 2)),
        (5, 5, 4, 4, (4, 4)),  # nothing was unstable, and a durable entry is replaced
        # in between: what is being written before it still is
        (5, 5, 7, 6, (5, 5)),
        (5, 6, 7, 6, (5, 6)),
        (5, 7, 7, 6, (5, 6)),
        (5, 8, 7, 7, (5, 7)),
        (5, 6, 7, 7, (5, 6)),
    ],
)
def test_what_is_replaced_has_to_be_written_again(
    offset: int, in_progress: int, last: int, first: int, after: tuple[int, int]
) -> None:
    u = unstable(offset, in_progress, last)
    u.truncate_and_append(first)
    assert borders(u) == after


def test_restore_leaves_the_snapshot_alone_unstable() -> None:
    u = unstable(5, 7, 8)
    u.restore(Snapshot(20, 3))
    assert borders(u) == (21, 21)
    assert u.snapshot == Snapshot(20, 3)
    assert not u.snapshot_in_progress


def test_a_newer_snapshot_has_to_be_handed_out_again() -> None:
    u = unstable(5, 5, 4, snapshot=4, snapshot_in_progress=True)
    u.restore(Snapshot(6, 2))
    assert not u.snapshot_in_progress
    assert borders(u) == (7, 7)


@pytest.mark.parametrize(("index", "gone"), [(3, False), (4, True), (5, False)])
def test_a_snapshot_is_acknowledged_by_its_index(index: int, gone: bool) -> None:
    u = unstable(5, 5, 4, snapshot=4, snapshot_in_progress=True)
    u.stable_snapshot_to(index)
    assert (u.snapshot is None) == gone
    assert u.snapshot_in_progress != gone


def test_no_snapshot_to_acknowledge() -> None:
    u = unstable(5, 6, 5)
    u.stable_snapshot_to(4)
    assert u.snapshot is None
    assert not u.snapshot_in_progress
