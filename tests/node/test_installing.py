"""A follower behind the leader's log is brought up by a snapshot (paper 7, Figure 13)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from raftcore import ConfState, Snapshot
from raftpy.contracts.errors import RestoreFailed, SnapshotFailed, Timeout
from raftpy.contracts.executor import Thread
from raftpy.contracts.snapshots import SnapshotRef, Snapshots
from raftpy.contracts.state_machine import SavedState
from raftpy.members.table import MemberTable
from raftpy.runtime.saved_state import damaged, read_beginning
from raftpy.runtime.status import IncomingSnapshot
from raftpy.storage.snapshots.metadata import write_metadata
from raftpy.storage.snapshots.names import whole_name
from tests.node.copying import Copies, copy
from tests.node.harness import Cluster, play
from tests.node.steps import LoopSteps
from tests.node.test_commits import commit
from tests.node.words import Words, WordsOnDisk


def cut(cluster: Cluster, node_id: int) -> int:
    """Cuts the node's log behind its newest snapshot, whatever others need of it; where it ends then."""
    group = cluster.nodes[node_id]._running
    to: int = group.snapshots.newest
    if to >= group.raw.first_index:
        group.raw.compact(to)
        group.stored.compact(to)
        group.work.cuts = True
        group.schedule()
    return to


async def leave_behind(cluster: Cluster, lost: int, count: int = 10) -> int:
    """Goes on without the node until all others' logs begin behind its own; where."""
    for number in range(count):
        await commit(cluster, b"without it %d" % number)
    for node_id in cluster.connected:
        if node_id != lost:
            await cluster.nodes[node_id].snapshot()
    return max(cut(cluster, node_id) for node_id in cluster.connected if node_id != lost)


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> Copies:
    made = Copies(lambda node_id: None)  # type: ignore[arg-type, return-value]
    made.use(monkeypatch)
    return made


def of(cluster: Cluster, copies: Copies) -> None:
    copies.stores = lambda node_id: cluster.nodes[node_id]._host.storage.snapshots


async def one_behind(cluster: Cluster, copies: Copies) -> tuple[int, int]:
    """The leader, and a node that is cut off and that the logs of the others do not reach any more."""
    of(cluster, copies)
    leader, _ = await cluster.single_leader()
    lost = next(i for i in cluster.ids if i != leader)
    cluster.disconnect(lost)
    await leave_behind(cluster, lost)
    return leader, lost


async def caught_up(cluster: Cluster, node_id: int) -> None:
    leader, _ = await cluster.single_leader()
    words = cluster.machines[leader].commands
    await cluster.until(lambda: cluster.machines[node_id].commands == words, f"node {node_id} has caught up")


def test_a_follower_that_was_cut_off_is_brought_up_by_the_leaders_snapshot(seed: int, copies: Copies) -> None:
    async def scenario(cluster: Cluster) -> None:
        of(cluster, copies)
        leader, _ = await cluster.single_leader()
        lost = next(i for i in cluster.ids if i != leader)
        await commit(cluster, b"before")
        cluster.disconnect(lost)
        await cluster.nodes[leader].set_priority(leader, 7)
        to = await leave_behind(cluster, lost)
        cluster.reconnect(lost)
        await caught_up(cluster, lost)
        assert [call[:2] for call in copies.done] == [(lost, leader)]
        status = cluster.nodes[lost].status()
        assert (status.first_index, status.snapshot_index) == (to + 1, to)
        groups = {node_id: cluster.nodes[node_id]._running for node_id in (lost, leader)}
        assert groups[lost].table == groups[leader].table, "which has changed meanwhile"
        assert groups[lost].raw.conf_index == groups[leader].raw.conf_index
        assert groups[lost].view.snapshot() == groups[leader].view.snapshot(), "and it may offer it to others"
        assert cluster.machines[lost].restored
        await commit(cluster, b"and it goes on")
        assert cluster.machines[lost].commands == cluster.machines[leader].commands
        # A restart goes on from there.
        await cluster.crash(lost)
        await cluster.restart(lost)
        assert cluster.machines[lost].restored
        await caught_up(cluster, lost)
        assert len(copies.calls) == 1

    play("memory", 3, seed, scenario, machine=Words)


