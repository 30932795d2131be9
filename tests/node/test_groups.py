"""Many groups in one process: one socket and one store a host, and what one group's trouble is to the others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest

from raftcore import MessageType
from raftcore.wire.codec import decode_message, frames
from raftpy import ApplyFailed, Config, ConfigError, NotLeader, StorageFailed
from raftpy.contracts.errors import Stopped
from raftpy.contracts.storage import AppendBatch
from raftpy.runtime.host import Host
from raftpy.runtime.stored_view import StoredView
from raftpy.storage import MemoryDisk, MemoryStore
from raftpy.transport.datagram.memory import MemoryNetwork, MemoryTransport
from raftpy.transport.exchange.unreliable import Unreliable
from tests.node.harness import Recorder
from tests.node.loop import VirtualClock, run

ADDRESSES = {i: f"127.0.0.1:{7100 + i}" for i in (1, 2, 3)}
QUICK_NETWORK = Unreliable(delay_ms=(0.05, 0.2), long_delay_rate=0, drop_rate=0)
WRITE_S = 0.0002
PATIENCE = 30.0


class CountedStore(MemoryStore):
    """A store whose writes take a while, and which remembers the groups of each."""

    def __init__(self, disk: MemoryDisk, clock: VirtualClock, write_s: float) -> None:
        super().__init__(disk, clock, write_s)
        self.batches: list[list[int]] = []
        self.opened = 0

    def open(self, identity: Any) -> Any:
        self.opened += 1
        return super().open(identity)

    def submit(self, batch: AppendBatch) -> bool:
        self.batches.append([group_id for group_id, _ in batch])
        return super().submit(batch)


class Hosts:
    """Hosts 1 to 3 (or those of ``addresses``) on virtual time, each with a Recorder for each of its groups."""

    def __init__(
        self,
        seed: int,
        groups: Iterable[int],
        *,
        addresses: dict[int, str] = ADDRESSES,
        machine: Callable[[], Any] = Recorder,
        transport: type[MemoryTransport] = MemoryTransport,
        write_s: float = WRITE_S,
        **settings: Any,
    ) -> None:
        self.clock = VirtualClock(asyncio.get_running_loop())
        self.network = MemoryNetwork(self.clock, seed, QUICK_NETWORK)
        self.groups = list(groups)
        self.addresses = addresses
        self.settings = {"seed": seed, **settings}
        self.machine = machine
        self.transport = transport
        self.write_s = write_s
        self.disks = {i: MemoryDisk(f"disk {i}") for i in addresses}
        self.stores: dict[int, CountedStore] = {}
        self.machines: dict[int, dict[int, Any]] = {}
        self.hosts: dict[int, Host] = {}

    async def start(self, host_id: int, groups: Iterable[int] | None = None, **more: Any) -> Host:
        self.machines[host_id] = {g: self.machine() for g in (self.groups if groups is None else groups)}
        self.stores[host_id] = CountedStore(self.disks[host_id], self.clock, self.write_s)
        host = Host(
            Config(id=host_id, cluster=self.addresses, **self.settings),
            self.machines[host_id],
            storage=self.stores[host_id],
            transport=self.transport(self.network),
            clock=self.clock,
            **more,
        )
        await host.start()
        self.hosts[host_id] = host
        return host

    async def __aenter__(self) -> Hosts:
        for host_id in self.addresses:
            await self.start(host_id)
        return self

    async def __aexit__(self, *_: object) -> None:
        for host in self.hosts.values():
            await host.stop()

    async def until(self, holds: Callable[[], Any], what: str) -> None:
        deadline = self.clock.monotonic() + PATIENCE
        while not holds():
            assert self.clock.monotonic() < deadline, what
            await asyncio.sleep(0.005)

    async def leader(self, group_id: int) -> int:
        """The one that all hosts follow which have the group."""

        def agreed() -> bool:
            seen = [h.group(group_id).status() for i, h in self.hosts.items() if group_id in self.machines[i]]
            return len({(s.term, s.leader) for s in seen}) == 1 and seen[0].leader in self.hosts

        await self.until(agreed, f"one leader of group {group_id}")
        members = [h for i, h in self.hosts.items() if group_id in self.machines[i]]
        leader: int | None = members[0].group(group_id).status().leader
        assert leader is not None
        return leader

    async def propose(self, group_id: int, command: bytes) -> int:
        """At whoever leads the group now, or in a moment."""
        while True:
            try:
                index: int = await self.hosts[await self.leader(group_id)].group(group_id).propose(command)
                return index
            except NotLeader:
                await asyncio.sleep(0.01)

    async def committed(self, group_id: int, command: bytes, host_ids: list[int]) -> None:
        await self.until(lambda: self.holders(group_id, command) == host_ids, f"group {group_id} commits")

    def holders(self, group_id: int, command: bytes) -> list[int]:
        return [i for i, machines in self.machines.items() if command in machines.get(group_id, Recorder()).commands]


def play(hosts: Callable[[], Hosts], scenario: Callable[[Hosts], Awaitable[None]]) -> None:
    async def main() -> None:
        async with hosts() as all_hosts:
            await scenario(all_hosts)

    run(main())


# --- A hundred groups -----------------------------------------------------------------------------------------------


def test_a_hundred_groups_elect_commit_and_come_back(seed: int) -> None:
    async def scenario(all_hosts: Hosts) -> None:
        groups = all_hosts.groups
        leaders = [await all_hosts.leader(g) for g in groups]
        assert len(set(leaders)) > 1, "each group elects a leader of its own"
        await asyncio.gather(*(all_hosts.propose(g, b"%d" % g) for g in groups))
        await all_hosts.until(lambda: all(len(all_hosts.holders(g, b"%d" % g)) == 3 for g in groups), "all commit")
        for machines in all_hosts.machines.values():
            assert all(machines[g].commands == [b"%d" % g] for g in groups), "and in their own group only"
        for host in all_hosts.hosts.values():
            await host.stop()
        before = {i: disk.store_id for i, disk in all_hosts.disks.items()}
        for host_id in all_hosts.addresses:
            await all_hosts.start(host_id)
        await asyncio.gather(*(all_hosts.propose(g, b"again") for g in groups))
        await all_hosts.until(lambda: all(len(all_hosts.holders(g, b"again")) == 3 for g in groups), "all go on")
        for machines in all_hosts.machines.values():
            assert all(machines[g].commands == [b"%d" % g, b"again"] for g in groups)
        assert {i: disk.store_id for i, disk in all_hosts.disks.items()} == before
        assert all(store.opened == 1 for store in all_hosts.stores.values())
        assert all(host.unknown_frames == 0 for host in all_hosts.hosts.values())

    play(lambda: Hosts(seed, range(100)), scenario)


def test_ids_of_groups_need_not_follow_one_another(seed: int) -> None:
    async def scenario(all_hosts: Hosts) -> None:
        for group_id in all_hosts.groups:
            await all_hosts.propose(group_id, b"%d" % group_id)
        for group_id in all_hosts.groups:
            await all_hosts.committed(group_id, b"%d" % group_id, [1, 2, 3])

    play(lambda: Hosts(seed, [0, 1, 7, 8, 100, 2**40, 2**64 - 1]), scenario)


# --- What groups share ----------------------------------------------------------------------------------------------


def test_one_synced_batch_serves_all_groups_of_a_pass() -> None:
    async def scenario(all_hosts: Hosts) -> None:
        for group_id in all_hosts.groups:
            await all_hosts.propose(group_id, b"first")
        host, store = all_hosts.hosts[1], all_hosts.stores[1]
        await asyncio.sleep(0.1)
        store.batches.clear()
        await asyncio.gather(*(awaited(host, g, b"second") for g in all_hosts.groups))
        assert store.batches[0] == all_hosts.groups
        assert len(store.batches) <= 2, "and what a commit changes rides along, or follows once"

    play(lambda: Hosts(1, range(10), addresses={1: ADDRESSES[1]}), scenario)


def test_messages_of_several_groups_share_a_datagram(seed: int) -> None:
    shared: list[int] = []

    def watch(sender: int, receiver: int, datagram: bytes) -> bool:
        shared.append(len({group for group, kind, _ in frames(datagram) if kind < 128}))
        return True

    async def scenario(all_hosts: Hosts) -> None:
        for group_id in all_hosts.groups:
            await all_hosts.leader(group_id)
        shared.clear()
        await asyncio.sleep(1.0)
        # A heartbeat interval has five ticks, here in quiet too. What three leaders send two others in one of them
        # shares a datagram, and so do the answers: 20 intervals of at most 60 datagrams, where 20 groups apart would
        # send 80.
        assert sum(shared) >= 0.95 * 20 * 80
        assert len(shared) <= 1.05 * 20 * 60
        assert max(shared) > 1

    def hosts() -> Hosts:
        made = Hosts(seed, range(20), quiet_heartbeat_ms=50)
        made.network.filter = watch
        return made

    play(hosts, scenario)


def test_groups_of_some_hosts_only(seed: int) -> None:
    """Group 5 is on hosts 1 and 2, group 6 on 2 and 3: each commits there, and the third hears nothing of it."""
    on = {5: (1, 2), 6: (2, 3)}

    async def main() -> None:
        all_hosts = Hosts(seed, [0])
        for host_id in ADDRESSES:
            mine = {g: ids for g, ids in on.items() if host_id in ids}
            await all_hosts.start(host_id, [0, *mine], members=mine)
        for group_id, ids in on.items():
            await all_hosts.propose(group_id, b"x")
            await all_hosts.committed(group_id, b"x", list(ids))
            assert await all_hosts.leader(group_id) in ids
        await all_hosts.propose(0, b"x")
        assert [host.unknown_frames for host in all_hosts.hosts.values()] == [0, 0, 0]
        await all_hosts.__aexit__()

    run(main())


def test_the_priorities_of_the_table_hold_in_every_group(seed: int) -> None:
    async def scenario(all_hosts: Hosts) -> None:
        await all_hosts.propose(0, b"x")
        preferred = await all_hosts.leader(0) % 3 + 1
        await all_hosts.hosts[await all_hosts.leader(0)].group(0).set_priority(preferred, 9)

        def leads() -> bool:
            statuses = [all_hosts.hosts[preferred].group(g).status() for g in all_hosts.groups]
            return all(status.role == "leader" for status in statuses)

        await all_hosts.until(leads, "it takes over in all of them")
        with pytest.raises(ValueError, match="group 0"):
            await all_hosts.hosts[preferred].group(1).set_priority(preferred, 1)

    play(lambda: Hosts(seed, range(4)), scenario)


# --- Whose trouble is whose -----------------------------------------------------------------------------------------


def test_frames_of_an_unknown_group_are_counted_and_harmless(seed: int) -> None:
    """Host 3 was not told of group 5, of which the two others take it for a member."""

    async def main() -> None:
        all_hosts = Hosts(seed, [0, 5, 6])
        await asyncio.gather(*(all_hosts.start(i, [0, 6] if i == 3 else None) for i in ADDRESSES))
        for group_id in (0, 5, 6):
            await all_hosts.propose(group_id, b"x")
        for group_id, host_ids in ((0, [1, 2, 3]), (5, [1, 2]), (6, [1, 2, 3])):
            await all_hosts.committed(group_id, b"x", host_ids)
        assert all_hosts.hosts[3].unknown_frames > 0
        assert all_hosts.hosts[3].failed is None
        assert all_hosts.hosts[3].group(0).status().role != "failed"
        with pytest.raises(KeyError, match="no group 5"):
            all_hosts.hosts[3].group(5)
        await all_hosts.__aexit__()

    run(main())


class Poisonable(Recorder):
    """Fails at the command ``poison``."""

    def apply(self, index: int, command: bytes) -> int:
        if command == b"poison":
            raise ZeroDivisionError
        return super().apply(index, command)


def test_a_poisoned_group_leaves_the_others_alive(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(all_hosts: Hosts) -> None:
        for group_id in all_hosts.groups:
            await all_hosts.leader(group_id)
        victim = await all_hosts.leader(1)
        host = all_hosts.hosts[victim]
        # Proposed in one turn of the loop: what follows is written in the same batches as the poison.
        poison = host.group(1).propose(b"poison")
        led = [g for g in all_hosts.groups if g != 1 and await all_hosts.leader(g) == victim]
        others = asyncio.gather(*(awaited(host, g, b"beside it") for g in led))
        with pytest.raises(ApplyFailed) as caught:
            await poison
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
        await others
        assert host.failed is None
        assert isinstance(host.group(1).failed, ApplyFailed)
        assert host.group(1).status().role == "failed"
        ended = "only ApplyError is a result; group 1 has ended here, and the host goes on with the others"
        assert str(caught.value).endswith(ended)
        assert str(host.group(1).status().failure).endswith(ended)
        # The others apply the poison as well, some of them perhaps by now.
        errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
        (line,) = [message for message in errors if message.startswith(f"node {victim}: ")]
        assert line.startswith(f"node {victim}: the state machine failed at entry ")
        assert all(message.endswith(ended) for message in errors)
        assert "node has stopped" not in caplog.text
        assert "ZeroDivisionError" in caplog.text
        with pytest.raises(ApplyFailed):
            await host.group(1).propose(b"x")
        with pytest.raises(ApplyFailed):
            await host.group(1).read_index()
        with pytest.raises(ApplyFailed):
            await host.group(1).wait_for_leader()
        for group_id in all_hosts.groups:
            if group_id != 1:
                await all_hosts.propose(group_id, b"after it")
        await all_hosts.until(lambda: len(all_hosts.holders(2, b"after it")) == 3, "on the poisoned host, too")
        assert all(host.failed is None for host in all_hosts.hosts.values())

    play(lambda: Hosts(seed, range(6), machine=Poisonable), scenario)


def test_a_group_that_fails_keeps_nothing_of_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read for it, and that more is read for it than for others."""
    forgotten: list[StoredView] = []
    monkeypatch.setattr(StoredView, "forget", lambda view: forgotten.append(view))

    async def scenario(all_hosts: Hosts) -> None:
        host = all_hosts.hosts[1]
        await all_hosts.leader(0)
        with pytest.raises(ApplyFailed):
            await host.group(0).propose(b"poison")
        assert len(forgotten) == 1  # that of the other group goes on

    play(lambda: Hosts(1, range(2), addresses={1: ADDRESSES[1]}, machine=Poisonable), scenario)


