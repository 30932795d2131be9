"""Members that come and go while commands go on: what ``Node.members`` does on a cluster of real nodes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from raftpy import (
    AddMember,
    ChangeRefused,
    DemoteMember,
    Membership,
    NotLeader,
    PromoteMember,
    Removed,
    RemoveMember,
    Stopped,
    Timeout,
    WrongIdentity,
)
from raftpy.members.table import MemberTable
from raftpy.sim.entropy import SeededEntropy
from raftpy.storage import MemoryDisk
from raftpy.transport.datagram.memory import MemoryTransport
from tests.node.harness import KINDS, Cluster, play
from tests.node.served import table


def members(cluster: Cluster, node_id: int) -> Membership:
    return cluster.nodes[node_id].members.list()


def voters(cluster: Cluster, node_id: int) -> list[int]:
    return [member.id for member in members(cluster, node_id).members if member.voter]


def learners(cluster: Cluster, node_id: int) -> list[int]:
    return [member.id for member in members(cluster, node_id).members if not member.voter]


async def at_leader(cluster: Cluster, call: Any) -> Any:
    """What ``call``, given the leader's members, comes to; put again where the leader has changed."""
    for _ in range(50):
        try:
            return await call(cluster.nodes[await leading(cluster)].members)
        except (NotLeader, Timeout):
            await cluster.sleep_ms(50)
    raise AssertionError(f"no leader has made the change; seed {cluster.seed}")


async def leading(cluster: Cluster) -> int:
    """Who leads in the newest term, whoever follows; a node that was not added yet follows nobody."""
    leaders = await cluster.until(cluster.leaders, "a leader")
    return int(leaders[max(leaders)])


async def agreed(cluster: Cluster, wanted: list[int]) -> None:
    """Waits until all that are connected have these voters applied, and a table without a difference."""
    await cluster.until(
        lambda: (
            all(voters(cluster, i) == wanted for i in cluster.connected)
            and len({table(cluster.nodes[i]).encode() for i in cluster.connected}) == 1
        ),
        f"the voters {wanted} everywhere",
    )


async def forget(cluster: Cluster, node_id: int) -> None:
    """The node has ended as one that was removed, and is looked at no more."""
    node = cluster.nodes.pop(node_id)
    assert isinstance(node.failed, Removed)
    await node.stop()


# --- Growing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_two_nodes_grow_to_five_while_commands_go_on(kind: str, seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        count = 0
        for node_id in range(3, 6):
            await cluster.join(node_id)
            await at_leader(cluster, lambda m, i=node_id: m.add(i, cluster.addresses[i], learner=False))
            for _ in range(3):
                count += 1
                await cluster.propose((await cluster.single_leader())[0], b"%d" % count)
        await agreed(cluster, [1, 2, 3, 4, 5])
        await cluster.committed(b"%d" % count, 5)

    play(kind, 2, seed, scenario)