def test_everything_else_goes_on_while_it_comes(seed: int, copies: Copies) -> None:
    """For fifteen seconds: no election, commands are committed, and the same offer, made again, begins nothing anew."""

    async def scenario(cluster: Cluster) -> None:
        of(cluster, copies)
        leader, term = await cluster.single_leader()
        lost = next(i for i in cluster.ids if i != leader)
        cluster.disconnect(lost)
        await leave_behind(cluster, lost)
        cluster.reconnect(lost)
        copies.before = lambda *_: asyncio.sleep(15)
        await cluster.until(lambda: copies.calls, "the snapshot is asked for")
        newest = cluster.nodes[leader].status().snapshot_index
        assert cluster.nodes[lost].status().incoming_snapshot == IncomingSnapshot(newest, leader, 0, None, False)
        for number in range(28):
            assert not copies.done
            await cluster.nodes[leader].propose(b"meanwhile %d" % number)
            await asyncio.sleep(0.5)
        await caught_up(cluster, lost)
        assert await cluster.single_leader() == (leader, term)
        assert len(copies.calls) == 1
        assert cluster.nodes[lost].status().incoming_snapshot is None

    play("memory", 3, seed, scenario, machine=Words)


def test_a_newer_offer_takes_the_place_of_one_that_is_being_fetched(seed: int, copies: Copies) -> None:
    """And that the leader has no more."""

    async def scenario(cluster: Cluster) -> None:
        leader, lost = await one_behind(cluster, copies)
        cluster.reconnect(lost)
        copies.before = lambda *_: asyncio.sleep(1000)
        await cluster.until(lambda: copies.calls, "the snapshot is asked for")
        await commit(cluster, b"more", nodes=2)
        newest = await cluster.nodes[leader].snapshot()
        copies.stores(leader).discard(copies.calls[0][2])
        await cluster.until(lambda: len(copies.calls) == 2, "the newer one is asked for")
        assert copies.calls[1][2].index == newest > copies.calls[0][2].index
        copies.before = lambda *_: asyncio.sleep(0)
        await commit(cluster, b"still more", nodes=2)
        await cluster.nodes[leader].snapshot()
        copies.stores(leader).discard(copies.calls[1][2])
        await caught_up(cluster, lost)
        assert copies.done == copies.calls[2:]

    play("memory", 3, seed, scenario, machine=Words)


