"""Nodes whose store holds nothing: who may take part at once, who waits, and who stops because its disk was lost."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest

from raftcore.values.message import HardState
from raftcore.wire.codec import frames
from raftpy import Node, NotLeader, Stopped, Unreliable, WrongIdentity
from raftpy.transport.datagram.memory import MemoryTransport
from tests.node.harness import Cluster
from tests.node.loop import run
from tests.node.served import group

LONG_MS = 60_000
"""Much longer than any election takes."""


class Founders(Cluster):
    """A cluster of which only some are started; the nodes that stop by themselves are taken out when they are seen."""

    async def __aenter__(self) -> Founders:
        return self

    def waits_for(self, node_id: int) -> tuple[int, ...]:
        return self.nodes[node_id].status().waits_for

    async def wipe(self, *node_ids: int) -> None:
        """kill -9, and the directories are removed."""
        for node_id in node_ids:
            await self.crash(node_id)
            self.disks[node_id].erase()

    async def ends(self, node_id: int) -> str:
        """The node stops by itself; the reason that it gives."""
        failure = await self.until(lambda: self.nodes[node_id].failed, f"node {node_id} stops")
        assert isinstance(failure, WrongIdentity)
        del self.nodes[node_id]
        return str(failure)

    async def stays_quiet(self, milliseconds: float = LONG_MS) -> None:
        """For so long nobody leads, and no term is reached that was not there before."""
        terms = {i: node.status().term for i, node in self.nodes.items()}
        for _ in range(20):
            await self.sleep_ms(milliseconds / 20)
            self.no_leader()
        assert {i: node.status().term for i, node in self.nodes.items()} == terms


def found(
    kind: str,
    size: int,
    seed: int,
    scenario: Callable[[Founders], Awaitable[None]],
    started: Iterable[int] | None = None,
    **settings: Any,
) -> None:
    """Runs a scenario on a cluster of which ``started`` (None: all) are started."""

    async def main() -> None:
        async with Founders(kind, size, seed, **settings) as cluster:
            for node_id in cluster.ids if started is None else started:
                await cluster.start(node_id)
            await scenario(cluster)
            cluster.same_order()

    run(main()) if kind.startswith("memory") else asyncio.run(main())


def lines(caplog: pytest.LogCaptureFixture, node_id: int, words: str) -> list[str]:
    """What a node has logged with these words."""
    texts = [record.getMessage() for record in caplog.records]
    return [text for text in texts if text.startswith((f"node {node_id} ", f"node {node_id}: ")) and words in text]


# --- A disk that was lost -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["memory", "memory-unreliable", "udp"])
@pytest.mark.parametrize("bootstrap", [False, True], ids=["plain", "bootstrap"])
def test_a_wiped_majority_does_not_found_an_empty_cluster(
    kind: str, bootstrap: bool, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(cluster: Founders) -> None:
        leader, _ = await cluster.single_leader()
        for number in range(10):
            await cluster.propose(leader, b"%d" % number)
        await cluster.committed(b"9", 3)
        await cluster.wipe(2, 3)
        cluster.settings["bootstrap"] = bootstrap
        for node_id in (2, 3):
            await cluster.start(node_id)
        for node_id in (2, 3):
            text = await cluster.ends(node_id)
            # Over a bad network it may be the other one that has heard the lost store again.
            assert re.match(rf"node [1-3] knows node {node_id} by another data directory", text)
            assert text.startswith("node 1 ") or kind == "memory-unreliable"
            assert "put its old data directory back" in text
            assert "\n" not in text
        assert cluster.machines[1].commands == [b"%d" % number for number in range(10)]
        assert cluster.machines[2].commands == cluster.machines[3].commands == []
        assert [cluster.disks[i].groups[0].hard_state for i in (2, 3)] == [HardState()] * 2, (
            "they have promised nothing"
        )

    found(kind, 3, seed, scenario)
    assert [len(lines(caplog, node_id, "has stopped")) for node_id in (1, 2, 3)] == [0, 1, 1]
    assert [lines(caplog, node_id, "refuses this node") for node_id in (2, 3)] == [[], []], "one line each"


def test_a_wiped_minority_stops_and_the_others_go_on(seed: int) -> None:
    async def scenario(cluster: Founders) -> None:
        leader, _ = await cluster.single_leader()
        await cluster.propose(leader, b"before")
        await cluster.committed(b"before", 3)
        await cluster.wipe(leader)
        second, _ = await cluster.single_leader()
        await cluster.start(leader)
        assert "knows node" in await cluster.ends(leader)
        await cluster.propose(second, b"after")
        await cluster.committed(b"after", 2)

    found("memory", 3, seed, scenario)


@pytest.mark.parametrize("times", [1, 3])
def test_a_start_that_was_cut_short_makes_no_node_of_it(seed: int, times: int) -> None:
    """The wiped nodes start, and are killed, while the survivor does not answer: they are as new as before."""

    async def scenario(cluster: Founders) -> None:
        leader, _ = await cluster.single_leader()
        await cluster.propose(leader, b"kept")
        await cluster.committed(b"kept", 3)
        cluster.disconnect(1)
        await cluster.wipe(2, 3)
        for _ in range(times):
            for node_id in (2, 3):
                await cluster.start(node_id)
            await cluster.stays_quiet(5_000)
            assert [cluster.waits_for(i) for i in (2, 3)] == [(1,), (1,)]
            for node_id in (2, 3):
                await cluster.crash(node_id)
        for node_id in (2, 3):
            await cluster.start(node_id)
        await cluster.stays_quiet()
        cluster.reconnect(1)
        for node_id in (2, 3):
            assert "node 1 knows" in await cluster.ends(node_id)
        assert cluster.machines[1].commands == [b"kept"]

    found("memory", 3, seed, scenario)


def test_one_that_takes_no_part_says_so_to_whoever_asks_it(seed: int) -> None:
    async def scenario(cluster: Founders) -> None:
        node = cluster.nodes[2]
        with pytest.raises(NotLeader, match="takes no part before it has heard from nodes 1, 3") as caught:
            await node.propose(b"x")
        assert caught.value.because is not None
        with pytest.raises(TimeoutError):
            await node.read_index(timeout=1.0)
        assert (node.status().role, node.status().leader, node.status().waits_for) == ("follower", None, (1, 3))
        waiting = asyncio.ensure_future(node.wait_for_leader())
        await cluster.sleep_ms(10)
        await node.stop()
        with pytest.raises(Stopped):
            await waiting

    found("memory", 3, seed, scenario, started=[2])


def test_one_that_takes_part_no_longer_gives_the_founding_as_a_reason(seed: int) -> None:
    async def scenario(cluster: Founders) -> None:
        leader, _ = await cluster.single_leader()
        for node_id in set(cluster.ids) - {leader}:
            await cluster.crash(node_id)
        node = cluster.nodes[leader]
        await cluster.until(lambda: node.status().leader is None, "it has stepped down")
        with pytest.raises(NotLeader) as caught:
            await node.propose(b"x")
        assert caught.value.because is None

    found("memory", 3, seed, scenario)


def test_what_was_said_to_an_earlier_store_counts_for_nothing(seed: int) -> None:
    """Everything ever sent comes again, in any order, to two wiped nodes whose survivor is silent."""

    async def scenario(cluster: Founders) -> None:
        kept: list[tuple[int, bytes]] = []

        def keep(from_id: int, to_id: int, datagram: bytes) -> bool:
            kept.append((to_id, datagram))
            return True

        cluster.network.filter = keep
        leader, _ = await cluster.single_leader()
        await cluster.propose(leader, b"kept")
        await cluster.sleep_ms(2_000)
        await cluster.wipe(2, 3)
        await cluster.crash(1)
        for node_id in (2, 3):
            await cluster.start(node_id)
        cluster.random.shuffle(kept)
        for to_id, datagram in list(kept):
            if to_id in cluster.nodes:
                cluster.nodes[to_id]._host.transport.arrive(datagram)  # type: ignore[attr-defined]
        await cluster.stays_quiet()
        assert [cluster.disks[i].groups[0].hard_state for i in (2, 3)] == [HardState()] * 2
        for node_id in (2, 3):  # one that has heard the other's lost store again may have said so, and rightly
            assert cluster.nodes[node_id].failed is not None or 1 in cluster.waits_for(node_id)
        await cluster.start(1)
        for node_id in (2, 3):
            assert f"knows node {node_id} by" in await cluster.ends(node_id)

    found("memory", 3, seed, scenario)


def test_a_survivor_that_never_heard_of_the_lost_stores_stops_them_all_the_same(seed: int) -> None:
    """It holds entries, so a majority has taken part; the two others say that they are new, so one of them forgot."""

    async def scenario(cluster: Founders) -> None:
        leader, term = await cluster.single_leader()
        await cluster.propose(leader, b"kept")
        await cluster.committed(b"kept", 3)
        await cluster.wipe(2, 3)
        await cluster.crash(1)
        disk = cluster.disks[1]
        disk.pins.clear()
        disk.groups[0].hard_state = HardState(
            term, disk.groups[0].hard_state.vote, 0
        )  # so that the member table sets no pins either
        cluster.network.cut(1, 3)
        for node_id in cluster.ids:
            await cluster.start(node_id)
        await cluster.sleep_ms(500)
        cluster.network.mend(1, 3)  # node 3 hears of it later, and still finds node 2 to ask
        texts = [await cluster.ends(node_id) for node_id in (2, 3)]
        said = "node 1 holds the log of this cluster, and nodes 2, 3 hold nothing"
        assert [text.startswith(said) for text in texts] == [True, True]

    found("memory", 3, seed, scenario)


def test_random_losses_of_a_majority_lose_nothing(seed: int) -> None:
    """Wiped, started and killed again and again, over a bad network, with a survivor that comes and goes."""

    async def scenario(cluster: Founders) -> None:
        leader, _ = await cluster.single_leader()
        await cluster.propose(leader, b"kept")
        await cluster.committed(b"kept", cluster.ids[-1])
        survivor = cluster.random.choice(cluster.ids)
        lost = [i for i in cluster.ids if i != survivor]
        await cluster.wipe(*lost)
        for _ in range(100):
            node_id = cluster.random.choice(lost)
            if node_id not in cluster.nodes:
                await cluster.start(node_id)
            elif cluster.nodes[node_id].failed is not None:
                await cluster.ends(node_id)
            elif cluster.random.random() < 0.3:
                await cluster.crash(node_id)
                if cluster.random.random() < 0.3:
                    cluster.disks[node_id].erase()
            (cluster.disconnect if cluster.random.random() < 0.8 else cluster.reconnect)(survivor)
            await cluster.sleep_ms(cluster.random.choice((1, 30, 500)))
            assert all(cluster.nodes[i].status().role != "leader" for i in lost if i in cluster.nodes)
        assert [cluster.disks[i].groups[0].hard_state.term for i in lost] == [0] * len(lost)
        cluster.reconnect(survivor)
        for node_id in lost:
            if node_id not in cluster.nodes:
                await cluster.start(node_id)
            await cluster.ends(node_id)
        assert cluster.machines[survivor].commands == [b"kept"]

    for round_ in range(8):
        found("memory-unreliable", 3 if round_ % 2 else 5, seed + round_, scenario)


# --- A cluster that is new ------------------------------------------------------------------------------------------


def test_a_new_cluster_is_founded_within_one_round_trip(seed: int) -> None:
    async def scenario(cluster: Founders) -> None:
        cluster.network.unreliable = Unreliable(delay_ms=(40, 40), long_delay_rate=0, drop_rate=0)
        for node_id in cluster.ids:
            await cluster.start(node_id)
        await cluster.sleep_ms(79)
        assert [cluster.waits_for(i) for i in cluster.ids] == [(2, 3), (1, 3), (1, 2)]
        await cluster.sleep_ms(2)
        assert [cluster.waits_for(i) for i in cluster.ids] == [(), (), ()]
        await cluster.single_leader()

    found("memory", 3, seed, scenario, started=[])


@pytest.mark.parametrize("size", [3, 5])
def test_nobody_asks_again_when_the_last_one_comes(seed: int, size: int) -> None:
    """It reads the answers of all in one go; the others, which ask seldom by now, begin with its first word."""
    last = size

    async def scenario(cluster: Founders) -> None:
        network = cluster.network
        await cluster.sleep_ms(cluster.random.uniform(2_000, 4_000))
        answers: list[bytes] = []

        def keep(_: int, to_id: int, datagram: bytes) -> bool:
            if to_id == last:
                answers.append(datagram)
            return to_id != last

        network.filter = keep
        await cluster.start(last)
        await cluster.sleep_ms(5)
        network.filter = None
        transport = cluster.nodes[last]._host.transport
        assert isinstance(transport, MemoryTransport)
        transport._inbox.extend(answers[:-1])
        transport.arrive(answers[-1])
        await cluster.sleep_ms(2)  # there and nowhere back
        assert [cluster.waits_for(i) for i in cluster.ids] == [()] * size
        await cluster.single_leader()

    for round_ in range(10):
        found("memory", size, seed + round_, scenario, started=range(1, size))


def test_a_new_cluster_does_not_wait_for_a_leader_that_cannot_be(seed: int) -> None:
    """The shortest election timeout, 150 ms, is over when all are known to be new; a split vote may cost another."""
    taken: list[float] = []

    async def scenario(cluster: Founders) -> None:
        await cluster.single_leader()
        taken.append(cluster.clock.monotonic() * 1000)

    for round_ in range(20):
        found("memory", 3, seed + round_, scenario)
    assert sum(milliseconds < 150 for milliseconds in taken) > 10, taken


def test_a_late_member_gives_the_leader_its_time(seed: int) -> None:
    """It begins with a whole election timeout before it, also when not a word of Raft has reached it."""

    async def scenario(cluster: Founders) -> None:
        await cluster.single_leader()
        cluster.settings["bootstrap"] = False
        cluster.network.filter = lambda from_id, to_id, datagram: all(kind >= 128 for _, kind, _ in frames(datagram))
        await cluster.start(3)
        await cluster.until(lambda: cluster.waits_for(3) == (), "node 3 begins")
        assert group(cluster.nodes[3]).raw.ticks_until_due() >= 14

    for round_ in range(10):
        found("memory", 3, seed + round_, scenario, started=[1, 2], bootstrap=True)


def test_the_one_that_comes_last_founds_it(seed: int) -> None:
    async def scenario(cluster: Founders) -> None:
        await cluster.stays_quiet()
        began = cluster.clock.monotonic()
        await cluster.start(3)
        await cluster.single_leader()
        assert cluster.clock.monotonic() - began < 1.0

    found("memory", 3, seed, scenario, started=[1, 2])


@pytest.mark.parametrize("size", [2, 3, 5])
def test_founding_survives_restarts_and_a_bad_network(seed: int, size: int) -> None:
    async def scenario(cluster: Founders) -> None:
        for _ in range(50):
            node_id = cluster.random.choice(cluster.ids)
            if node_id in cluster.nodes:
                await cluster.crash(node_id)
            else:
                await cluster.start(node_id)
            await cluster.sleep_ms(cluster.random.choice((1, 10, 100)))
        for node_id in cluster.ids:
            if node_id not in cluster.nodes:
                await cluster.start(node_id)
        await cluster.single_leader()
        assert [cluster.waits_for(i) for i in cluster.ids] == [()] * size

    for round_ in range(5):
        found("memory-unreliable", size, seed + round_, scenario, started=[])


def test_two_of_three_wait_for_the_third_and_say_so(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(cluster: Founders) -> None:
        await cluster.stays_quiet(59_000)
        assert [cluster.waits_for(i) for i in (1, 2)] == [(3,), (3,)]

    with caplog.at_level(logging.WARNING, "raftpy"):
        found("memory", 3, seed, scenario, started=[1, 2])
    for node_id in (1, 2):
        said = lines(caplog, node_id, "takes no part yet")
        assert len(said) == 6, "after two seconds, and then every ten"
        assert all("waits for node 3 " in line and "--bootstrap" in line for line in said)


@pytest.mark.parametrize("kind", ["memory", "udp"])
def test_bootstrap_founds_without_the_third(kind: str, seed: int) -> None:
    async def scenario(cluster: Founders) -> None:
        leader, _ = await cluster.single_leader()
        await cluster.propose(leader, b"without three")
        assert [cluster.waits_for(i) for i in (1, 2)] == [(), ()]
        cluster.settings["bootstrap"] = False
        await cluster.start(3)
        await cluster.committed(b"without three", 3)
        assert cluster.waits_for(3) == ()

    found(kind, 3, seed, scenario, started=[1, 2], bootstrap=True)


def test_bootstrap_waits_three_seconds_for_who_may_be_there(seed: int) -> None:
    async def scenario(cluster: Founders) -> None:
        await cluster.sleep_ms(2_900)
        assert [cluster.waits_for(i) for i in (1, 2)] == [(3,), (3,)]

    found("memory", 3, seed, scenario, started=[1, 2], bootstrap=True)


# --- New members of a cluster that runs -----------------------------------------------------------------------------


def test_a_late_member_waits_for_one_that_is_down(seed: int) -> None:
    async def scenario(cluster: Founders) -> None:
        leader, _ = await cluster.single_leader()
        await cluster.propose(leader, b"early")
        cluster.settings["bootstrap"] = False
        down = 3 - leader
        await cluster.crash(down)
        await cluster.start(3)
        await cluster.sleep_ms(LONG_MS)
        assert cluster.waits_for(3) == (down,)
        assert (cluster.disks[3].groups[0].hard_state, cluster.machines[3].commands) == (HardState(), [])
        await cluster.start(down)
        await cluster.single_leader()
        await cluster.committed(b"early", 3)

    found("memory", 3, seed, scenario, started=[1, 2], bootstrap=True)


def test_two_late_members_of_five_join_together(seed: int) -> None:
    async def scenario(cluster: Founders) -> None:
        leader, _ = await cluster.single_leader()
        await cluster.propose(leader, b"early")
        cluster.settings["bootstrap"] = False
        for node_id in (4, 5):
            await cluster.start(node_id)
        await cluster.sleep_ms(1_000)
        assert [cluster.waits_for(i) for i in (4, 5)] == [(), ()]
        await cluster.committed(b"early", 5)

    found("memory", 5, seed, scenario, started=[1, 2, 3], bootstrap=True)


def test_what_a_member_has_said_before_the_election_is_no_reason_to_stop(seed: int) -> None:
    """Node 3 hears node 1 say that it is new, and nothing more until nodes 1 and 2 have a leader and node 2 says so."""

    async def scenario(cluster: Founders) -> None:
        network = cluster.network
        network.filter = lambda from_id, to_id, datagram: (from_id, to_id) != (2, 3) or len(datagram) == 64
        for node_id in cluster.ids:
            await cluster.start(node_id)
        await cluster.sleep_ms(5)
        assert [cluster.waits_for(i) for i in cluster.ids] == [(), (), (2,)]
        network.cut(1, 3)
        await cluster.until(lambda: len({cluster.nodes[i].status().leader for i in (1, 2)} - {None}) == 1, "a leader")
        network.filter = None
        await cluster.sleep_ms(LONG_MS)
        assert (cluster.nodes[3].failed, cluster.waits_for(3)) == (None, (1,)), "asked again, and not answered"
        network.mend(1, 3)
        await cluster.single_leader()
        assert cluster.waits_for(3) == ()

    found("memory", 3, seed, scenario, started=[])


def test_a_node_that_has_taken_part_waits_for_nobody(seed: int) -> None:
    async def scenario(cluster: Founders) -> None:
        await cluster.single_leader()
        for node_id in cluster.ids:
            await cluster.crash(node_id)
        for node_id in (1, 2):
            await cluster.start(node_id)
            assert cluster.waits_for(node_id) == ()
        await cluster.single_leader()

    found("memory", 3, seed, scenario)


def test_a_refused_node_that_takes_part_already_says_so_once(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    """--bootstrap founded a cluster beside a member that was only unreachable, and had known the lost stores."""

    async def scenario(cluster: Founders) -> None:
        await cluster.single_leader()
        cluster.disconnect(1)
        await cluster.wipe(2, 3)
        cluster.settings["bootstrap"] = True
        for node_id in (2, 3):
            await cluster.start(node_id)
        await cluster.single_leader()
        cluster.reconnect(1)
        await cluster.sleep_ms(LONG_MS)
        assert [node.failed for node in cluster.nodes.values()] == [None] * 3

    with caplog.at_level(logging.WARNING):
        found("memory", 3, seed, scenario)
    texts = [record.getMessage() for record in caplog.records]
    for node_id in (2, 3):
        assert sum(text.startswith(f"node {node_id}: node 1 refuses this node") for text in texts) == 1


def test_a_node_of_its_own_asks_nobody(seed: int) -> None:
    async def scenario(cluster: Founders) -> None:
        node: Node = cluster.nodes[1]
        assert node.status().waits_for == ()
        assert await node.wait_for_leader() == 1

    found("memory", 1, seed, scenario)