def test_the_last_group_that_fails_ends_the_host() -> None:
    async def scenario(all_hosts: Hosts) -> None:
        host = all_hosts.hosts[1]
        for group_id in (0, 1):
            await all_hosts.leader(group_id)
            with pytest.raises(ApplyFailed) as caught:
                await host.group(group_id).propose(b"poison")
            assert (host.failed is None) == (group_id == 0)
            ended = "group 0 has ended here, and the host goes on with the others" if group_id == 0 else "has stopped"
            assert str(caught.value).endswith(ended)

    play(lambda: Hosts(1, range(2), addresses={1: ADDRESSES[1]}, machine=Poisonable), scenario)


def test_a_failed_sync_ends_the_host_with_all_groups(seed: int) -> None:
    async def scenario(all_hosts: Hosts) -> None:
        for group_id in all_hosts.groups:
            await all_hosts.propose(group_id, b"x")
        victim = await all_hosts.leader(1)
        host = all_hosts.hosts[victim]
        all_hosts.disks[victim].fault = "the disk is gone"
        with pytest.raises(StorageFailed):
            await host.group(1).propose(b"y")
        assert isinstance(host.failed, StorageFailed)
        for group_id in all_hosts.groups:
            assert host.group(group_id).status().role == "failed"
            with pytest.raises(StorageFailed):
                await host.group(group_id).propose(b"z")
        del all_hosts.hosts[victim], all_hosts.machines[victim]
        for group_id in all_hosts.groups:
            await all_hosts.propose(group_id, b"without it")

    play(lambda: Hosts(seed, range(5)), scenario)


