"""Candidates that crash before their own disk has their term: nobody may have heard of it (Figure 2; thesis 3.8)."""

from __future__ import annotations

from raftcore.base.types import MessageType
from raftcore.wire.codec import messages
from tests.node.harness import PLAIN, Cluster, play


def stand(cluster: Cluster, node_id: int) -> None:
    driver = cluster.nodes[node_id]._running
    driver.raw.campaign()
    driver.passes.schedule()


def kinds(datagram: bytes) -> set[int]:
    return {message.type for _, message in messages(datagram)}


def test_nobody_leads_the_same_term_twice(seed: int) -> None:
    """A candidate whose disk hangs is elected by the others, sends an entry, crashes, and stands again: the entries it
    sends then must not have the index and the term of the first."""

    async def scenario(cluster: Cluster) -> None:
        a, _ = await cluster.single_leader()
        c, b = (node_id for node_id in cluster.ids if node_id != a)
        await cluster.propose(a, b"first")
        await cluster.committed(b"first", 3)
        await cluster.sleep_ms(30)
        cluster.nodes[c]._host.storage._delay_s = 1000.0  # type: ignore[attr-defined]
        cluster.network.filter = lambda sender, to, data: (
            (sender, to) != (c, b) or MessageType.MsgApp not in kinds(data)
        )
        stand(cluster, c)
        await cluster.sleep_ms(2)
        cluster.network.cut(c, b)
        if cluster.nodes[c].status().role == "leader":
            cluster.nodes[c].propose(b"a", timeout=None)
            await cluster.sleep_ms(3)
        await cluster.crash(c)
        cluster.network.heal()
        cluster.network.cut(a, b)
        cluster.network.filter = None
        await cluster.restart(c)
        await cluster.sleep_ms(3)
        stand(cluster, c)
        await cluster.sleep_ms(5)
        if cluster.nodes[c].status().role == "leader":
            await cluster.propose(c, b"b")
        cluster.network.heal()
        await cluster.sleep_ms(300)
        logs = {tuple(cluster.machines[node_id].commands) for node_id in cluster.ids}
        assert len(logs) == 1, logs

    play("memory", 3, seed, scenario, **PLAIN)


def test_a_grant_for_a_forgotten_candidacy_elects_nobody(seed: int) -> None:
    """x is acknowledged by two of three. The third has it in memory, asks for votes with it, crashes and forgets both:
    the vote that it was given must not make it leader without x."""

    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        c, v = (node_id for node_id in cluster.ids if node_id != leader)
        await cluster.propose(leader, b"first")
        await cluster.committed(b"first", 3)
        await cluster.sleep_ms(30)
        cluster.nodes[c]._host.storage._delay_s = 1000.0  # type: ignore[attr-defined]
        cluster.network.filter = lambda sender, to, data: (
            (sender, to) != (leader, v) or not any(message.commit >= 4 for _, message in messages(data))
        )
        await cluster.propose(leader, b"x")
        await cluster.sleep_ms(3)
        await cluster.crash(leader)
        cluster.nodes[v]._host.storage._delay_s = 0.04  # type: ignore[attr-defined]
        stand(cluster, c)
        await cluster.sleep_ms(3)
        await cluster.crash(c)
        await cluster.restart(c)
        await cluster.sleep_ms(3)
        stand(cluster, c)
        await cluster.sleep_ms(80)
        await cluster.restart(leader)
        await cluster.sleep_ms(1000)
        for node_id in cluster.ids:
            assert b"x" in cluster.machines[node_id].commands, node_id

    play("memory", 3, seed, scenario, **PLAIN)
