"""What a leader offers to a member that its log does not reach, and when it offers it again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from raftcore import ConfState, Snapshot, StateType
from raftpy.contracts.snapshots import SnapshotRef
from raftpy.runtime.group import Group
from raftpy.runtime.offering import SILENT_S, UNHEARD_S, USELESS_APART_S, Offering
from raftpy.runtime.snapshot_source import Asked

OFFERED, BEGUN = 50, 40


class Leader:
    """A group whose node leads, and which has offered node 2 its newest snapshot. ``allows``: what its core says of
    another one."""

    def __init__(self, *, allows: bool = True) -> None:
        self.now = 100.0
        self.pending = [(2, OFFERED)]
        self.failed = 0
        self.offered: list[int] = []
        self.asked: Asked | None = None
        self.allows = allows
        self.state = StateType.StateLeader
        self.clock = SimpleNamespace(monotonic=lambda: self.now)
        self.id = 0
        self.name = "node 1"
        self.doubted = 0
        self.raw: Any = self
        group: Any = self
        self.offering = Offering(group, lambda node_id, group_id: self.asked, self.doubt)
        self.offering.look()

    def schedule(self) -> None:
        pass

    def doubt(self) -> None:
        self.doubted += 1

    def useless(self, index: int = OFFERED) -> None:
        self.offering.useless(2, SnapshotRef(0, index, 1))

    def pending_snapshots(self) -> list[tuple[int, int]]:
        return self.pending

    def report_snapshot(self, node_id: int, ok: bool) -> None:
        assert (node_id, ok) == (2, False)
        self.failed += 1
        self.pending = []

    def offer_snapshot(self, node_id: int, snapshot: Snapshot) -> bool:
        assert node_id == 2
        self.offered.append(snapshot.index)
        if self.allows:
            self.pending = [(2, snapshot.index)]
        return self.allows

    def asks(self, index: int, *, there: bool = True, looked: bool = True) -> None:
        known = Snapshot(index, 1, ConfState((1, 2))) if there and looked else None
        self.asked = Asked(SnapshotRef(0, index, 1), self.now, looked, known)

    def later(self, seconds: float) -> None:
        self.now += seconds
        self.offering.look()


def test_one_that_asks_for_nothing_has_not_heard_of_it() -> None:
    leader = Leader()
    leader.later(UNHEARD_S / 2)
    assert leader.failed == 0
    leader.later(UNHEARD_S)
    assert leader.failed == 1


def test_one_that_asks_no_more_has_given_up() -> None:
    leader = Leader()
    leader.later(1)
    leader.asks(OFFERED)
    leader.later(UNHEARD_S)
    leader.later(SILENT_S - UNHEARD_S - 0.1)
    assert leader.failed == 0
    leader.later(0.2)
    assert leader.failed == 1


def test_one_that_was_started_again_is_offered_it_at_once() -> None:
    leader = Leader()
    leader.later(1)
    leader.asks(OFFERED)
    leader.offering.peer_started(2)
    assert leader.failed == 1, "the core offers the newest one when the member is heard"
    leader.pending = [(2, OFFERED)]
    leader.later(1)
    leader.later(UNHEARD_S)
    assert leader.failed == 2, "what its former life has asked for says nothing of this one"


def test_one_that_was_started_again_may_have_been_offered_it_since_the_last_look() -> None:
    leader = Leader()
    leader.pending = []
    leader.later(1)
    leader.pending = [(2, OFFERED)]
    leader.offering.peer_started(2)
    assert leader.failed == 1


def test_who_waits_for_no_snapshot_is_offered_none_when_it_was_started_again() -> None:
    leader = Leader()
    leader.offering.peer_started(3)
    leader.state = StateType.StateFollower
    leader.offering.peer_started(2)
    assert leader.failed == 0


def test_a_group_tells_its_core_and_its_offers_who_was_started_again() -> None:
    told: list[tuple[str, int]] = []
    group: Any = SimpleNamespace(
        raw=SimpleNamespace(report_started=lambda node_id: told.append(("core", node_id))),
        offering=SimpleNamespace(peer_started=lambda node_id: told.append(("offers", node_id))),
    )
    Group.peer_started(group, 2)
    assert sorted(told) == [("core", 2), ("offers", 2)]


def test_one_that_asks_for_another_is_offered_that_one() -> None:
    leader = Leader()
    leader.later(1)
    leader.asks(BEGUN, looked=False)
    leader.later(1)
    assert (leader.offered, leader.failed) == ([], 0), "the disk has not said yet whether it is there"
    leader.asks(BEGUN)
    leader.later(1)
    assert (leader.offered, leader.failed) == ([BEGUN], 0)
    leader.asks(BEGUN)
    leader.later(1)
    assert (leader.offered, leader.failed) == ([BEGUN], 0), "once"


def test_it_may_have_asked_before_it_was_seen_that_it_was_offered_one() -> None:
    leader = Leader()
    leader.pending = []
    leader.later(1)
    leader.now += 0.5
    leader.pending = [(2, OFFERED)]
    leader.asks(BEGUN)
    leader.later(0.5)
    assert leader.offered == [BEGUN]


@pytest.mark.parametrize("allows", [True, False])
def test_one_that_is_not_here_or_will_not_do_is_offered_the_newest(*, allows: bool) -> None:
    leader = Leader(allows=allows)
    leader.later(1)
    leader.asks(BEGUN, there=not allows)
    leader.later(1)
    assert leader.failed == 1
    leader.pending = [(2, OFFERED)]
    leader.later(1)
    leader.later(1)
    assert leader.failed == 1, "what it asked for before that is no news"


def test_one_that_was_deleted_meanwhile_is_not_waited_for() -> None:
    """The member was told so, and waits for another offer."""
    leader = Leader()
    leader.later(1)
    leader.asks(OFFERED, there=False)
    leader.later(1)
    assert leader.failed == 1


def test_one_that_found_it_damaged_is_offered_one_again_at_once() -> None:
    leader = Leader()
    leader.later(1)
    leader.asks(OFFERED)
    leader.useless()
    assert leader.failed == 1, "without waiting for its silence"
    leader.useless()
    leader.later(1)
    assert leader.failed == 1, "nothing is offered at the moment"


def test_damage_that_repeats_is_no_busy_loop() -> None:
    """Pauses that double, up to what one that is silent is given; and this node's own file is looked at."""
    leader = Leader()
    waited = []
    for _ in range(7):
        leader.pending = [(2, OFFERED)]
        leader.later(0)
        leader.asks(OFFERED)
        failed, begun = leader.failed, leader.now
        leader.useless()
        assert leader.failed <= failed + 1
        while leader.failed == failed:
            leader.useless()  # as a datagram that was repeated on its way
            leader.later(0.25)
        waited.append(leader.now - begun)
    assert waited == [0, 1, 2, 4, SILENT_S, SILENT_S, SILENT_S]
    assert leader.doubted >= 1


def test_damage_of_long_ago_is_not_counted() -> None:
    leader = Leader()
    leader.useless()
    leader.later(USELESS_APART_S)
    leader.pending = [(2, OFFERED)]
    leader.later(1)
    leader.useless()
    assert (leader.failed, leader.doubted) == (2, 0)


def test_only_what_is_offered_now_by_a_leader_is_offered_again() -> None:
    leader = Leader()
    leader.useless(BEGUN)
    assert leader.failed == 0, "of another one"
    leader.state = StateType.StateFollower
    leader.useless()
    assert leader.failed == 0


def test_a_pause_ends_with_what_it_was_for() -> None:
    """The member has caught up otherwise; later it is offered that snapshot again."""
    leader = Leader()
    leader.useless()
    leader.pending = [(2, OFFERED)]
    leader.later(0)
    leader.useless()
    leader.pending = []
    leader.later(1)
    leader.later(1)
    leader.pending = [(2, OFFERED)]
    leader.later(1)
    leader.later(1)
    assert leader.failed == 1