def test_a_long_apply_delays_no_other_groups_heartbeat(seed: int) -> None:
    """100 commands of a millisecond each in one group of a host that leads others: their heartbeats go out between."""

    class Slow(Recorder):
        slow = False

        def apply(self, index: int, command: bytes) -> int:
            if self.slow:
                asyncio.get_running_loop()._selector.now += 0.001  # type: ignore[attr-defined]
            return super().apply(index, command)

    beats: dict[tuple[int, int, int], list[float]] = {}  # of a group, from a host to another: when

    async def main() -> None:
        all_hosts = Hosts(seed, range(6), machine=Slow, quiet_heartbeat_ms=50)

        def watch(sender: int, receiver: int, datagram: bytes) -> bool:
            for group, kind, body in frames(datagram):
                if kind < 128 and decode_message(kind, bytes(body)).type == MessageType.MsgHeartbeat:
                    beats.setdefault((group, sender, receiver), []).append(all_hosts.clock.monotonic())
            return True

        all_hosts.network.filter = watch
        async with all_hosts:
            await all_hosts.propose(0, b"x")
            busy = await all_hosts.leader(0)
            await all_hosts.hosts[busy].group(0).set_priority(busy, 1)  # so that it leads all of them

            def leads_all() -> bool:
                return all(all_hosts.hosts[busy].group(g).status().role == "leader" for g in all_hosts.groups)

            await all_hosts.until(leads_all, "one leader of all groups")
            await asyncio.sleep(1.0)
            terms = [all_hosts.hosts[busy].group(g).status().term for g in all_hosts.groups]
            beats.clear()
            await asyncio.sleep(0.12)  # at least one of each is known before
            all_hosts.machines[busy][1].slow = True
            began = all_hosts.clock.monotonic()
            await all_hosts.hosts[busy].group(1).propose_many([b"%d" % n for n in range(100)], timeout=None)
            took = all_hosts.clock.monotonic() - began
            all_hosts.machines[busy][1].slow = False
            await asyncio.sleep(0.2)
            assert took >= 0.1
            assert len(all_hosts.machines[busy][1].commands) == 100
            assert [all_hosts.hosts[busy].group(g).status().term for g in all_hosts.groups] == terms
        for group_id in all_hosts.groups:
            for other in {1, 2, 3} - {busy}:
                times = beats[group_id, busy, other]
                gaps = [later - earlier for earlier, later in zip(times, times[1:], strict=False)]
                assert max(gaps) < 0.05 + 0.03, f"group {group_id}"

    run(main())


