"""What stays of the log behind the oldest snapshot kept."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from raftcore import ConfState, StateType
from raftpy.contracts.snapshots import EVERY_INDEX, SnapshotRef
from raftpy.runtime.snapshot_policy import SnapshotPolicy
from raftpy.runtime.snapshotting import Snapshotting
from raftpy.runtime.trailing import HEARD_S, Trailing, on_their_way
from tests.node.copying import Copies
from tests.node.harness import Cluster, play
from tests.node.test_commits import commit
from tests.node.test_installing import caught_up, copies, of  # noqa: F401 - a fixture
from tests.node.words import Words


class Leader:
    """A group of three whose node 1 leads, as far as this needs it. ``match``: of the others; ``heard``: who is."""

    def __init__(self, limit: int = 1000, *, carried: bool = True) -> None:
        self.now = 0.0
        self.match = {2: 0, 3: 0}
        self.pending = {2: 0, 3: 0}
        self.heard = {2, 3}
        self.state = StateType.StateLeader
        self.applying = SimpleNamespace(applied=0, applied_bytes=0)
        self.clock = SimpleNamespace(monotonic=lambda: self.now)
        self.conf_state = ConfState((1, 2, 3))
        self.id = 1
        self.raw: Any = self
        self.pending_snapshots: Callable[[], list[tuple[int, int]]] = list
        group: Any = self
        self.trailing = Trailing(group, 0, limit, lambda node_id: node_id in self.heard, carried)

    def status(self) -> Any:
        progress = {
            node_id: SimpleNamespace(match=match, pending_snapshot=self.pending[node_id])
            for node_id, match in self.match.items()
        }
        return SimpleNamespace(progress=progress)

    def apply(self, entries: int, size: int = 1) -> None:
        """So many entries of this size, one after the other."""
        for _ in range(entries):
            self.applying.applied += 1
            self.applying.applied_bytes += size
            self.trailing.look()


@pytest.mark.parametrize(
    ("kept", "pending", "count"),
    [
        *((2, [], 2), (2, [50], 2), (2, [40], 2), (2, [30], 3), (2, [50, 30], 3), (2, [10], 5), (2, [7], 2)),
        *((3, [], 3), (3, [30], 3), (3, [20], 4), (9, [], 9), (9, [20], 9)),
    ],
)
def test_so_many_snapshots_are_kept_at_least_and_those_on_their_way(kept: int, pending: list[int], count: int) -> None:
    raw = SimpleNamespace(pending_snapshots=lambda: [(2, index) for index in pending])
    snapshots = SimpleNamespace(refs=lambda group: [SnapshotRef(0, index, 1) for index in (60, 50, 40, 30, 20, 10)])
    taking: Any = SimpleNamespace(
        _group=SimpleNamespace(id=0, raw=raw, applying=SimpleNamespace(applied=55)),
        _snapshots=snapshots,
        _trailing=SimpleNamespace(within=lambda index: True),
        _begun=dict,
        _policy=SnapshotPolicy(1, kept=kept),
        _short=False,
    )
    assert Snapshotting._count(taking) == count, "of 60 nothing is applied here"


def test_one_that_a_member_has_begun_to_receive_counts_until_it_has_as_much() -> None:
    group = Leader()
    group.match = {2: 30, 3: 19}
    group.pending_snapshots = lambda: [(3, 40)]
    begun = {2: SnapshotRef(0, 30, 1), 3: SnapshotRef(0, 20, 1), 4: SnapshotRef(0, 10, 1)}
    assert on_their_way(group.raw, begun) == {40, 20}, "node 2 has it, and node 4 is no member any more"
    group.state = StateType.StateFollower
    assert on_their_way(group.raw, begun) == {40, 30, 20, 10}, "who does not lead does not know"


def test_what_a_member_that_is_heard_still_needs() -> None:
    group = Leader()
    group.apply(100)
    group.match = {2: 90, 3: 40}
    assert group.trailing.cut_to(80) == 40
    group.match[3] = 70
    assert group.trailing.cut_to(80) == 70
    group.pending[3] = 75
    assert group.trailing.cut_to(80) == 75
    group.conf_state = ConfState((1,))
    assert group.trailing.cut_to(80) == EVERY_INDEX


def test_who_was_not_heard_for_ten_minutes_is_not_waited_for() -> None:
    group = Leader()
    group.apply(100)
    group.match = {2: 90, 3: 40}
    group.heard = {2}
    for group.now, needless in ((HEARD_S - 1, 40), (HEARD_S + 1, 90)):
        group.trailing.look()
        assert group.trailing.cut_to(80) == needless
    group.heard = {2, 3}
    group.trailing.look()
    assert group.trailing.cut_to(80) == 40
    group.heard = set()
    group.now += HEARD_S
    group.trailing.look()
    assert group.trailing.cut_to(80) == EVERY_INDEX


def test_no_more_than_the_bytes_allowed() -> None:
    """To a part in 64; and of what was there before the process began none are counted."""
    group = Leader(limit=6400)
    group.apply(1000, 10)
    assert group.trailing.cut_to(600) == 0
    assert 1000 - 640 <= group.trailing.cut_to(1000) <= 1000 - 640 + 11
    group.apply(1000, 10)
    assert 2000 - 640 <= group.trailing.cut_to(2000) <= 2000 - 640 + 11
    assert group.trailing.within(1500)
    assert not group.trailing.within(1300)
    group.trailing.limit = 0
    assert group.trailing.cut_to(2000) == 2000
    group.trailing.replaced(5000)
    assert group.trailing.cut_to(5000) == 5000


def test_a_follower_keeps_as_much_as_is_allowed() -> None:
    group = Leader(limit=6400)
    group.state = StateType.StateFollower
    group.apply(500, 10)
    group.match = {2: 500, 3: 500}
    assert group.trailing.cut_to(500) == 0
    group.apply(500, 10)
    assert 1000 - 640 <= group.trailing.cut_to(1000) <= 1000 - 640 + 11


def test_where_no_snapshot_is_carried_all_members_count() -> None:
    group = Leader(limit=0, carried=False)
    group.apply(100)
    group.match = {2: 90, 3: 40}
    group.heard = set()
    group.now = 10 * HEARD_S
    group.trailing.look()
    assert group.trailing.cut_to(80) == 40
    group.state = StateType.StateFollower
    assert group.trailing.cut_to(80) == 0


async def one_is_away(cluster: Cluster, copies: Copies) -> tuple[int, int, int]:  # noqa: F811 - the fixture
    """Who leads, which other member is cut off, and the last index that it has."""
    of(cluster, copies)
    leader, _ = await cluster.single_leader()
    lost = next(i for i in cluster.ids if i != leader)
    cluster.disconnect(lost)
    return leader, lost, cluster.nodes[lost].status().last_index


@pytest.mark.parametrize("trailing_bytes", [0, 1 << 30])
def test_in_a_cluster(seed: int, copies: Copies, trailing_bytes: int) -> None:  # noqa: F811 - the fixture
    """With nothing allowed every node cuts its log behind the oldest snapshot, and a member that was down comes back by
    one; else what it needs is there."""

    async def scenario(cluster: Cluster) -> None:
        _, lost, held = await one_is_away(cluster, copies)
        for number in range(3):
            await commit(cluster, b"word %d" % number)
            for node_id in cluster.connected:
                await cluster.nodes[node_id].snapshot()
        await cluster.sleep_ms(50)
        for node_id in cluster.connected:
            refs = copies.stores(node_id).refs(0)
            assert len(refs) == 2
            first = cluster.nodes[node_id].status().first_index
            assert first <= held + 1 if trailing_bytes else first == refs[-1].index + 1
        cluster.reconnect(lost)
        await caught_up(cluster, lost)
        assert bool(copies.calls) is (not trailing_bytes)

    play("memory", 3, seed, scenario, machine=Words, trailing_bytes=trailing_bytes)


def test_what_nobody_needs_any_more_is_cut_within_a_second(seed: int, copies: Copies) -> None:  # noqa: F811
    """The leader keeps for a member that is away what it lacks, and cuts it once that member has it, with no command
    and no further snapshot. docs/design-storage.md says a second: the look, and a pass."""

    async def scenario(cluster: Cluster) -> None:
        leader, lost, held = await one_is_away(cluster, copies)
        for number in range(3):
            await commit(cluster, b"word %d" % number)
            await cluster.nodes[leader].snapshot()
        await cluster.sleep_ms(5000)
        assert cluster.nodes[leader].status().first_index <= held + 1
        cluster.reconnect(lost)
        await caught_up(cluster, lost)
        assert cluster.nodes[leader].status().role == "leader"
        await cluster.sleep_ms(1100)
        assert cluster.nodes[leader].status().first_index == copies.stores(leader).refs(0)[-1].index + 1

    play("memory", 3, seed, scenario, machine=Words)
