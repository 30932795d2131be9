"""A follower to which a damaged snapshot has come says so to its leader, which offers one again."""

from __future__ import annotations

import asyncio

import pytest

from raftpy.contracts.errors import FetchFailed
from raftpy.contracts.snapshots import SnapshotRef
from raftpy.runtime.offering import SILENT_S
from raftpy.storage.snapshots.names import whole_name
from tests.node.copying import Copies
from tests.node.harness import Cluster, play
from tests.node.test_commits import commit
from tests.node.test_installing import caught_up, leave_behind, one_behind
from tests.node.words import Words


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> Copies:
    made = Copies(lambda node_id: None)  # type: ignore[arg-type, return-value]
    made.use(monkeypatch)
    return made


@pytest.mark.parametrize("why", FetchFailed.DAMAGE)
def test_what_came_damaged_is_offered_again_at_once(seed: int, copies: Copies, why: str) -> None:
    """The leader is told so: it does not wait for the member's silence."""
    failed: list[float] = []

    async def fails(node_id: int, source: int, ref: SnapshotRef) -> None:
        if not failed:
            failed.append(asyncio.get_running_loop().time())
            raise FetchFailed(source, ref, why)
        failed.append(asyncio.get_running_loop().time())

    async def scenario(cluster: Cluster) -> None:
        copies.before = fails
        _, lost = await one_behind(cluster, copies)
        cluster.reconnect(lost)
        await caught_up(cluster, lost)
        assert len(failed) == 2
        assert failed[1] - failed[0] < 1.0

    play("memory", 3, seed, scenario, machine=Words)


def test_damage_that_goes_on_is_offered_after_longer_and_longer_pauses(seed: int, copies: Copies) -> None:
    failed: list[float] = []

    async def fails(node_id: int, source: int, ref: SnapshotRef) -> None:
        failed.append(asyncio.get_running_loop().time())
        raise FetchFailed(source, ref, FetchFailed.DAMAGED)

    async def scenario(cluster: Cluster) -> None:
        copies.before = fails
        _, lost = await one_behind(cluster, copies)
        cluster.reconnect(lost)
        await asyncio.sleep(60)
        assert 5 <= len(failed) <= 12
        copies.before = lambda *_: asyncio.sleep(0)
        await caught_up(cluster, lost)

    play("memory", 3, seed, scenario, machine=Words)


def test_where_the_leaders_own_file_is_damaged_another_one_is_taken(seed: int) -> None:
    """It is not known to be before the member says so; all this takes less than waiting for its silence once."""

    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        lost = next(i for i in cluster.ids if i != leader)
        cluster.disconnect(lost)
        await leave_behind(cluster, lost)
        await commit(cluster, b"behind it", nodes=2)
        snapshots = cluster.disks[leader].snapshots
        ref = cluster.nodes[leader]._host.storage.snapshots.refs(0)[0]
        snapshots.held[whole_name(ref)][-60] ^= 1
        cluster.reconnect(lost)
        begun = asyncio.get_running_loop().time()
        await caught_up(cluster, lost)
        assert asyncio.get_running_loop().time() - begun < SILENT_S

    play("memory", 3, seed, scenario, machine=Words)