def test_slow_applies_of_many_groups_share_the_time(seed: int) -> None:
    """Nobody waits for the results: every group gets on, and the heartbeats do go out."""

    class Slow(Recorder):
        def apply(self, index: int, command: bytes) -> int:
            if command == b"slow":
                asyncio.get_running_loop()._selector.now += 0.001  # type: ignore[attr-defined]
            return super().apply(index, command)

    async def scenario(all_hosts: Hosts) -> None:
        for group_id in all_hosts.groups:
            await all_hosts.leader(group_id)
        host = all_hosts.hosts[1]
        terms = [host.group(g).status().term for g in all_hosts.groups]
        waits = [host.group(g).propose_many([b"slow"] * 50, timeout=None) for g in all_hosts.groups]
        await asyncio.sleep(0.3)
        progress = [len(machine.commands) for machine in all_hosts.machines[1].values()]
        assert min(progress) > 0, progress
        assert max(progress) < 50, progress
        await asyncio.gather(*(result(wait) for wait in waits))
        assert [host.group(g).status().term for g in all_hosts.groups] == terms

    play(lambda: Hosts(seed, range(20), addresses={1: ADDRESSES[1]}, machine=Slow), scenario)


def test_a_host_that_stops_hands_over_every_group_that_it_leads(seed: int) -> None:
    async def scenario(all_hosts: Hosts) -> None:
        led = {g: await all_hosts.leader(g) for g in all_hosts.groups}
        await asyncio.gather(*(all_hosts.propose(g, b"x") for g in all_hosts.groups))
        leaving = led[0]
        terms = {g: all_hosts.hosts[leaving].group(g).status().term for g in all_hosts.groups}
        await all_hosts.hosts[leaving].stop()
        for host_id, host in all_hosts.hosts.items():
            if host_id == leaving:
                continue
            for group_id in all_hosts.groups:
                status = host.group(group_id).status()
                expected = terms[group_id] + (led[group_id] == leaving)
                assert (status.term, status.leader == leaving) == (expected, False), f"group {group_id}"
        for group_id in all_hosts.groups:
            with pytest.raises(Stopped):
                await all_hosts.hosts[leaving].group(group_id).propose(b"y")
        del all_hosts.hosts[leaving], all_hosts.machines[leaving]
        await asyncio.gather(*(all_hosts.propose(g, b"z") for g in all_hosts.groups))

    play(lambda: Hosts(seed, range(10)), scenario)


