"""Persistence: term, vote and entries survive before anything is said that rests on them."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import pytest

from raftcore import HardState, Message, MessageType
from raftcore.wire.codec import decode_message, frames
from raftpy.storage.memory import MemoryGroup
from tests.node.harness import Cluster, play
from tests.node.spy import Spy
from tests.node.test_commits import commit

KINDS = ("memory", "memory-unreliable")


@pytest.mark.parametrize("kind", KINDS)
def test_every_promise_in_a_busy_cluster_was_durable_first(kind: str, seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        for number in range(6):
            await commit(cluster, b"%d" % number)
            leader, _ = await cluster.single_leader()
            # The leader at least once: only an election has votes to judge.
            victim = cluster.random.choice(cluster.connected) if number else leader
            await cluster.crash(victim)
            await commit(cluster, b"%d without" % number)
            await cluster.restart(victim)
        for needed in (MessageType.MsgVoteResp, MessageType.MsgAppResp, MessageType.MsgApp, MessageType.MsgHeartbeat):
            assert cluster.spy.seen[needed] > 1  # the spy has seen something to judge
        assert cluster.spy.told
        assert cluster.spy.broken == []

    play(kind, 3, seed, scenario)


def test_a_vote_that_was_granted_survives_the_crash_right_after(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        granted = await cluster.until(lambda: cluster.spy.told, "a vote")
        voter, candidate, answer = granted[0]
        await cluster.crash(voter)
        assert cluster.disks[voter].groups[0].hard_state.term >= answer.term
        node = await cluster.start(voter)
        raw = node._running.raw
        if raw.term == answer.term:
            assert raw.vote == candidate  # and so it cannot be given to another
        else:
            assert raw.term > answer.term
        await cluster.single_leader()

    play("memory", 3, seed, scenario)


def test_no_vote_leaves_while_its_write_is_under_way(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        # However long the disk of a voter takes, until then nothing is heard of the vote.
        leader, _ = await cluster.single_leader()
        for node_id in cluster.ids:
            if node_id != leader:
                cluster.nodes[node_id]._host.storage._delay_s = 0.05  # type: ignore[attr-defined]
        asked: dict[tuple[int, int, int], float] = {}
        waits: list[float] = []

        def watch(from_id: int, to_id: int, datagram: bytes) -> bool:
            for _, kind, body in frames(datagram):
                message = decode_message(kind, bytes(body)) if kind < 128 else None
                if message is not None and message.type == MessageType.MsgVote:
                    asked.setdefault((message.term, from_id, to_id), cluster.clock.monotonic())
                if message is not None and message.type == MessageType.MsgVoteResp and not message.reject:
                    waits.append(cluster.clock.monotonic() - asked[message.term, to_id, from_id])
            return cluster.spy.watch(from_id, to_id, datagram)

        cluster.network.filter = watch
        cluster.disconnect(leader)
        await cluster.single_leader()
        assert waits
        assert min(waits) >= 0.05

    play("memory", 3, seed, scenario)


def test_term_and_vote_are_those_of_the_disk_after_a_restart(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        await commit(cluster, b"x", nodes=3)
        for node_id in cluster.ids:
            before = cluster.nodes[node_id].status()
            await cluster.crash(node_id)
            assert cluster.disks[node_id].groups[0].hard_state.term == before.term
            node = await cluster.start(node_id)
            status = node.status()
            assert status.term == before.term
            assert status.last_index == before.last_index
            assert status.role == "follower"
            assert status.leader is None
            await cluster.single_leader()

    play("memory", 3, seed, scenario)


def test_what_was_not_durable_was_not_acknowledged(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        follower = leader % 3 + 1
        third = next(i for i in cluster.ids if i not in (leader, follower))
        cluster.disconnect(third)
        cluster.nodes[follower]._host.storage._delay_s = 0.03  # type: ignore[attr-defined]
        proposal = cluster.propose(leader, b"x")
        await cluster.sleep_ms(20)  # it has arrived at the follower, whose disk is slow
        assert cluster.nodes[follower].status().last_index == cluster.nodes[leader].status().last_index
        assert not proposal.done()
        await cluster.crash(follower)
        await cluster.sleep_ms(50)
        assert not proposal.done()
        assert cluster.disks[follower].groups[0].index.last < cluster.nodes[leader].status().last_index
        await cluster.restart(follower)
        await proposal
        await cluster.committed(b"x", 2)

    play("memory", 3, seed, scenario)


def test_the_spy_sees_what_should_not_be() -> None:
    class Disk:
        groups: ClassVar = {0: MemoryGroup()}

    Disk.groups[0].hard_state = HardState(3, 1, 0)
    Disk.groups[0].index.last = 7
    spy = Spy({2: Disk()})  # type: ignore[dict-item]
    spy.check(2, 1, Message(MessageType.MsgVoteResp, term=3))
    spy.check(2, 1, Message(MessageType.MsgAppResp, term=3, index=7))
    spy.check(2, 1, Message(MessageType.MsgAppResp, term=4, index=8, reject=True))
    assert spy.broken == []
    for message in (
        Message(MessageType.MsgVoteResp, term=4),
        Message(MessageType.MsgAppResp, term=3, index=8),
        Message(MessageType.MsgAppResp, term=4, index=7),
        Message(MessageType.MsgHeartbeat, term=3),
    ):
        spy.check(2, 1, message)
    spy.check(2, 3, Message(MessageType.MsgVoteResp, term=3))
    assert len(spy.broken) == 5


def test_durable_means_durable_on_a_slow_disk_too(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        for node in cluster.nodes.values():
            node._host.storage._delay_s = 0.02  # type: ignore[attr-defined]
        leader, _ = await cluster.single_leader()
        results = await asyncio.gather(*[cluster.propose(leader, b"%d" % i) for i in range(50)])
        assert results == sorted(results)
        await cluster.committed(b"49", 3)

    play("memory", 3, seed, scenario)
