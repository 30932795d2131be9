"""A node whose snapshots are all damaged, and whose log was cut, gets its state from another node's snapshot."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import pytest

from raftpy import NoState, NotLeader, StorageDamaged
from raftpy.contracts.fetching import SnapshotAnswer, SnapshotQuestion
from raftpy.contracts.snapshots import EVERY_INDEX, SnapshotFile, SnapshotRef
from raftpy.runtime.driver import Driver
from raftpy.runtime.fetching import Fetching
from raftpy.runtime.status import IncomingSnapshot
from raftpy.storage.snapshots.names import whole_name
from tests.node.harness import KINDS, Cluster, play
from tests.node.test_commits import commit
from tests.node.test_installing import caught_up, cut
from tests.node.words import Words, WordsOnDisk

LARGE = b"x" * 60_000


def spoil(cluster: Cluster, node_id: int) -> dict[str, bytes]:
    """Flips a bit in each snapshot that the node has; as they were before."""
    held = cluster.disks[node_id].snapshots.held
    before = {name: bytes(data) for name, data in held.items() if name.endswith(".snapshot")}
    assert before
    for name in before:
        held[name][len(held[name]) // 2] ^= 1
    return before


async def cut_all(cluster: Cluster, node_ids: Iterable[int], large: int = 0, name: bytes = b"") -> None:
    """Their logs begin behind 1, each at a place of its own."""
    node_ids = list(node_ids)
    for number in range(3):
        for node_id in node_ids:
            command = b"%s %d %d " % (name, number, node_id)
            await commit(cluster, command, *(command + b"%d " % i + LARGE for i in range(large)))
            await cluster.nodes[node_id].snapshot()
    await cluster.until(
        lambda: all(cluster.nodes[node_id].status().first_index > 1 for node_id in node_ids), "logs are cut"
    )


async def lose(cluster: Cluster, *node_ids: int) -> None:
    """They die, and each of their snapshots is damaged when they are started again."""
    for node_id in node_ids:
        await cluster.crash(node_id)
    for node_id in node_ids:
        spoil(cluster, node_id)
    for node_id in node_ids:
        await cluster.restart(node_id)


async def has_its_state(cluster: Cluster, node_id: int) -> None:
    await cluster.until(lambda: not cluster.nodes[node_id].lacks_state, f"node {node_id} has a state")
    await caught_up(cluster, node_id)
    assert cluster.machines[node_id].restored
    status = cluster.nodes[node_id].status()
    assert (status.without_state, status.incoming_snapshot) == (None, None)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("led", [False, True], ids=["a follower", "the leader itself"])
def test_one_of_three_comes_back(kind: str, seed: int, *, led: bool) -> None:
    """Its log stays as it is, and it may lead afterwards."""

    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        await commit(cluster, b"before")
        await cut_all(cluster, cluster.ids)
        lost = leader if led else next(i for i in cluster.ids if i != leader)
        await lose(cluster, lost)
        assert cluster.nodes[lost].lacks_state
        first = cluster.nodes[lost].status().first_index
        await has_its_state(cluster, lost)
        assert cluster.nodes[lost].status().first_index == first
        await commit(cluster, b"afterwards")
        await caught_up(cluster, lost)
        leader, _ = await cluster.single_leader()
        await cluster.nodes[leader].transfer_leadership(lost, timeout=20)
        await commit(cluster, b"it leads")
        assert await cluster.nodes[lost].read_index()
        assert await cluster.nodes[lost].snapshot() > first

    play(kind, 3, seed, scenario, machine=Words, trailing_bytes=0)


def test_a_machine_on_a_disk_of_its_own_that_lost_it(seed: int) -> None:
    """With its own state it needs no snapshot but to know the configuration, and gets one all the same."""

    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        await cut_all(cluster, cluster.ids)
        lost = next(i for i in cluster.ids if i != leader)
        await lose(cluster, lost)
        await has_its_state(cluster, lost)
        await commit(cluster, b"afterwards")
        await caught_up(cluster, lost)

    play("memory", 3, seed, scenario, machine=WordsOnDisk, trailing_bytes=0)


def test_two_of_three_vote_for_the_third_and_get_its_state(seed: int) -> None:
    """Nothing is committed before the third is back: it alone may lead, until another one has its state from it."""

    async def scenario(cluster: Cluster) -> None:
        await cluster.single_leader()
        await cut_all(cluster, cluster.ids)
        one, two, third = cluster.ids
        await cluster.crash(third)
        await lose(cluster, one, two)
        await asyncio.sleep(5)
        cluster.no_leader()
        assert [cluster.nodes[i].status().role for i in (one, two)] == ["follower", "follower"]
        await cluster.restart(third)
        leader, _ = await cluster.single_leader()
        assert leader == third or not cluster.nodes[leader].lacks_state
        for node_id in (one, two):
            await has_its_state(cluster, node_id)

    play("memory", 3, seed, scenario, machine=Words, trailing_bytes=0)


def test_while_nobody_has_one_all_wait_and_say_so(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    """All three are damaged. They lead nobody, lose nothing, and go on once one of them has its snapshot back."""

    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        await cut_all(cluster, cluster.ids)
        before = {node_id: cluster.nodes[node_id].status() for node_id in cluster.ids}
        for node_id in cluster.ids:
            await cluster.crash(node_id)
        was = {node_id: spoil(cluster, node_id) for node_id in cluster.ids}
        for node_id in cluster.ids:
            await cluster.restart(node_id)
        await asyncio.sleep(30)
        cluster.no_leader()
        for node_id, node in cluster.nodes.items():
            status = node.status()
            assert status.last_index == before[node_id].last_index
            assert 1 < status.first_index <= before[node_id].first_index
            assert status.without_state is not None
            assert status.without_state.startswith("no other node has offered a snapshot between the entries ")
            assert status.snapshot_index == 0
        assert sum("no whole snapshot reaches its log" in record.getMessage() for record in caplog.records) == 3
        await cluster.crash(leader)
        for name, data in was[leader].items():
            cluster.disks[leader].snapshots.held[name][:] = data
        await cluster.restart(leader)
        for node_id in cluster.ids:
            if node_id != leader:
                await has_its_state(cluster, node_id)
        await commit(cluster, b"afterwards")

    play("memory", 3, seed, scenario, machine=Words, trailing_bytes=0)


def test_what_needs_the_state_is_refused_meanwhile(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Driver, "_on_talk", lambda *_: None)  # nobody answers

    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        await cut_all(cluster, cluster.ids)
        lost = next(i for i in cluster.ids if i != leader)
        await lose(cluster, lost)
        await cluster.single_leader()
        node = cluster.nodes[lost]
        first = node.status().first_index
        with pytest.raises(NoState, match=f"node {lost} has no whole snapshot to go with its log, and gets one"):
            await node.read_index()
        with pytest.raises(NoState):
            node.commits()
        with pytest.raises(NoState):
            await node.snapshot()
        with pytest.raises(NotLeader):
            await node.propose(b"x")
        await commit(cluster, b"goes on", nodes=2)
        await asyncio.sleep(5)
        status = node.status()
        assert status.commit_index == cluster.nodes[leader].status().commit_index  # it acknowledges
        assert (status.applied_index, status.first_index) == (0, first)
        assert cluster.machines[lost].words == []

    play("memory", 3, seed, scenario, machine=Words, trailing_bytes=0, snapshot_entries=1)


def test_a_node_alone_is_refused(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        await cluster.single_leader()
        await cut_all(cluster, [1])
        await cluster.crash(1)
        spoil(cluster, 1)
        with pytest.raises(StorageDamaged, match="no whole snapshot reaches it, and this node knows no other member"):
            await cluster.restart(1)

    play("memory", 1, seed, scenario, machine=Words, trailing_bytes=0)


def test_who_has_only_older_ones_or_none_takes_one(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        lost, other = [i for i in cluster.ids if i != leader]
        await commit(cluster, b"before")
        old = await cluster.nodes[other].snapshot()
        await commit(cluster, b"on")
        assert await cluster.nodes[lost].snapshot() > old
        assert cut(cluster, lost) > old
        await cluster.sleep_ms(50)
        await lose(cluster, lost)
        await has_its_state(cluster, lost)
        taken = {node_id: cluster.nodes[node_id].status().snapshot_index for node_id in (leader, other)}
        assert min(taken.values()) > old  # each was asked

    play("memory", 3, seed, scenario, machine=Words)


def test_one_that_is_damaged_at_its_source_is_not_taken(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever gives it reads it back when it is asked for anew, and takes another one."""

    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        await cut_all(cluster, cluster.ids, large=2)
        lost, other = [i for i in cluster.ids if i != leader]
        for node_id in (leader, other):
            for ref in cluster.nodes[node_id]._host.storage.snapshots.refs(0):
                cluster.disks[node_id].snapshots.held[whole_name(ref)][-100_000] ^= 1
        await lose(cluster, lost)
        await has_its_state(cluster, lost)
        assert any("was not received from node" in record.getMessage() for record in caplog.records)

    play("memory", 3, seed, scenario, machine=Words, trailing_bytes=0)


