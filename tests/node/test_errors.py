"""What callers are told: each error when it is true, and only then."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from raftcore.base.errors import InvariantViolation, Unavailable
from raftpy import (
    ApplyError,
    ApplyFailed,
    Config,
    Node,
    NotLeader,
    Overloaded,
    Stopped,
    StorageFailed,
    StorageLocked,
    Timeout,
    TooLarge,
)
from raftpy.contracts.storage import AppendBatch
from raftpy.storage import MemoryDisk, MemoryStore
from raftpy.transport.datagram.memory import MemoryNetwork, MemoryTransport
from tests.node.harness import PLAIN, Cluster, Recorder, play
from tests.node.loop import VirtualClock, run


class Picky(Recorder):
    """Refuses commands that begin with "no", breaks at "bug"."""

    def apply(self, index: int, command: bytes) -> int:
        if command.startswith(b"no"):
            raise ApplyError(f"no at {index}")
        if command == b"bug":
            raise ZeroDivisionError("bug")
        return super().apply(index, command)


def single(
    storage: MemoryStore | None = None, transport: type[MemoryTransport] = MemoryTransport, **settings: Any
) -> tuple[Node, MemoryDisk, Recorder]:
    """A cluster of one, in memory, inside a virtual loop."""
    clock = VirtualClock(asyncio.get_running_loop())
    disk = MemoryDisk()
    machine = Picky()
    node = Node(
        Config(id=1, cluster={1: "127.0.0.1:7101"}, **settings),
        machine,
        storage=storage or MemoryStore(disk),
        transport=transport(MemoryNetwork(clock), max_datagram=settings.get("max_datagram")),
        clock=clock,
    )
    return node, disk, machine


def test_a_cluster_of_one_commits_alone() -> None:
    async def main() -> None:
        node, _, machine = single()
        async with node:
            assert await node.wait_for_leader() == 1
            assert await node.propose(b"x") == 3  # behind the leader's own entry and the member table's
            assert await node.propose_many([b"y", b"z"]) == [4, 5]
            assert machine.commands == [b"x", b"y", b"z"]
            assert node.term_at(3) == 1
            with pytest.raises(Unavailable):
                node.term_at(6)

    run(main())


def test_apply_error_is_raised_by_propose_and_stands_in_its_place_in_propose_many() -> None:
    async def main() -> None:
        node, _, _ = single()
        async with node:
            await node.wait_for_leader()
            with pytest.raises(ApplyError, match="no at 3"):
                await node.propose(b"no")
            results = await node.propose_many([b"a", b"no 2", b"b"])
            assert results[0] == 4
            assert results[2] == 6
            assert isinstance(results[1], ApplyError)
            assert str(results[1]) == "no at 5"
            assert node.failed is None

    run(main())


def test_not_leader_before_there_is_one() -> None:
    async def main() -> None:
        node, _, _ = single()
        async with node:
            with pytest.raises(NotLeader, match="no leader is known") as refused:
                await node.propose(b"x")
            assert refused.value.leader_id is None
            await node.wait_for_leader()
            assert node.status().last_index == 2  # the refused command was never appended

    run(main())


def test_too_large_names_size_and_limit() -> None:
    async def main() -> None:
        node, _, _ = single()
        async with node:
            await node.wait_for_leader()
            await node.set_max_command(1000)
            limit = node.max_command
            assert limit == 1000
            with pytest.raises(TooLarge, match=f"{limit + 1} bytes.*at most {limit} bytes"):
                await node.propose(bytes(limit + 1))
            assert node.status().last_index == 3
            await node.propose(bytes(limit))

    run(main())


def test_a_transport_without_fragments_limits_commands_to_a_datagram() -> None:
    class Plain(MemoryTransport):
        max_message = property()  # type: ignore[assignment]  # raises AttributeError

    async def main() -> None:
        node, _, _ = single(transport=Plain, max_datagram=1200)
        async with node:
            await node.wait_for_leader()
            with pytest.raises(TooLarge, match="953 bytes.*at most 952 bytes"):
                await node.propose(bytes(953))  # 48 bytes of it stay free for sealing
            await node.propose(bytes(952))

    run(main())


def test_sixteen_mebibytes_are_the_limit_unless_it_is_set() -> None:
    async def main() -> None:
        node, _, machine = single()
        async with node:
            await node.wait_for_leader()
            with pytest.raises(TooLarge, match="16777217 bytes.*at most 16777216 bytes"):
                await node.propose(bytes(16_777_217))
            await node.propose(bytes(16_777_216))
            assert [len(command) for command in machine.commands] == [16_777_216]

    run(main())


def test_the_largest_command_travels(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        command = bytes(cluster.nodes[leader].max_command)
        await cluster.propose(leader, command)
        await cluster.committed(command, 3)

    play("memory", 3, seed, scenario)
    play("udp", 3, seed, scenario)


def test_timeout_without_a_quorum(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        cluster.isolate(leader)
        begun = cluster.clock.monotonic()
        short = cluster.propose(leader, b"x", timeout=0.1)
        long = cluster.propose(leader, b"y", timeout=0.5)
        with pytest.raises(Timeout, match="may or may not be committed"):
            await short
        assert 0.1 <= cluster.clock.monotonic() - begun < 0.13
        with pytest.raises(Timeout):
            await long
        assert 0.5 <= cluster.clock.monotonic() - begun < 0.53
        assert cluster.nodes[leader].status().proposals == 0
        # It may be committed all the same, and is, once the others are back.
        for other in cluster.ids:
            cluster.reconnect(other)
        await cluster.single_leader()

    play("memory", 3, seed, scenario, **PLAIN)


def test_overloaded_appends_nothing(seed: int) -> None:
    async def main() -> None:
        clock = VirtualClock(asyncio.get_running_loop())
        network = MemoryNetwork(clock, seed)
        addresses = {i: f"127.0.0.1:{7100 + i}" for i in (1, 2, 3)}
        nodes = [
            Node(
                Config(id=i, cluster=addresses, max_uncommitted_bytes=1000, seed=seed),
                Recorder(),
                transport=MemoryTransport(network),
                clock=clock,
            )
            for i in addresses
        ]
        for node in nodes:
            await node.start()
        leader_id = await nodes[0].wait_for_leader()
        leader = nodes[leader_id - 1]
        await leader.propose(b"x")
        await asyncio.sleep(0.02)  # the member table's entry, which counts as well, is committed
        network.disconnect(leader_id)
        first = leader.propose(bytes(900), timeout=0.2)
        await asyncio.sleep(0.01)
        last = leader.status().last_index
        with pytest.raises(Overloaded, match="nothing was appended"):
            await leader.propose(bytes(200))
        assert leader.status().last_index == last
        with pytest.raises(Timeout):
            await first
        for node in nodes:
            await node.stop()

    run(main())


def test_stop_tells_those_who_wait(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        cluster.isolate(leader)
        node = cluster.nodes[leader]
        waiting = node.propose(b"x")
        await cluster.sleep_ms(20)
        await node.stop()
        for proposal in (waiting, node.propose(b"y"), node.propose_many([b"z"])):
            with pytest.raises(Stopped):
                await proposal
        with pytest.raises(Stopped):
            await node.wait_for_leader()
        assert node.failed is None
        await node.stop()
        assert node.status().id == leader

    play("memory", 3, seed, scenario)


def test_stop_inside_a_resumed_task() -> None:
    async def main() -> None:
        node, _, _ = single()
        await node.start()
        await node.wait_for_leader()

        async def caller() -> None:
            await node.propose(b"x")  # goes on inside the pass
            await node.stop()

        others = [asyncio.create_task(caller()) for _ in range(3)]
        await asyncio.gather(*others)
        with pytest.raises(Stopped):
            await node.propose(b"y")

    run(main())


def test_a_node_that_was_not_started() -> None:
    async def main() -> None:
        node, _, _ = single()
        with pytest.raises(Stopped, match="not been started"):
            node.propose(b"x")
        with pytest.raises(Stopped, match="not been started"):
            await node.wait_for_leader()
        await node.stop()
        await node.start()
        with pytest.raises(RuntimeError, match="started before"):
            await node.start()
        await node.stop()
        with pytest.raises(RuntimeError, match="started before"):
            await node.start()

    run(main())


def test_wait_for_leader_gives_up(seed: int) -> None:
    async def main() -> None:
        clock = VirtualClock(asyncio.get_running_loop())
        node = Node(
            Config(id=1, cluster={1: "127.0.0.1:7101", 2: "127.0.0.1:7102"}),
            Recorder(),
            transport=MemoryTransport(MemoryNetwork(clock)),
            clock=clock,
        )
        async with node:
            with pytest.raises(TimeoutError):
                await node.wait_for_leader(timeout=1.0)
            waiting = asyncio.create_task(node.wait_for_leader())
            await asyncio.sleep(0.1)
        with pytest.raises(Stopped):
            await waiting

    run(main())


def test_a_failed_write_stops_the_node_and_everyone_hears_why(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        node, disk, machine = single()
        await node.start()
        await node.wait_for_leader()
        await node.propose(b"kept")
        reader = node.commits(1)
        disk.fault = "no space left"
        proposals = [node.propose(b"x"), node.propose_many([b"y"])]
        for proposal in proposals:
            with pytest.raises(StorageFailed, match="no space left"):
                await proposal
        assert isinstance(node.failed, StorageFailed)
        assert machine.commands == [b"kept"]
        with pytest.raises(StorageFailed, match="no space left"):
            await node.propose(b"later")
        with pytest.raises((StorageFailed, Stopped)):
            async for _ in reader:
                pass
        lines = [r for r in caplog.records if r.levelno >= logging.ERROR]
        assert len(lines) == 1
        assert "node 1 has stopped" in lines[0].getMessage()
        assert lines[0].exc_info is None
        await node.stop()

    run(main())


def test_a_failed_write_on_the_stores_thread_too(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        clock = VirtualClock(asyncio.get_running_loop())
        disk = MemoryDisk()
        node = Node(
            Config(id=1, cluster={1: "127.0.0.1:7101"}),
            Recorder(),
            storage=MemoryStore(disk, clock, 0.01),
            transport=MemoryTransport(MemoryNetwork(clock)),
            clock=clock,
        )
        await node.start()
        await node.wait_for_leader()
        disk.fault = "input/output error"
        with pytest.raises(StorageFailed, match="input/output error"):
            await node.propose(b"x")
        assert isinstance(node.failed, StorageFailed)

    run(main())


def test_a_bug_in_apply_stops_the_node_before_it_acknowledges(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        node, _, machine = single()
        await node.start()
        await node.wait_for_leader()
        before, bug, after = node.propose(b"before"), node.propose(b"bug"), node.propose(b"after")
        assert await before == 3
        for proposal in (bug, after):
            with pytest.raises(ApplyFailed, match="entry 4") as failed:
                await proposal
            assert isinstance(failed.value, Stopped)
            assert isinstance(failed.value.__cause__, ZeroDivisionError)
        assert machine.commands == [b"before"]
        assert isinstance(node.failed, ApplyFailed)
        assert isinstance(node.failed.__cause__, ZeroDivisionError)
        assert node.status().applied_index == 3
        errors = [r for r in caplog.records if r.levelno >= logging.ERROR]
        assert len(errors) == 1
        assert errors[0].exc_info is not None

    run(main())


def test_the_bug_stops_every_replica_and_no_restart_gets_past_it(seed: int) -> None:
    async def main() -> None:
        cluster = Cluster("memory", 3, seed, machine=Picky)
        await cluster.__aenter__()
        leader, _ = await cluster.single_leader()
        with pytest.raises(Stopped):
            await cluster.propose(leader, b"bug")
        await cluster.until(lambda: sum(n.failed is not None for n in cluster.nodes.values()) >= 1, "the failure")
        assert all(b"bug" not in machine.commands for machine in cluster.machines.values())
        for node in cluster.nodes.values():
            await node.stop()

    run(main())


def test_an_invariant_violation_stops_the_node_and_is_not_swallowed() -> None:
    class Breaking(MemoryStore):
        broken = False

        def submit(self, batch: AppendBatch) -> bool:
            if self.broken:
                raise InvariantViolation("committed went back")
            return super().submit(batch)

    async def main() -> None:
        store = Breaking(MemoryDisk())
        node, _, _ = single(storage=store)
        await node.start()
        await node.wait_for_leader()
        seen: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: seen.append(context))

        store.broken = True
        with pytest.raises(Stopped, match="committed went back"):
            await node.propose(b"x")
        assert isinstance(node.failed, InvariantViolation)
        assert isinstance(seen[0]["exception"], InvariantViolation)

    run(main())


def test_a_start_that_fails_leaves_nothing_open() -> None:
    async def main() -> None:
        clock = VirtualClock(asyncio.get_running_loop())
        network = MemoryNetwork(clock)
        disk, other = MemoryDisk("one"), MemoryDisk("other")

        def node(on: MemoryDisk) -> Node:
            config = Config(id=1, cluster={1: "127.0.0.1:7101"})
            return Node(config, Recorder(), storage=MemoryStore(on), transport=MemoryTransport(network), clock=clock)

        async with node(disk):
            with pytest.raises(StorageLocked):  # the disk is taken: the transport was never started
                await node(disk).start()
            with pytest.raises(ValueError, match="on the memory network already"):
                await node(other).start()  # the network is taken: the disk is let go again
            await asyncio.sleep(0.5)
        async with node(other):
            pass
        async with node(disk):
            pass

    run(main())


def test_a_state_machine_that_waits_for_its_own_node_deadlocks_nobody() -> None:
    class Nosy(Recorder):
        node: Node | None = None

        def apply(self, index: int, command: bytes) -> int:
            if self.node is not None and command == b"first":
                self.node.propose(b"second")  # from inside a pass: queued for the next round
            return super().apply(index, command)

    async def main() -> None:
        node, _, _ = single()
        machine = Nosy()
        node._host._state_machines[0] = machine
        async with node:
            machine.node = node
            await node.wait_for_leader()
            await node.propose(b"first")
            await asyncio.sleep(0.01)
            assert machine.commands == [b"first", b"second"]

    run(main())