@pytest.mark.parametrize("offers", ["the same", "the same, though there is a newer one", "another"])
def test_the_leader_dies_and_the_next_one_offers_the_same_or_another(seed: int, copies: Copies, offers: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        of(cluster, copies)
        leader, _ = await cluster.single_leader()
        lost = next(i for i in cluster.ids if i != leader)
        other = next(i for i in cluster.ids if i not in (leader, lost))
        cluster.disconnect(lost)
        await leave_behind(cluster, lost)
        cluster.reconnect(lost)
        copies.before = lambda *_: asyncio.sleep(1000)
        await cluster.until(lambda: copies.calls, "the snapshot is asked for")
        begun = copies.calls[0][2]
        if offers != "the same":
            await commit(cluster, b"one more", nodes=2)
            await cluster.nodes[other].snapshot()
        if offers == "another":
            copies.stores(other).discard(begun)
        await cluster.crash(leader)
        copies.before = lambda *_: asyncio.sleep(0)
        await cluster.until(lambda: copies.done, "it comes from the next leader")
        newest = copies.stores(other).refs(0)[0]
        assert copies.done == [(lost, other, newest if offers == "another" else begun)]
        await caught_up(cluster, lost)
        await cluster.restart(leader)
        await commit(cluster, b"all three")
        cluster.same_order()

    play("memory", 3, seed, scenario, machine=Words)


def test_what_cannot_be_fetched_is_offered_again(seed: int, copies: Copies, caplog: pytest.LogCaptureFixture) -> None:
    async def fails(node_id: int, source: int, ref: SnapshotRef) -> None:
        if len(copies.calls) < 3:
            raise SnapshotFailed(str(ref), "no room")

    async def scenario(cluster: Cluster) -> None:
        of(cluster, copies)
        copies.before = fails
        leader, _ = await cluster.single_leader()
        lost = next(i for i in cluster.ids if i != leader)
        cluster.disconnect(lost)
        await leave_behind(cluster, lost)
        cluster.reconnect(lost)
        await caught_up(cluster, lost)
        assert len(copies.calls) == 3
        lines = [record.getMessage() for record in caplog.records if "was not received" in record.getMessage()]
        assert len(lines) == 2
        assert lines[0].startswith(f"node {lost}: the snapshot of group 0, index ")
        assert lines[0].endswith("no room")

    play("memory", 3, seed, scenario, machine=Words)


@pytest.mark.parametrize("damaged", [False, True])
def test_one_that_is_here_already_is_not_fetched_unless_it_is_damaged(
    seed: int, copies: Copies, *, damaged: bool
) -> None:
    """As after a crash between the last of its bytes and the step that decides."""

    async def scenario(cluster: Cluster) -> None:
        leader, lost = await one_behind(cluster, copies)
        ref = copies.stores(leader).refs(0)[0]
        copy(copies.stores(leader), copies.stores(lost), leader, ref)
        await cluster.crash(lost)
        if damaged:
            cluster.disks[lost].snapshots.held[whole_name(ref)][-60] ^= 1
        await cluster.restart(lost)
        assert cluster.nodes[lost].status().first_index == 1
        cluster.reconnect(lost)
        await caught_up(cluster, lost)
        assert len(copies.calls) == damaged

    play("memory", 3, seed, scenario, machine=Words)


def test_what_came_and_was_never_taken_goes_before_the_next_one_comes(seed: int, copies: Copies) -> None:
    """As where the leader changes, or the node dies, each time that one is here and not in the log's place yet."""

    async def scenario(cluster: Cluster) -> None:
        of(cluster, copies)
        leader, _ = await cluster.single_leader()
        lost = next(i for i in cluster.ids if i != leader)
        cluster.disconnect(lost)
        passed_over = []
        await leave_behind(cluster, lost)
        for number in range(2):
            passed_over.append(copies.stores(leader).refs(0)[0])
            copy(copies.stores(leader), copies.stores(lost), leader, passed_over[-1])
            await commit(cluster, b"more %d" % number, nodes=2)
            await cluster.nodes[leader].snapshot()
        copies.stores(leader).discard(passed_over[-1])  # else it would be offered
        cluster.reconnect(lost)
        await caught_up(cluster, lost)
        taken = copies.stores(lost).refs(0)
        assert len(copies.done) == 1
        assert taken == (copies.done[0][2],)
        assert not set(passed_over) & set(taken)

    play("memory", 3, seed, scenario, machine=Words)


def test_one_without_a_state_is_not_taken(seed: int, copies: Copies, caplog: pytest.LogCaptureFixture) -> None:
    """The log would be given up for it, and no start could restore anything."""

    async def scenario(cluster: Cluster) -> None:
        leader, lost = await one_behind(cluster, copies)
        ref = copies.stores(leader).refs(0)[0]
        said = cluster.nodes[leader]._running.view.newest
        assert said is not None
        writer = copies.stores(lost).begin(ref)
        write_metadata(writer, said)
        writer.commit()
        cluster.reconnect(lost)
        await cluster.until(lambda: "it has no section 'state'" in caplog.text, "what is wrong is said")
        assert cluster.nodes[lost].status().first_index == 1
        await caught_up(cluster, lost)
        assert len(copies.done) == 1

    play("memory", 3, seed, scenario, machine=Words)


def test_one_of_another_configuration_than_the_leader_says_is_not_taken(
    seed: int, copies: Copies, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, lost = await one_behind(cluster, copies)
        view = cluster.nodes[leader]._running.view
        said = view.newest
        assert said is not None
        view.newest = Snapshot(said.index, said.term, ConfState((1, 2, 3, 4)), said.conf_index, said.time_ms)
        cluster.reconnect(lost)
        await cluster.until(lambda: "it is not taken" in caplog.text, "what is wrong is said")
        assert cluster.nodes[lost].status().first_index == 1
        view.newest = said
        begun = asyncio.get_running_loop().time()
        await caught_up(cluster, lost)
        assert asyncio.get_running_loop().time() - begun < 2, "the leader hears of it, and offers again"

    play("memory", 3, seed, scenario, machine=Words)


def test_one_that_cannot_be_read_before_it_is_taken_stops_nobody(
    seed: int, copies: Copies, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log is still there, and the leader offers it again."""
    failed: list[SnapshotRef] = []

    def read(snapshots: Snapshots, ref: SnapshotRef, name: str) -> tuple[Snapshot, MemberTable | None]:
        if len(failed) < 2:
            failed.append(ref)
            raise SnapshotFailed(str(ref), "the disk does not give it") if len(failed) == 1 else damaged("none", name)
        return read_beginning(snapshots, ref, name)

    async def scenario(cluster: Cluster) -> None:
        _, lost = await one_behind(cluster, copies)
        monkeypatch.setattr("raftpy.runtime.saved_state.read_beginning", read)
        cluster.reconnect(lost)
        await caught_up(cluster, lost)
        assert len(failed) == 2
        assert cluster.nodes[lost].failed is None

    play("memory", 3, seed, scenario, machine=Words)


class Failing(Words):
    """Whose ``restore`` fails once, while ``fails``."""

    fails = False

    def restore(self, saved: SavedState) -> None:
        if Failing.fails:
            self.words = [(1, saved.read(1))]
            raise ZeroDivisionError
        super().restore(saved)


def test_a_restore_that_fails_stops_the_node_and_the_next_start_restores(seed: int, copies: Copies) -> None:
    """Which is also what a follower finds that was killed in mid-restore: its log begins at the snapshot."""

    async def scenario(cluster: Cluster) -> None:
        of(cluster, copies)
        leader, _ = await cluster.single_leader()
        lost = next(i for i in cluster.ids if i != leader)
        cluster.disconnect(lost)
        to = await leave_behind(cluster, lost)
        Failing.fails = True
        cluster.reconnect(lost)
        node = cluster.nodes[lost]
        error = await cluster.until(lambda: node.failed, "the node has stopped")
        assert isinstance(error, RestoreFailed)
        assert isinstance(error.__cause__, ZeroDivisionError)
        what = f"the state machine could not be restored from the snapshot at entry {to}"
        assert str(error) == f"{what}; the node has stopped"
        with pytest.raises(RestoreFailed, match=what):
            await node.read_index()
        await cluster.crash(lost)
        Failing.fails = False
        await cluster.restart(lost)
        assert cluster.nodes[lost].status().first_index == to + 1
        await caught_up(cluster, lost)
        assert len(copies.calls) == 1

    play("memory", 3, seed, scenario, machine=Failing)


def test_commands_and_reads_wait_while_the_state_is_restored(
    seed: int, copies: Copies, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(cluster: Cluster) -> None:
        of(cluster, copies)
        leader, _ = await cluster.single_leader()
        lost = next(i for i in cluster.ids if i != leader)
        await commit(cluster, b"before")
        cluster.disconnect(lost)
        await leave_behind(cluster, lost)
        node, machine = cluster.nodes[lost], cluster.machines[lost]
        steps = node._host.executor
        assert isinstance(steps, LoopSteps)
        start = steps.start

        def hold(name: str, run: Callable[[], object]) -> Thread:
            steps.held = name.startswith("raftpy restoring") and node.status().first_index > 1
            return start(name, run)

        monkeypatch.setattr(steps, "start", hold)
        cluster.reconnect(lost)
        await cluster.until(lambda: steps.held, "the log is the snapshot")
        before = list(machine.words)
        coming = node.status().incoming_snapshot
        assert coming is not None
        assert coming.restoring
        assert coming.position == coming.size > 0
        read = asyncio.ensure_future(node.read_index())
        await cluster.nodes[leader].propose(b"behind it")
        await asyncio.sleep(1)
        assert not read.done()
        assert machine.words == before
        assert node.status().applied_index < node.status().first_index
        assert node.status().commit_index == cluster.nodes[leader].status().commit_index
        steps.release()
        assert await read >= node.status().first_index - 1
        await caught_up(cluster, lost)
        assert machine.commands[-1] == b"behind it"

    play("memory", 3, seed, scenario, machine=Words)


def test_the_state_is_not_touched_before_the_log_is_the_snapshot_durably(seed: int, copies: Copies) -> None:
    """Else a machine on a disk of its own stood beyond its log after a crash. And no snapshot is taken meanwhile."""

    async def scenario(cluster: Cluster) -> None:
        of(cluster, copies)
        leader, _ = await cluster.single_leader()
        lost = next(i for i in cluster.ids if i != leader)
        await commit(cluster, b"before")
        cluster.write_seconds[lost] = 0.2
        await cluster.crash(lost)
        await cluster.restart(lost)
        await caught_up(cluster, lost)
        cluster.disconnect(lost)
        await leave_behind(cluster, lost)
        copies.before = lambda *_: asyncio.sleep(1)
        cluster.reconnect(lost)
        node, raw = cluster.nodes[lost], cluster.nodes[lost]._running.raw
        await cluster.until(lambda: copies.calls, "the snapshot is asked for")
        await asyncio.sleep(0.1)
        taken = asyncio.ensure_future(node.snapshot())
        await cluster.until(lambda: raw.unstable_snapshot, "the core has taken it")
        for _ in range(9):
            await asyncio.sleep(0.02)
            assert raw.unstable_snapshot
            assert cluster.machines[lost].restored == []
            assert not taken.done()
        await caught_up(cluster, lost)
        assert cluster.machines[lost].restored
        assert await taken >= copies.done[0][2].index

    play("memory", 3, seed, scenario, machine=Words)


def test_a_machine_on_a_disk_of_its_own(seed: int, copies: Copies) -> None:
    async def scenario(cluster: Cluster) -> None:
        of(cluster, copies)
        leader, _ = await cluster.single_leader()
        lost = next(i for i in cluster.ids if i != leader)
        await commit(cluster, b"before")
        cluster.machines[lost].sync()
        cluster.disconnect(lost)
        to = await leave_behind(cluster, lost)
        cluster.reconnect(lost)
        await caught_up(cluster, lost)
        machine = cluster.machines[lost]
        assert machine.restored
        assert machine.disk.applied <= to
        await commit(cluster, b"behind it")
        # A restart goes on with what the machine has.
        machine.sync()
        disk = machine.disk
        await cluster.crash(lost)
        cluster.machine = lambda: WordsOnDisk(disk)
        await cluster.restart(lost)
        assert cluster.machines[lost].restored == []
        await caught_up(cluster, lost)

    play("memory", 3, seed, scenario, machine=WordsOnDisk)


def test_a_snapshot_on_its_way_is_kept_and_so_is_the_log_behind_it(seed: int, copies: Copies) -> None:
    """Though newer ones are taken meanwhile; once it has arrived nothing holds it any more."""

    async def scenario(cluster: Cluster) -> None:
        leader, lost = await one_behind(cluster, copies)
        copies.before = lambda *_: asyncio.sleep(1.5)
        cluster.reconnect(lost)
        await cluster.until(lambda: copies.calls, "the snapshot is asked for")
        offered = copies.calls[0][2]
        for number in range(4):
            await cluster.nodes[leader].propose(b"meanwhile %d" % number)
            await cluster.nodes[leader].snapshot()
        assert not copies.done
        assert copies.stores(leader).refs(0)[-1] == offered
        assert cluster.nodes[leader].status().first_index <= offered.index + 1
        await caught_up(cluster, lost)
        assert copies.done == copies.calls[:1]
        await commit(cluster, b"afterwards")
        await cluster.nodes[leader].snapshot()
        assert len(copies.stores(leader).refs(0)) == 2

    play("memory", 3, seed, scenario, machine=Words)


def test_commands_that_the_snapshot_covers_are_not_waited_for(seed: int, copies: Copies) -> None:
    """A megabyte of them was handed out, and not applied, when the snapshot came: the core hands out what follows."""

    async def scenario(cluster: Cluster) -> None:
        of(cluster, copies)
        leader, _ = await cluster.single_leader()
        lost = next(i for i in cluster.ids if i != leader)
        group = cluster.nodes[lost]._running
        group.applying.hold()
        for number in range(30):
            await cluster.nodes[leader].propose(b"%d " % number + bytes(50_000))
        await cluster.until(lambda: group.raw.commit_index == cluster.nodes[leader].status().commit_index, "it follows")
        cluster.disconnect(lost)
        to = await leave_behind(cluster, lost, count=2)
        cluster.reconnect(lost)
        await caught_up(cluster, lost)
        assert group.applying.applied >= to
        await commit(cluster, b"behind it")
        await caught_up(cluster, lost)

    play("memory", 3, seed, scenario, machine=Words)


def test_who_has_no_state_yet_takes_over_no_leadership(
    seed: int, copies: Copies, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither when it is told to, nor when the leader is gone: it would keep everybody waiting until it is restored.
    As soon as it is, it may lead, and offers the snapshot that its log begins at."""

    async def scenario(cluster: Cluster) -> None:
        of(cluster, copies)
        leader, _ = await cluster.single_leader()
        first, second = [i for i in cluster.ids if i != leader][:2]
        await commit(cluster, b"before")
        older = await cluster.nodes[first].snapshot()
        cluster.disconnect(first)
        cluster.disconnect(second)
        to = await leave_behind(cluster, first)
        node = cluster.nodes[first]
        steps = node._host.executor
        assert isinstance(steps, LoopSteps)
        start = steps.start

        def hold(name: str, run: Callable[[], object]) -> Thread:
            steps.held = name.startswith("raftpy restoring") and node.status().first_index > 1
            return start(name, run)

        monkeypatch.setattr(steps, "start", hold)
        cluster.reconnect(first)
        await cluster.until(lambda: steps.held, "the log is the snapshot")
        with pytest.raises(Timeout):
            await cluster.nodes[leader].transfer_leadership(first, timeout=1)
        assert cluster.nodes[leader].status().role == "leader"
        cluster.isolate(first)
        await asyncio.sleep(3)
        assert node.status().role == "follower"
        term = node.status().term
        steps.release()
        await cluster.until(lambda: node.status().role == "candidate", "it stands")
        assert node.status().term == term  # it asks before it does (thesis 9.6), and nobody hears it
        for node_id in cluster.ids:
            if node_id != second:
                cluster.reconnect(node_id)
        leader, _ = await cluster.single_leader()
        await cluster.nodes[leader].transfer_leadership(first)
        cluster.reconnect(second)
        await cluster.until(lambda: node.failed or copies.done[1:], "the other one is offered the snapshot")
        assert not node.failed
        assert copies.done[1][:2] == (second, first)
        assert copies.done[1][2].index == to > older
        for node_id in (first, second):
            await caught_up(cluster, node_id)

    play("memory", 5, seed, scenario, machine=Words)