def test_it_is_killed_while_the_snapshot_comes_and_goes_on_where_it_stopped(seed: int) -> None:
    """And says meanwhile how far it is."""

    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        await cut_all(cluster, cluster.ids, large=3)
        lost = next(i for i in cluster.ids if i != leader)
        await lose(cluster, lost)

        def coming() -> IncomingSnapshot | None:
            snapshot = cluster.nodes[lost].status().incoming_snapshot
            return snapshot if snapshot is not None and snapshot.position > 300_000 else None

        snapshot = await cluster.until(coming, "some of it is here")
        assert snapshot.source in (set(cluster.ids) - {lost})
        assert not snapshot.restoring
        said = cluster.nodes[lost].status().without_state
        assert said is not None
        assert said.endswith(f" is being fetched from node {snapshot.source}")
        await cluster.crash(lost)
        await cluster.restart(lost)
        snapshot = await cluster.until(lambda: cluster.nodes[lost].status().incoming_snapshot, "it comes again")
        await cluster.until(lambda: coming() or not cluster.nodes[lost].lacks_state, "it goes on")
        await has_its_state(cluster, lost)

    play("memory", 3, seed, scenario, machine=Words, trailing_bytes=0, snapshot_rate=1 << 20)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda ref, last: SnapshotRef(ref.group, EVERY_INDEX, ref.term),
        lambda ref, last: SnapshotRef(ref.group, last + 1, ref.term),
        lambda ref, last: SnapshotRef(ref.group, ref.index, ref.term + 1),
        lambda ref, last: SnapshotRef(ref.group, 1, ref.term),
    ],
    ids=["far beyond it", "just behind it", "of another term", "before it"],
)
def test_one_of_an_entry_that_its_log_does_not_have_is_not_asked_for(
    seed: int, monkeypatch: pytest.MonkeyPatch, wrong: Callable[[SnapshotRef, int], SnapshotRef]
) -> None:
    """What peers say is looked at here: a state of another entry says nothing of this log."""
    lies = True
    asked: list[SnapshotRef] = []
    tell, fetch = Fetching.tell, Fetching.fetch

    def note(self: Fetching, source: int, ref: SnapshotRef) -> Awaitable[SnapshotFile]:
        asked.append(ref)
        return fetch(self, source, ref)

    monkeypatch.setattr(Fetching, "fetch", note)

    async def scenario(cluster: Cluster) -> None:
        nonlocal lies

        def lie(self: Fetching, node_id: int, what: SnapshotQuestion | SnapshotAnswer) -> None:
            if lies and isinstance(what, SnapshotAnswer) and what.ref is not None:
                what = SnapshotAnswer(what.group, wrong(what.ref, cluster.nodes[lost].status().last_index))
            tell(self, node_id, what)

        monkeypatch.setattr(Fetching, "tell", lie)
        leader, _ = await cluster.single_leader()
        await cut_all(cluster, cluster.ids)
        lost = next(i for i in cluster.ids if i != leader)
        await lose(cluster, lost)
        await asyncio.sleep(5)
        assert cluster.nodes[lost].lacks_state
        assert asked == []
        lies = False
        await has_its_state(cluster, lost)
        assert asked

    play("memory", 3, seed, scenario, machine=Words, trailing_bytes=0)