def test_a_node_may_be_started_before_or_after_it_was_added(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        await cluster.join(3)
        await cluster.sleep_ms(3000)
        assert cluster.nodes[3].status().waits_for == (1, 2)
        assert cluster.nodes[3].status().term == 0
        await cluster.nodes[leader].members.add(3, cluster.addresses[3])
        await cluster.nodes[leader].members.add(4, "127.0.0.1:7104")
        await cluster.join(4)
        await cluster.propose(leader, b"x")
        await cluster.committed(b"x", 4)
        assert (voters(cluster, 1), learners(cluster, 1)) == ([1, 2], [3, 4])

    play("memory", 2, seed, scenario)


def test_a_cluster_that_one_node_has_begun_is_not_grown(seed: int) -> None:
    """Emptied, and started again as it was, that node would ask nobody, and begin a second cluster beside this one."""

    async def scenario(cluster: Cluster) -> None:
        await cluster.single_leader()
        with pytest.raises(ChangeRefused, match="this cluster was begun by one node"):
            await cluster.nodes[1].members.add(2, "127.0.0.1:7102", safe=False)

    play("memory", 1, seed, scenario)


def test_a_learner_has_the_log_and_no_vote(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        await cluster.join(4)
        await cluster.nodes[leader].members.add(4, cluster.addresses[4])
        await cluster.propose(leader, b"x")
        await cluster.committed(b"x", 4)
        for other in {1, 2, 3} - {leader}:
            cluster.disconnect(other)
        doomed = cluster.propose(leader, b"y")  # the learner alone acknowledges it
        await cluster.sleep_ms(1000)
        assert cluster.holders(b"y") == []
        for other in {1, 2, 3} - {leader}:
            cluster.reconnect(other)
        await cluster.single_leader()
        with pytest.raises((NotLeader, Timeout)):
            await doomed

    play("memory", 3, seed, scenario)


def test_a_learner_that_was_never_heard_does_not_become_a_voter(seed: int) -> None:
    """An emptied disk must not vote for what another one has promised: the store is known to all who count the vote."""

    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        mine = cluster.nodes[leader].members
        await mine.add(4, "127.0.0.1:7104")
        with pytest.raises(ChangeRefused, match="node 4 has not been heard yet"):
            await mine.promote(4, safe=False)
        with pytest.raises(Timeout, match="node 4 was added and does not have the log yet: it is a learner"):
            await mine.add(4, "127.0.0.1:7104", learner=False, timeout=1)
        assert voters(cluster, leader) == [1, 2, 3]

    play("memory", 3, seed, scenario)


# --- Shrinking ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_node_that_is_removed_hears_of_it_and_ends(kind: str, seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        other = next(i for i in cluster.ids if i != leader)
        await at_leader(cluster, lambda m: m.remove(other))
        await cluster.until(lambda: isinstance(cluster.nodes[other].failed, Removed), "it has ended")
        await forget(cluster, other)
        rest = sorted({1, 2, 3} - {other})
        await agreed(cluster, rest)
        leader, _ = await cluster.single_leader()
        await cluster.propose(leader, b"x")
        await cluster.committed(b"x", 2)
        assert members(cluster, leader).removed == (other,)
        assert members(cluster, leader).next_id == 4

    play(kind, 3, seed, scenario)


def test_one_that_was_cut_off_when_it_was_removed_disturbs_nobody_and_is_told_later(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, term = await cluster.single_leader()
        other = next(i for i in cluster.ids if i != leader)
        cluster.disconnect(other)
        await cluster.sleep_ms(1000)
        await cluster.nodes[leader].members.remove(other)
        cluster.reconnect(other)
        await cluster.until(lambda: isinstance(cluster.nodes[other].failed, Removed), "it has ended")
        await forget(cluster, other)
        assert await cluster.single_leader() == (leader, term)
        # Its next start hears it, too, and so does a start of the members that knew it.
        for node_id in sorted({1, 2, 3} - {other}):
            await cluster.crash(node_id)
            await cluster.restart(node_id)
        await cluster.single_leader()
        await cluster.restart(other)
        await cluster.until(lambda: isinstance(cluster.nodes[other].failed, Removed), "it has ended again")
        await forget(cluster, other)

    play("memory", 3, seed, scenario)


def test_a_leader_that_is_to_go_hands_over_first(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        with pytest.raises(NotLeader) as told:
            await cluster.nodes[leader].members.remove(leader)
        assert told.value.leader_id not in (None, leader)
        assert voters(cluster, leader) == [1, 2, 3]
        await at_leader(cluster, lambda m: m.remove(leader))
        await cluster.until(lambda: isinstance(cluster.nodes[leader].failed, Removed), "it has ended")
        await forget(cluster, leader)
        await agreed(cluster, sorted({1, 2, 3} - {leader}))

    play("memory", 3, seed, scenario)


def test_a_demoted_voter_is_a_learner_and_may_be_promoted_again(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        other = next(i for i in cluster.ids if i != leader)
        mine = cluster.nodes[leader].members
        await mine.demote(other)
        assert learners(cluster, leader) == [other]
        await cluster.propose(leader, b"x")
        await cluster.committed(b"x", 3)
        await mine.promote(other)
        await agreed(cluster, [1, 2, 3])

    play("memory", 3, seed, scenario)


# --- Several at once ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_dead_node_is_replaced(kind: str, seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        await cluster.propose(leader, b"x")
        dead = next(i for i in cluster.ids if i != leader)
        await cluster.until(lambda: all(m.heard for m in members(cluster, leader).members), "all are heard")
        await cluster.crash(dead)
        await cluster.join(4)
        await at_leader(cluster, lambda m: m.replace(dead, 4, cluster.addresses[4]))
        rest = sorted({1, 2, 3, 4} - {dead})
        await agreed(cluster, rest)
        await cluster.committed(b"x", 3)
        assert members(cluster, leader).removed == (dead,)

    play(kind, 3, seed, scenario)


def test_all_members_are_replaced_by_others_at_once_and_find_one_another_again(seed: int) -> None:
    """None of those that are left is one that the cluster began with, and all of them start again together."""

    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        for node_id in (4, 5, 6):
            await cluster.join(node_id)
            await at_leader(cluster, lambda m, i=node_id: m.add(i, cluster.addresses[i]))
        await cluster.propose(leader, b"x")
        await cluster.committed(b"x", 6)
        await cluster.until(lambda: all(m.heard for m in members(cluster, leader).members), "all are heard")
        swap = [PromoteMember(4), PromoteMember(5), PromoteMember(6)]
        await at_leader(cluster, lambda m: m.change([*swap, *(RemoveMember(i) for i in (1, 2, 3) if i != leader)]))
        for node_id in sorted({1, 2, 3} - {leader}):
            await cluster.until(lambda i=node_id: cluster.nodes[i].failed is not None, "it has ended")
            await forget(cluster, node_id)
        await at_leader(cluster, lambda m: m.remove(leader))
        # At this very moment everything stops: what was told to be done is known to the new members.
        for node_id in (4, 5, 6):
            await cluster.crash(node_id)
        if leader in cluster.nodes:
            await cluster.crash(leader)
        for node_id in (4, 5, 6):
            await cluster.restart(node_id)
        leader, _ = await cluster.single_leader()
        await cluster.propose(leader, b"y")
        await cluster.committed(b"y", 3)
        await agreed(cluster, [4, 5, 6])

    play("memory", 3, seed, scenario)


# --- What is asked for twice, or by two -----------------------------------------------------------------------------


def test_what_is_there_already_is_done_again_without_harm(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        mine = cluster.nodes[leader].members
        await cluster.join(4)
        for _ in range(2):
            await mine.add(4, cluster.addresses[4], learner=False)
        for _ in range(2):
            await mine.remove(4)
        assert voters(cluster, leader) == [1, 2, 3]
        await cluster.until(lambda: isinstance(cluster.nodes[4].failed, Removed), "it has ended")
        await forget(cluster, 4)
        with pytest.raises(ChangeRefused, match="the next free one is 5"):
            await mine.add(4, cluster.addresses[4])

    play("memory", 3, seed, scenario)


def test_who_expects_another_configuration_is_refused(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        mine = cluster.nodes[leader].members
        await cluster.until(lambda: all(m.heard for m in mine.list().members), "all are heard")
        before = mine.list().index
        first, second = await asyncio.gather(
            mine.add(4, "127.0.0.1:7104", expected=before),
            mine.add(5, "127.0.0.1:7105", expected=before),
            return_exceptions=True,
        )
        assert isinstance(first, int)
        assert isinstance(second, ChangeRefused)
        assert f"not {before} as expected" in str(second)
        assert mine.list().index == first
        await mine.add(5, "127.0.0.1:7105", expected=first)
        assert learners(cluster, leader) == [4, 5]

    play("memory", 3, seed, scenario)


def test_changes_that_are_asked_for_together_wait_for_one_another(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        mine = cluster.nodes[leader].members
        await asyncio.gather(*(mine.add(i, f"127.0.0.1:{7100 + i}") for i in range(4, 8)))
        assert learners(cluster, leader) == [4, 5, 6, 7]

    play("memory", 3, seed, scenario)


def test_only_the_leader_changes_members(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        other = next(i for i in cluster.ids if i != leader)
        with pytest.raises(NotLeader) as told:
            await cluster.nodes[other].members.add(4, "127.0.0.1:7104")
        assert told.value.leader_id == leader
        assert members(cluster, other) == members(cluster, leader)

    play("memory", 3, seed, scenario)


def test_a_change_that_no_majority_takes_is_of_unknown_outcome(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        for other in {1, 2, 3} - {leader}:
            cluster.disconnect(other)
        with pytest.raises(Timeout, match="may or may not be made"):
            await cluster.nodes[leader].members.add(4, "127.0.0.1:7104", timeout=0.05)
        with pytest.raises(NotLeader):  # behind the other one, so in no log
            await cluster.nodes[leader].members.add(5, "127.0.0.1:7105")
        for other in {1, 2, 3} - {leader}:
            cluster.reconnect(other)

    play("memory", 3, seed, scenario)


def test_bad_calls(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        mine = cluster.nodes[leader].members
        with pytest.raises(ValueError, match="no change of the members is given"):
            await mine.change([])
        with pytest.raises(ValueError, match="node 9 is no member: 1, 2, 3 are"):
            await mine.promote(9)
        with pytest.raises(ValueError, match="has no port"):
            await mine.add(4, "nowhere")
        other = next(i for i in cluster.ids if i != leader)
        with pytest.raises(ValueError, match=f"node {other} is named twice"):
            await mine.change([AddMember(4, "127.0.0.1:7104"), DemoteMember(other), RemoveMember(other)])
        assert mine.list().members == members(cluster, leader).members
        assert voters(cluster, leader) == [1, 2, 3]

    play("memory", 3, seed, scenario)


# --- Addresses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["memory", "udp"])
def test_a_member_moves_to_another_address(kind: str, seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        other = next(i for i in cluster.ids if i != leader)
        await cluster.crash(other)
        await cluster.join(9)  # somewhere free
        await cluster.crash(9)
        cluster.ids = [1, 2, 3]
        new = cluster.addresses.pop(9)
        cluster.udp[other] = cluster.addresses[other] = new
        await at_leader(cluster, lambda m: m.set_address(other, new))
        await cluster.restart(other)
        await cluster.propose(leader, b"x")
        await cluster.committed(b"x", 3)
        assert {m.id: m.udp for m in members(cluster, leader).members}[other] == new

    play(kind, 3, seed, scenario)


def test_the_table_of_a_cluster_whose_members_have_all_come_later_is_whole_after_a_restart(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        for node_id in (3, 4):
            await cluster.join(node_id)
            await at_leader(cluster, lambda m, i=node_id: m.add(i, cluster.addresses[i], learner=False))
        await agreed(cluster, [1, 2, 3, 4])
        before = table(cluster.nodes[1])
        for node_id in (1, 2, 3, 4):
            await cluster.crash(node_id)
        for node_id in (1, 2, 3, 4):
            await cluster.restart(node_id)
        assert table(cluster.nodes[1]) == MemberTable()
        await cluster.single_leader()
        await agreed(cluster, [1, 2, 3, 4])
        assert table(cluster.nodes[1]) == before

    play("memory", 2, seed, scenario)


def test_a_removed_node_that_was_emptied_begins_nothing(seed: int) -> None:
    """Also where it is told not to wait for those that are gone: whoever is left knows that its id is used up."""

    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        await cluster.join(4)
        await at_leader(cluster, lambda m: m.add(4, cluster.addresses[4], learner=False))
        gone = next(i for i in (1, 2, 3) if i != leader)
        await at_leader(cluster, lambda m: m.remove(gone))
        await cluster.until(lambda: cluster.nodes[gone].failed is not None, "it has ended")
        await forget(cluster, gone)
        cluster.disks[gone] = MemoryDisk(f"another disk {gone}", entropy=SeededEntropy(cluster.random))
        cluster.spy.disks[gone] = cluster.disks[gone]
        cluster.settings["bootstrap"] = True
        await cluster.restart(gone)
        await cluster.until(lambda: cluster.nodes[gone].failed is not None, "it is told")
        assert isinstance(cluster.nodes[gone].failed, Removed | WrongIdentity)
        assert cluster.nodes[gone].status().term == 0
        await cluster.nodes.pop(gone).stop()

    play("memory", 3, seed, scenario)


def test_what_is_waited_for_is_there_already_or_never_comes(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        mine = cluster.nodes[leader].members
        other = next(i for i in cluster.ids if i != leader)
        await mine.add(other, cluster.addresses[other], learner=False, timeout=5)  # it is a voter
        waits = asyncio.ensure_future(mine.add(4, "127.0.0.1:7104", learner=False, timeout=None))
        await cluster.until(lambda: learners(cluster, leader) == [4], "it is a learner")
        await mine.remove(4)
        with pytest.raises(ChangeRefused, match="node 4 was removed"):
            await waits

    play("memory", 3, seed, scenario)


# --- The entry behind -----------------------------------------------------------------------------------------------


def test_who_is_removed_may_be_needed_until_that_is_written_for_good(seed: int) -> None:
    """A removal counts from where it is applied, and that it is committed is written with the entry behind it: a leader
    that loses its power in between needs the vote of whom it has removed."""

    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        other = 3 - leader
        await cluster.until(lambda: all(m.heard for m in members(cluster, leader).members), "both are heard")
        store: Any = cluster.nodes[leader]._host.storage
        store._delay_s = 1.5  # so there is time in between
        asked = asyncio.ensure_future(cluster.nodes[leader].members.remove(other))
        await cluster.until(lambda: voters(cluster, leader) == [leader], "it is applied")
        await cluster.sleep_ms(1300)  # the other one has said something meanwhile
        assert not asked.done()
        assert cluster.nodes[other].failed is None
        await cluster.crash(leader)
        with pytest.raises((Timeout, Stopped)):
            await asked
        await cluster.restart(leader)
        await cluster.until(lambda: isinstance(cluster.nodes[other].failed, Removed), "it has ended")
        await forget(cluster, other)
        await agreed(cluster, [leader])

    play("memory", 2, seed, scenario)


def test_the_leader_sees_to_an_entry_behind_the_removal_of_a_former_one(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        other = next(i for i in cluster.ids if i != leader)
        asked = asyncio.ensure_future(cluster.nodes[leader].members.remove(other))
        while other in voters(cluster, leader):
            await cluster.sleep_ms(0.05)
        await cluster.crash(leader)  # with nobody who waits for it any more
        with pytest.raises((Timeout, Stopped)):
            await asked
        await cluster.restart(leader)
        await cluster.until(lambda: isinstance(cluster.nodes[other].failed, Removed), "it has ended")
        await forget(cluster, other)
        await agreed(cluster, sorted({1, 2, 3} - {other}))
        for node_id in cluster.nodes:
            assert members(cluster, node_id).index > table(cluster.nodes[node_id]).removed[other].index

    play("memory", 3, seed, scenario)


def test_an_old_notice_does_nothing(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        await cluster.until(lambda: all(m.heard for m in members(cluster, leader).members), "all are heard")
        driver = cluster.nodes[leader]._host.driver
        assert driver is not None
        driver._on_removed(2, members(cluster, leader).index)
        assert cluster.nodes[leader].failed is None
        driver._on_removed(2, members(cluster, leader).index + 1)
        assert isinstance(cluster.nodes[leader].failed, Removed)
        await forget(cluster, leader)

    play("memory", 3, seed, scenario)


def test_an_address_that_the_others_cannot_use_keeps_nobody_else_away(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        mine = cluster.nodes[leader].members
        await mine.add(8, "[::1]:7108")  # of sockets of the other kind
        await cluster.join(4)
        await mine.add(4, cluster.addresses[4], learner=False)
        await cluster.propose(leader, b"x")
        await cluster.committed(b"x", 4)
        await mine.remove(8)
        assert voters(cluster, leader) == [1, 2, 3, 4]

    play("udp", 3, seed, scenario)


def test_a_start_keeps_what_the_transport_knows_of_its_peers(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    change_peers = MemoryTransport.change_peers

    def counted(self: MemoryTransport, members: Any) -> None:
        calls.append(self._own.node_id)
        change_peers(self, members)

    monkeypatch.setattr(MemoryTransport, "change_peers", counted)

    async def scenario(cluster: Cluster) -> None:
        await cluster.single_leader()
        await cluster.until(lambda: all(m.heard for m in members(cluster, 1).members), "all are heard")

    play("memory", 3, seed, scenario)
    assert calls == [1, 2, 3], "once by each transport itself"