# --- What a host is told --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("groups", "members", "text"),
    [
        ([1], {}, "group 0 is missing"),
        ([0, -1], {}, "group id -1"),
        ([0, 2**64], {}, "group id 18446744073709551616"),
        ([0], {1: (1, 2)}, "group 1 has members, and no state machine"),
        ([0, 1], {1: (1, 9)}, "group 1 names node 9"),
        ([0, 1], {1: (2, 3)}, "group 1 has no place for node 1"),
        ([0, 1], {0: (1, 2)}, "group 0 holds the table"),
    ],
)
def test_what_a_host_refuses(groups: list[int], members: dict[int, tuple[int, ...]], text: str) -> None:
    machines = {group_id: Recorder() for group_id in groups}
    with pytest.raises(ConfigError, match=text):
        Host(Config(id=1, cluster=ADDRESSES), machines, members=members)


def test_a_group_without_a_state_machine_at_a_restart_is_as_if_down(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(all_hosts: Hosts) -> None:
        for group_id in (0, 1):
            await all_hosts.propose(group_id, b"x")
        await all_hosts.hosts[1].stop()
        await all_hosts.start(1, [0])
        assert "holds group 1, and it was given no state machine for it" in caplog.text
        await all_hosts.propose(0, b"y")
        await all_hosts.hosts[1].stop()
        await all_hosts.start(1)
        await all_hosts.propose(1, b"z")
        assert all_hosts.machines[1][1].commands == [b"x", b"z"]

    play(lambda: Hosts(1, range(2), addresses={1: ADDRESSES[1]}), scenario)


def test_a_host_that_was_not_started_answers_so() -> None:
    host = Host(Config(id=1, cluster=ADDRESSES), {0: Recorder()})
    assert host.failed is None
    with pytest.raises(Stopped, match="not been started"):
        _ = host.unknown_frames
    with pytest.raises(Stopped, match="not been started"):
        host.group(0).propose(b"x")


async def awaited(host: Host, group_id: int, command: bytes) -> Any:
    return await host.group(group_id).propose(command)


async def result(wait: Any) -> Any:
    return await wait
