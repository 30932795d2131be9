"""Commits: the text's scenarios, against whole nodes."""

from __future__ import annotations

import pytest

from raftpy import NotLeader, RaftError, Timeout
from raftpy.runtime.pending_proposals import Proposal
from tests.node.harness import KINDS, PLAIN, Cluster, play

pytestmark = pytest.mark.parametrize("kind", KINDS)


async def commit(cluster: Cluster, *commands: bytes, nodes: int | None = None) -> None:
    """Proposes each command, again and to whoever leads by then if it must be, until all connected nodes have it.

    Only where datagrams are lost is more than one attempt needed; a command is proposed again only when the first
    attempt was refused or can no longer be committed, so that none is there twice.
    """
    for command in commands:
        while True:
            leader, _ = await cluster.single_leader()
            try:
                await cluster.propose(leader, command, timeout=10)
                break
            except RaftError:
                await cluster.single_leader()
                await cluster.sleep_ms(300)
                if cluster.holders(command):
                    break
        await cluster.committed(command, len(cluster.connected) if nodes is None else nodes)


def test_one_command(kind: str, seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        await commit(cluster, b"42", nodes=3)

    play(kind, 3, seed, scenario)


def test_after_calls_have_been_dropped(kind: str, seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        cluster.disconnect(leader)  # what carries the command is lost; a later message must do
        proposal = cluster.propose(leader, b"99")
        await cluster.sleep_ms(30)
        cluster.reconnect(leader)
        await until_done(cluster, proposal)
        if not cluster.unreliable:
            assert proposal.exception() is None
            await cluster.committed(b"99", 3)

    play(kind, 3, seed, scenario)


async def until_done(cluster: Cluster, proposal: Proposal) -> None:
    await cluster.until(proposal.done, "the proposal to be done")


def test_a_follower_refuses_and_names_the_leader(kind: str, seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        follower = leader % 3 + 1
        with pytest.raises(NotLeader) as refused:
            await cluster.propose(follower, b"42")
        assert refused.value.leader_id == leader
        assert refused.value.leader_udp == cluster.addresses[leader]
        await cluster.sleep_ms(100)
        cluster.not_committed(b"42")

    play(kind, 3, seed, scenario)


def test_many_commands_in_their_order(kind: str, seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        await commit(cluster, b"42", b"55", b"81", nodes=3)
        for machine in cluster.machines.values():
            assert machine.commands == [b"42", b"55", b"81"]
            assert machine.indexes == sorted(machine.indexes)

    play(kind, 3, seed, scenario)


def test_a_follower_disconnects_and_catches_up(kind: str, seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        await commit(cluster, b"5", b"6", nodes=3)
        leader, _ = await cluster.single_leader()
        away = leader % 3 + 1
        cluster.disconnect(away)
        await commit(cluster, b"7", nodes=2)
        assert b"7" not in cluster.machines[away].commands
        cluster.reconnect(away)
        await cluster.single_leader()
        await cluster.committed(b"7", 3)

    play(kind, 3, seed, scenario)


def test_nothing_is_committed_without_a_quorum(kind: str, seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        await commit(cluster, b"5", b"6", nodes=3)
        leader, term = await cluster.single_leader()
        followers = [i for i in cluster.ids if i != leader]
        for follower in followers:
            cluster.disconnect(follower)
        proposal = cluster.propose(leader, b"8")
        await cluster.sleep_ms(650)  # long enough for both to have gone on to later terms
        cluster.not_committed(b"8")
        assert not proposal.done()
        for follower in followers:
            cluster.reconnect(follower)
        await cluster.until(lambda: cluster.nodes[leader].status().term > term, "the later terms to be heard")
        _, new_term = await cluster.single_leader()
        assert new_term > term
        with pytest.raises(Timeout, match="lost the leadership"):
            await proposal
        await commit(cluster, b"9", b"10", b"11", nodes=3)

    play(kind, 3, seed, scenario, **PLAIN)


def test_leader_disconnects_briefly(kind: str, seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        await commit(cluster, b"5", b"6", nodes=3)
        leader, _ = await cluster.single_leader()
        cluster.disconnect(leader)
        await cluster.sleep_ms(90)  # below every election timeout
        cluster.reconnect(leader)
        await cluster.sleep_ms(200)
        await commit(cluster, b"7", nodes=3)

    play(kind, 3, seed, scenario)


def test_leader_disconnects_with_an_uncommitted_command(kind: str, seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        await commit(cluster, b"5", b"6", nodes=5)
        old, _ = await cluster.single_leader()
        cluster.disconnect(old)
        lost = cluster.propose(old, b"7")
        await commit(cluster, b"8", nodes=4)
        assert b"7" not in cluster.machines[old].commands
        cluster.reconnect(old)
        final, _ = await cluster.single_leader()
        assert final != old  # its log is behind, so nobody votes for it (paper 5.4.1)
        await commit(cluster, b"9", nodes=5)
        await cluster.committed(b"8", 5)
        cluster.not_committed(b"7")
        with pytest.raises(Timeout):
            await lost

    play(kind, 5, seed, scenario)