def test_leadership_is_not_handed_to_it_before_it_has_a_state(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each attempt would cost the cluster its proposals for an election timeout (thesis 3.10)."""
    tell, silent = Fetching.tell, True

    def keep(self: Fetching, node_id: int, what: SnapshotQuestion | SnapshotAnswer) -> None:
        if not (silent and isinstance(what, SnapshotAnswer)):
            tell(self, node_id, what)

    monkeypatch.setattr(Fetching, "tell", keep)

    async def scenario(cluster: Cluster) -> None:
        nonlocal silent
        leader, _ = await cluster.single_leader()
        await cut_all(cluster, cluster.ids)
        lost = next(i for i in cluster.ids if i != leader)
        await lose(cluster, lost)
        await asyncio.sleep(3)  # in which it has asked
        handing_over = asyncio.create_task(cluster.nodes[leader].transfer_leadership(lost))
        for number in range(20):
            await cluster.nodes[leader].propose(b"meanwhile %d" % number)
            await asyncio.sleep(0.1)
        assert cluster.nodes[lost].lacks_state
        assert not handing_over.done()
        silent = False
        await has_its_state(cluster, lost)
        await handing_over
        assert cluster.nodes[leader].status().leader == lost

    play("memory", 3, seed, scenario, machine=Words, trailing_bytes=0)


def test_where_its_log_is_behind_the_leaders_the_leaders_snapshot_takes_its_place(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        await cut_all(cluster, cluster.ids)
        lost = next(i for i in cluster.ids if i != leader)
        holds = cluster.nodes[lost].status().last_index
        await cluster.crash(lost)
        spoil(cluster, lost)
        await cut_all(cluster, [i for i in cluster.ids if i != lost], name=b"without it")
        for node_id in cluster.ids:
            if node_id != lost:
                assert cut(cluster, node_id) > holds
        await cluster.sleep_ms(50)
        await cluster.restart(lost)
        await has_its_state(cluster, lost)
        assert cluster.nodes[lost].status().first_index > holds + 1

    play("memory", 3, seed, scenario, machine=Words, trailing_bytes=0)


class Failing(Words):
    """Cannot be restored while ``fails``."""

    fails = False

    def restore(self, saved: object) -> None:
        if self.fails:
            raise ValueError("not this time")
        super().restore(saved)  # type: ignore[arg-type]


def test_a_restore_that_fails_stops_the_node_and_the_next_start_restores(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        await cut_all(cluster, cluster.ids)
        lost = next(i for i in cluster.ids if i != leader)
        monkeypatch.setattr(Failing, "fails", True)
        await lose(cluster, lost)
        node = cluster.nodes.pop(lost)
        await cluster.until(lambda: node.failed, "it has stopped")
        assert "could not be restored from the snapshot at entry" in str(node.failed)
        monkeypatch.setattr(Failing, "fails", False)
        await cluster.restart(lost)
        assert not cluster.nodes[lost].lacks_state  # the file is here
        await caught_up(cluster, lost)

    play("memory", 3, seed, scenario, machine=Failing, trailing_bytes=0)
