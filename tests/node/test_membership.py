"""The member table as the nodes keep it: who proposes what, that it ends, and what the table is used for."""

from __future__ import annotations

import asyncio
import itertools
import logging

import pytest

from raftcore.base.errors import ProposalDropped
from raftcore.base.types import MessageType
from raftcore.values.changes import ConfChange, ConfChangeType, ConfChangeV2
from raftcore.wire.codec import frames
from raftpy import Config, Conflict, Node, NotLeader, Quarantined, Stopped, Timeout
from raftpy.contracts.types import Heard
from raftpy.members.table import MAX_PRIORITY, MemberRecord, MemberTable
from raftpy.transport.datagram.memory import MemoryNetwork, MemoryTransport
from raftpy.transport.identity.hello import FRAME_HELLO
from tests.node.harness import KINDS, Cluster, Recorder
from tests.node.loop import VirtualClock, run
from tests.node.served import (
    NEXT_LIFE_MS,
    agreed,
    changes,
    expected,
    group,
    https,
    leads,
    no_change_refused,
    operations,
    serve,
    table,
)

# --- Replication ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_table_is_the_same_everywhere_and_comes_back_with_the_log(kind: str, seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        await agreed(cluster, expected(cluster))
        other = next(i for i in cluster.ids if i != leader)
        await cluster.crash(other)
        await cluster.restart(other)
        assert table(cluster.nodes[other]) == MemberTable()
        await agreed(cluster, expected(cluster))

    serve(kind, 3, seed, scenario)


def test_a_cluster_start_is_one_entry_and_then_there_is_quiet(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        await agreed(cluster, expected(cluster))
        assert changes(cluster.nodes[leader]) == [2]
        await cluster.sleep_ms(20_000)
        for node in cluster.nodes.values():
            assert node.status().last_index == 2
            assert no_change_refused(node)

    serve("memory", 3, seed, scenario)


def test_a_changed_address_is_one_more_entry(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        await agreed(cluster, expected(cluster))
        other = next(i for i in cluster.ids if i != leader)
        for address in ("10.0.0.1:80", ""):
            await cluster.crash(other)
            cluster.http[other] = address
            if not address:
                del cluster.http[other]
            await cluster.restart(other)
            await agreed(cluster, expected(cluster))
            assert {https(node)[other] for node in cluster.nodes.values()} == {address or None}
        await cluster.sleep_ms(NEXT_LIFE_MS)
        assert len(changes(cluster.nodes[leader])) == 3

    serve("memory", 3, seed, scenario)


def test_a_restart_at_the_same_address_is_no_entry(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        await cluster.single_leader()
        await agreed(cluster, expected(cluster))
        for node_id in cluster.ids:
            await cluster.crash(node_id)
            await cluster.restart(node_id)
            await cluster.single_leader()
        await cluster.sleep_ms(NEXT_LIFE_MS)
        await agreed(cluster, expected(cluster))
        assert len(changes(cluster.nodes[1])) == 1

    serve("memory", 3, seed, scenario)


def test_a_member_that_comes_later_gets_its_store_and_address_then(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.disconnect(3)
        leader, _ = await cluster.single_leader()
        await cluster.sleep_ms(100)
        assert table(cluster.nodes[leader]).get(3) == MemberRecord(cluster.addresses[3])
        cluster.reconnect(3)
        await cluster.single_leader()
        await agreed(cluster, expected(cluster))
        assert len(changes(cluster.nodes[1])) == 2

    serve("memory", 3, seed, scenario, bootstrap=True)


def test_what_one_entry_does_not_carry_goes_into_the_next(seed: int) -> None:
    async def main() -> None:
        clock = VirtualClock(asyncio.get_running_loop())
        network = MemoryNetwork(clock, seed)
        addresses = {i: f"node-{i}.{'x' * 40}.example.org:7100" for i in range(1, 8)}
        nodes = [
            Node(
                Config(id=i, cluster=addresses, seed=seed, max_datagram=512),
                Recorder(),
                transport=MemoryTransport(network, max_datagram=512),
                clock=clock,
            )
            for i in addresses
        ]
        for node in nodes:
            await node.start()
        await nodes[0].wait_for_leader()
        await asyncio.sleep(2)
        for node in nodes:
            assert [(i, r.udp) for i in table(node) if (r := table(node).get(i))] == list(addresses.items())
            assert all(r.store_id for i in table(node) if (r := table(node).get(i)))
            assert 2 <= len(changes(node)) <= 4
            assert no_change_refused(node)
        for node in nodes:
            await node.stop()

    run(main())


# --- Disagreement ---------------------------------------------------------------------------------------------------


def test_leaders_who_hear_different_addresses_fall_silent(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        await cluster.single_leader()
        await cluster.nodes[1].transfer_leadership(1)
        await agreed(cluster, expected(cluster))
        # Node 1 hears no more of 3 and goes by what its former incarnation said; node 2 hears the new one.
        await cluster.crash(3)
        cluster.network.cut(3, 1)
        cluster.http[3] = "10.0.0.3:80"
        await cluster.restart(3)
        await cluster.sleep_ms(NEXT_LIFE_MS)
        for _ in range(3):
            for leader in (2, 1):
                await cluster.nodes[leader].transfer_leadership(leader)
                await cluster.sleep_ms(NEXT_LIFE_MS)
                assert table(cluster.nodes[1]) == table(cluster.nodes[2])
        before = len(changes(cluster.nodes[1]))
        assert before <= 1 + 6
        await cluster.sleep_ms(10_000)
        assert len(changes(cluster.nodes[1])) == before
        cluster.network.mend(3, 1)
        await cluster.sleep_ms(NEXT_LIFE_MS)
        await agreed(cluster, expected(cluster))

    serve("memory", 3, seed, scenario)


def test_a_change_lost_with_its_leader_is_made_by_the_next(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, term = await cluster.single_leader()
        await agreed(cluster, expected(cluster))
        cluster.disconnect(leader)
        node = cluster.nodes[leader]
        request = asyncio.ensure_future(node.set_priority(leader, 9, timeout=None))
        await cluster.sleep_ms(20)
        assert len(changes(node)) == 2  # appended, and it will never be committed
        _, newer = await cluster.single_leader()
        assert newer > term
        cluster.reconnect(leader)
        with pytest.raises(Timeout, match="may or may not"):
            await request
        await cluster.single_leader()
        await agreed(cluster, expected(cluster))
        await cluster.sleep_ms(5_000)
        assert len(changes(node)) == 1

    serve("memory", 3, seed, scenario, pre_vote=False)


def test_a_change_that_survives_its_leader_counts(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        await agreed(cluster, expected(cluster))
        others = [i for i in cluster.ids if i != leader]
        # The followers get the change, and their answers do not come back.
        for other in others:
            cluster.network.cut(other, leader)
        request = asyncio.ensure_future(cluster.nodes[leader].set_priority(others[0], 9, timeout=None))
        await cluster.sleep_ms(20)
        assert all(len(changes(cluster.nodes[i])) == 2 for i in cluster.ids)
        await cluster.crash(leader)
        with pytest.raises(Stopped):
            await request
        cluster.network.heal()
        await cluster.until(lambda: cluster.leaders(), "another leader")
        await cluster.until(
            lambda: all(cluster.nodes[i].status().members[others[0] - 1].priority == 9 for i in others), "its priority"
        )
        await cluster.restart(leader)
        await cluster.sleep_ms(NEXT_LIFE_MS)
        assert {len(changes(node)) for node in cluster.nodes.values()} == {2}

    serve("memory", 3, seed, scenario)


def test_who_sets_a_priority_hears_of_the_quarantine_by_itself(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for this node hears it from the one call that refuses them all, not from what else happens."""

    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        cluster.isolate(leader)
        node = cluster.nodes[leader]
        request = asyncio.ensure_future(node.set_priority(leader, 9, timeout=None))
        await cluster.sleep_ms(5)
        assert node._group is not None
        assert not request.done()
        refusal = Quarantined(leader, Conflict(5, 2, leader % 3 + 1, 6, 6))
        monkeypatch.setattr(node._group.quarantine, "refusal", lambda: refusal)
        node._group._refuse_all()
        with pytest.raises(Quarantined) as caught:
            async with asyncio.timeout(0.05):
                await request
        assert caught.value is refusal

    serve("memory", 3, seed, scenario)


def test_nothing_is_proposed_before_the_leader_has_committed_in_its_term(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        await agreed(cluster, expected(cluster))
        watch = cluster.spy.watch

        def no_acknowledgements(from_id: int, to_id: int, datagram: bytes) -> bool:
            watch(from_id, to_id, datagram)
            return all(kind != 1 + MessageType.MsgAppResp for _, kind, _ in frames(datagram))

        cluster.network.filter = no_acknowledgements
        await cluster.crash(leader)
        cluster.http[leader] = "10.0.0.1:80"
        await cluster.restart(leader)
        await cluster.single_leader()
        await cluster.sleep_ms(NEXT_LIFE_MS)
        newer, _ = await cluster.single_leader()
        if newer != leader:
            assert group(cluster.nodes[newer]).transport.heard(leader).http_address == "10.0.0.1:80"
        assert {len(changes(node)) for node in cluster.nodes.values()} == {1}
        cluster.network.filter = watch
        await agreed(cluster, expected(cluster))

    serve("memory", 3, seed, scenario)


def test_a_leader_keeps_the_store_in_the_table_and_does_not_repeat_itself(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        await agreed(cluster, expected(cluster))
        other = next(i for i in cluster.ids if i != leader)
        running = group(cluster.nodes[leader])
        whole = running.transport.heard

        def partly(node_id: int) -> Heard:
            return Heard(0, "10.0.0.9:80") if node_id == other else whole(node_id)

        running.transport.heard = partly  # type: ignore[method-assign]
        running.member_operations.heard(other)
        await cluster.sleep_ms(5_000)
        record = table(cluster.nodes[leader]).get(other)
        assert record == MemberRecord(cluster.addresses[other], "10.0.0.9:80", cluster.disks[other].store_id)
        assert len(changes(cluster.nodes[leader])) == 2

    serve("memory", 3, seed, scenario)


# --- Addresses ------------------------------------------------------------------------------------------------------


def test_a_member_that_is_down_keeps_its_address(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        await cluster.single_leader()
        await agreed(cluster, expected(cluster))
        await cluster.crash(3)
        for node_id in (1, 2):
            await cluster.crash(node_id)
            await cluster.restart(node_id)  # never hears node 3 in this incarnation
        await cluster.single_leader()
        await agreed(cluster, expected(cluster))
        assert https(cluster.nodes[1])[3] == https(cluster.nodes[2])[3] == "127.0.0.1:8103"

    serve("memory", 3, seed, scenario)


def test_a_node_that_has_heard_no_hello_names_the_leader_with_its_address(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        await agreed(cluster, expected(cluster))
        other = next(i for i in cluster.ids if i != leader)
        await cluster.crash(other)
        watch = cluster.spy.watch

        def no_hellos(from_id: int, to_id: int, datagram: bytes) -> bool:
            watch(from_id, to_id, datagram)
            return all(kind != FRAME_HELLO for _, kind, _ in frames(datagram))

        cluster.network.filter = no_hellos
        await cluster.restart(other)
        node = cluster.nodes[other]
        await node.wait_for_leader()
        await agreed(cluster, expected(cluster))
        assert group(node).transport.heard(leader).http_address is None
        with pytest.raises(NotLeader) as refused:
            await node.propose(b"x")
        assert (refused.value.leader_id, refused.value.leader_http) == (leader, f"127.0.0.1:{8100 + leader}")

    serve("memory", 3, seed, scenario)


def test_a_peers_own_newer_word_counts_before_the_table_has_it(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        await agreed(cluster, expected(cluster))
        one, two = [i for i in cluster.ids if i != leader]
        await cluster.crash(two)
        await cluster.crash(leader)
        cluster.network.filter = lambda from_id, to_id, datagram: all(k >= FRAME_HELLO for _, k, _ in frames(datagram))
        cluster.http[two] = "10.0.0.3:80"
        await cluster.restart(two)  # the two get to know each other, and no more: nobody leads
        await cluster.sleep_ms(NEXT_LIFE_MS)
        assert cluster.leaders() == {}
        assert https(cluster.nodes[one])[two] == "10.0.0.3:80"
        record = table(cluster.nodes[one]).get(two)
        assert record is not None
        assert record.http == f"127.0.0.1:{8100 + two}"
        cluster.network.filter = cluster.spy.watch
        await agreed(cluster, expected(cluster))

    serve("memory", 3, seed, scenario)


# --- Priorities -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_preferred_member_takes_over_and_stays_preferred_after_a_restart(kind: str, seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        preferred = next(i for i in cluster.ids if i != leader)
        await cluster.nodes[leader].set_priority(preferred, 5, timeout=None)
        assert cluster.nodes[leader].status().members[preferred - 1].priority == 5
        await cluster.until(lambda: leads(cluster) == preferred, "the preferred one leads")
        for node_id in cluster.ids:
            await cluster.crash(node_id)
        for node_id in cluster.ids:
            await cluster.restart(node_id)
        await cluster.until(lambda: leads(cluster) == preferred, "and leads again")

    serve(kind, 3, seed, scenario)


def test_a_preferred_member_that_is_down_is_waited_for_by_nobody(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        preferred = next(i for i in cluster.ids if i != leader)
        await cluster.crash(preferred)
        await cluster.nodes[leader].set_priority(preferred, 5)
        await cluster.sleep_ms(5_000)
        assert (await cluster.single_leader())[0] == leader
        await cluster.restart(preferred)
        await cluster.until(lambda: leads(cluster) == preferred, "it takes over")

    serve("memory", 3, seed, scenario)


def test_priorities_asked_for_together_and_again(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        node = cluster.nodes[leader]
        await agreed(cluster, expected(cluster))
        await asyncio.gather(*(node.set_priority(i, MAX_PRIORITY if i == leader else i) for i in cluster.ids))
        assert {m.id: m.priority for m in node.status().members} == {
            i: MAX_PRIORITY if i == leader else i for i in cluster.ids
        }
        assert len(changes(node)) <= 3
        count = len(changes(node))
        await node.set_priority(leader, MAX_PRIORITY)  # what it is
        assert len(changes(node)) == count
        await node.set_priority(leader, 0)
        assert node.status().members[leader - 1].priority == 0

    serve("memory", 3, seed, scenario)


def test_a_priority_waits_for_a_handover_that_fails(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        await agreed(cluster, expected(cluster))
        other = next(i for i in cluster.ids if i != leader)
        await cluster.crash(other)
        group(cluster.nodes[leader]).raw.transfer_leader(other)  # until it fails, everything is refused
        await cluster.nodes[leader].set_priority(leader, 5, timeout=1)
        assert cluster.nodes[leader].status().members[leader - 1].priority == 5

    serve("memory", 3, seed, scenario)


def test_a_refused_change_is_tried_again_within_a_heartbeat_interval(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also by a leader whom nobody wakes: no peer is heard, and no command comes."""

    async def main() -> None:
        clock = VirtualClock(asyncio.get_running_loop())
        config = Config(id=1, cluster={1: "127.0.0.1:7101"}, seed=seed)
        transport = MemoryTransport(MemoryNetwork(clock, seed))
        async with Node(config, Recorder(), transport=transport, clock=clock) as node:
            await node.wait_for_leader()
            await asyncio.sleep(1)
            refused: list[float] = []

            class Full:
                def __getattr__(self, name: str) -> object:
                    return getattr(raw, name)

                def propose_conf_change(self, *arguments: object, **settings: object) -> None:
                    refused.append(clock.monotonic())
                    raise ProposalDropped("uncommitted_limit")

            members, raw = operations(node), group(node).raw
            longest_s = config.quiet_heartbeat_ticks * config.tick_ms / 1000
            monkeypatch.setattr(members, "_raw", Full())
            waiting = asyncio.ensure_future(node.set_priority(1, 7))
            await asyncio.sleep(0.5)
            assert all(b - a <= longest_s + 0.001 for a, b in itertools.pairwise(refused))
            assert len(refused) >= 7
            monkeypatch.setattr(members, "_raw", raw)
            await asyncio.wait_for(waiting, longest_s + 0.001)

    run(main())


def test_priorities_that_cannot_be_set(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        node = cluster.nodes[leader]
        with pytest.raises(ValueError, match="for a member, 1, 2, 3, not for 4"):
            await node.set_priority(4, 1)
        with pytest.raises(ValueError, match="for a member, 1, 2, 3, not for 1.0"):
            await node.set_priority(1.0, 1)  # type: ignore[arg-type]
        for priority in (-1, MAX_PRIORITY + 1, 1.5, True, "1"):
            with pytest.raises(ValueError, match="from 0 to 65,535"):
                await node.set_priority(1, priority)  # type: ignore[arg-type]
        follower = cluster.nodes[next(i for i in cluster.ids if i != leader)]
        with pytest.raises(NotLeader) as refused:
            await follower.set_priority(1, 1)
        assert refused.value.leader_id == leader
        cluster.isolate(leader)
        await cluster.sleep_ms(20)
        with pytest.raises(Timeout, match=r"within 0.05 s.*may or may not"):
            await node.set_priority(1, 1, timeout=0.05)
        waiting = asyncio.ensure_future(node.set_priority(1, 2, timeout=None))
        await asyncio.sleep(0)
        await cluster.crash(leader)
        with pytest.raises((Stopped, NotLeader, Timeout)):
            await waiting

    serve("memory", 3, seed, scenario)


def test_a_member_whose_address_the_table_cannot_hold(seed: int) -> None:
    async def main() -> None:
        clock = VirtualClock(asyncio.get_running_loop())
        transport = MemoryTransport(MemoryNetwork(clock, seed))
        config = Config(id=1, cluster={1: "[fe80::1%a b]:7100"}, seed=seed)
        async with Node(config, Recorder(), transport=transport, clock=clock) as node:
            await node.wait_for_leader()
            with pytest.raises(ValueError, match="no place in the member table: udp address"):
                await node.set_priority(1, 5, timeout=None)
            await node.propose(b"goes on")

    run(main())


# --- What cannot be read --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("context", [b"\3\0\0\0of a later version", b"no records", b"\1\0\1\0"])
def test_a_context_that_cannot_be_read_stops_nobody(
    context: bytes, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        await agreed(cluster, expected(cluster))
        raw = group(cluster.nodes[leader]).raw
        for _ in range(2):
            change = ConfChangeV2((ConfChange(ConfChangeType.UpdateNode, 1),), context=context)
            assert raw.propose_conf_change(change).refused is None
            await cluster.sleep_ms(200)
        assert await cluster.propose(leader, b"y") == cluster.nodes[leader].status().last_index
        await agreed(cluster, expected(cluster))

    with caplog.at_level(logging.WARNING, logger="raftpy"):
        serve("memory", 3, seed, scenario)
    warnings = [r.getMessage() for r in caplog.records if "does nothing" in r.getMessage()]
    assert sorted(text[:7] for text in warnings) == ["node 1:", "node 2:", "node 3:"]
