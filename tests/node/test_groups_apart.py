"""What one group is told, or waits for, is never another's: groups of a host share a pass, an outbox and its order."""

from __future__ import annotations

import asyncio
import contextlib
import random
from types import SimpleNamespace
from typing import Any

import pytest

from raftcore import Conflict, HardState, InitialState, Message, MessageType
from raftpy import ApplyFailed, Config, NotLeader, RaftError, Timeout
from raftpy.contracts.clock import SystemClock
from raftpy.contracts.errors import Quarantined
from raftpy.contracts.types import Recovered, Standing
from raftpy.members.table import MemberRecord, encode_records
from raftpy.runtime.host import Host
from raftpy.runtime.opening import first_standing
from raftpy.runtime.quarantine import Quarantine
from raftpy.storage import MemoryDisk, MemoryStore
from raftpy.transport.datagram.memory import MemoryNetwork, MemoryTransport
from tests.node.harness import Recorder
from tests.node.loop import run
from tests.node.spy import Spy
from tests.node.test_groups import ADDRESSES, Hosts, play


def test_what_is_sent_after_a_write_keeps_its_group(seed: int) -> None:
    """A batch of several groups that took a while: each acknowledgement goes out under its own group's id."""
    sent: list[tuple[int, Message]] = []

    class Sending(MemoryTransport):
        """A transport that lends no builders: each message comes through ``send``."""

        lend_builders = None

        def send(self, message: Message, group: int = 0) -> None:
            sent.append((group, message))
            super().send(message, group)

    async def scenario(all_hosts: Hosts) -> None:
        await all_hosts.propose(0, b"x")
        for _ in range(20):
            await all_hosts.propose(5, b"x")
        await asyncio.gather(*(all_hosts.propose(g, b"y") for g in all_hosts.groups))
        last = {g: all_hosts.hosts[1].group(g).status().last_index for g in all_hosts.groups}
        acknowledged = {
            g: max(m.index for group, m in sent if group == g and m.type == MessageType.MsgAppResp and not m.reject)
            for g in all_hosts.groups
        }
        assert acknowledged == last

    play(lambda: Hosts(seed, range(6), transport=Sending), scenario)


def test_a_transfer_that_a_resumed_task_orders_in_another_group_leaves_at_once(seed: int) -> None:
    """The pass that resumed the task may have nothing else to do: whoever orders something of a core gets another."""

    async def scenario(all_hosts: Hosts) -> None:
        for group_id in all_hosts.groups:
            await all_hosts.propose(group_id, b"x")
        leads = {group_id: await all_hosts.leader(group_id) for group_id in all_hosts.groups}
        led = {host_id: [g for g, leader in leads.items() if leader == host_id] for host_id in all_hosts.hosts}
        leader = max(led, key=lambda host_id: len(led[host_id]))  # of twelve groups, it leads four or more
        host, one, other = all_hosts.hosts[leader], led[leader][0], led[leader][-1]
        await asyncio.sleep(0.2)  # the others know of all
        await host.group(one).read_index()  # the pass that hears of the quorum resumes this task
        before = all_hosts.clock.monotonic()
        await host.group(other).transfer_leadership(leader % 3 + 1)
        assert all_hosts.clock.monotonic() - before < 0.01

    play(lambda: Hosts(seed, range(12)), scenario)


def test_a_task_that_ends_the_program_leaves_the_results_of_other_groups() -> None:
    """A task of one group raises in the middle of a pass: those of the others go on in the very next one."""
    loop = asyncio.new_event_loop()
    clock = SystemClock(loop)
    host = Host(
        Config(id=1, cluster={1: "127.0.0.1:7101"}),
        {group_id: Recorder() for group_id in range(3)},
        storage=MemoryStore(MemoryDisk(), clock, 0.0),
        transport=MemoryTransport(MemoryNetwork(clock)),
        clock=clock,
    )
    tasks: list[asyncio.Task[None]] = []

    async def ends() -> None:
        await host.group(0).propose(b"x")
        raise KeyboardInterrupt

    async def goes_on(group_id: int) -> None:
        await host.group(group_id).propose(b"x")

    async def begin() -> None:
        await host.start()
        for group_id in range(3):
            await host.group(group_id).wait_for_leader(10)
        tasks.extend(loop.create_task(each) for each in (ends(), goes_on(1), goes_on(2)))

    loop.run_until_complete(begin())
    with pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(asyncio.sleep(2.0))
    for _ in range(3):  # turns of the loop, far less than a tick
        loop.run_until_complete(asyncio.sleep(0))
    assert [task.done() for task in tasks] == [True] * 3
    assert host.failed is None
    with pytest.raises(KeyboardInterrupt):
        tasks[0].result()
    loop.run_until_complete(host.stop())
    loop.close()


def test_a_group_in_which_somebody_waits_does_not_turn_the_order_of_the_others_back() -> None:
    """Slow applies that nobody waits for, more than fit one slice, and in every round one that somebody waits for."""

    class Slow(Recorder):
        def apply(self, index: int, command: bytes) -> int:
            if command == b"slow":
                asyncio.get_running_loop()._selector.now += 0.002  # type: ignore[attr-defined]
            return super().apply(index, command)

    async def scenario(all_hosts: Hosts) -> None:
        host = all_hosts.hosts[1]
        slow = all_hosts.groups[1:]
        for group_id in all_hosts.groups:
            await all_hosts.leader(group_id)

        async def busy() -> None:
            while len(all_hosts.machines[1][0].commands) < 300:
                await host.group(0).propose(b"x")

        async def not_for_long(group_id: int) -> None:
            with pytest.raises(Timeout):
                await host.group(group_id).propose_many([b"slow"] * 200, timeout=0.02)

        await asyncio.gather(busy(), *(not_for_long(g) for g in slow))
        progress = [len(all_hosts.machines[1][g].commands) for g in slow]
        assert min(progress) >= max(progress) - 3, progress

    play(lambda: Hosts(1, range(12), addresses={1: ADDRESSES[1]}, machine=Slow, write_s=0.0), scenario)


@pytest.mark.parametrize("write_s", [0.0002, 0.004])
@pytest.mark.parametrize("lends", [True, False])
def test_nothing_is_promised_in_a_group_before_its_own_write_is_durable(
    seed: int, *, lends: bool, write_s: float
) -> None:
    """Proposals at random, transfers, and hosts that lose power with writes of several groups under way."""

    class Carrying(MemoryTransport):
        if not lends:
            lend_builders = None

    async def scenario(all_hosts: Hosts) -> None:
        draw = random.Random(seed)
        spy = Spy(all_hosts.disks)
        all_hosts.network.filter = spy.watch

        async def client() -> None:
            for n in range(20):
                host = all_hosts.hosts[draw.choice([1, 2, 3])]
                try:
                    await host.group(draw.choice(all_hosts.groups)).propose(b"%d" % n, timeout=0.3)
                except RaftError:
                    await asyncio.sleep(draw.random() * 0.01)

        clients = [asyncio.ensure_future(client()) for _ in range(15)]
        for turn in range(6):
            await asyncio.sleep(0.1)
            host_id = draw.choice([1, 2, 3])
            if turn % 2:
                all_hosts.disks[host_id].crash(draw.randrange(3))
                await all_hosts.hosts[host_id].stop()
                await all_hosts.start(host_id)
            else:
                for group_id in all_hosts.groups:
                    with contextlib.suppress(RaftError):
                        await (
                            all_hosts.hosts[host_id]
                            .group(group_id)
                            .transfer_leadership(draw.randint(1, 3), timeout=0.05)
                        )
        await asyncio.gather(*clients)
        assert spy.seen[MessageType.MsgVoteResp] > 0
        assert spy.seen[MessageType.MsgAppResp] > 50
        assert spy.broken == []

    play(lambda: Hosts(seed, range(6), transport=Carrying, write_s=write_s), scenario)


def test_a_quarantined_group_leaves_the_others_alive(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    """What its store says of group 1 at a start; its peers are told so, of that group and of no other."""

    async def scenario(all_hosts: Hosts) -> None:
        for group_id in all_hosts.groups:
            await all_hosts.propose(group_id, b"x")
        victim = await all_hosts.leader(1) % 3 + 1
        await all_hosts.hosts[victim].stop()
        all_hosts.disks[victim].groups[1].conflict = Conflict(2, 1, 1, 2, 3)
        host = await all_hosts.start(victim)
        with pytest.raises(Quarantined):
            await host.group(1).propose(b"y")
        with pytest.raises(Quarantined):
            host.group(1).require_leader()
        assert host.group(1).quarantine is not None
        assert host.group(1).status().role == "quarantined"
        for group_id in (0, 2):
            await all_hosts.propose(group_id, b"y")
            await all_hosts.committed(group_id, b"y", [1, 2, 3])
            assert host.group(group_id).quarantine is None
        del all_hosts.hosts[victim], all_hosts.machines[victim]
        await all_hosts.propose(1, b"y")
        for other in all_hosts.hosts.values():
            for group_id in all_hosts.groups:
                told = {member.id: member.quarantine for member in other.group(group_id).status().members}
                own = host.group(1).quarantine if group_id == 1 else None
                assert told == {**dict.fromkeys(ADDRESSES), victim: own}
        said = [r.getMessage() for r in caplog.records if "counts as down" in r.getMessage()]
        assert len(said) == 2
        assert all(f": group 1: node {victim} is quarantined and counts as down" in text for text in said)
        await host.stop()

    play(lambda: Hosts(seed, range(3)), scenario)


def test_a_quarantine_in_group_0_says_nothing_of_a_peer_in_other_groups(seed: int) -> None:
    """The peer serves them as before: it takes leadership over there, and status does not call it quarantined."""

    async def scenario(all_hosts: Hosts) -> None:
        for group_id in all_hosts.groups:
            await all_hosts.propose(group_id, b"x")
        await all_hosts.hosts[2].stop()
        all_hosts.disks[2].groups[0].conflict = Conflict(2, 1, 1, 2, 3)
        await all_hosts.start(2)
        for host_id, host in all_hosts.hosts.items():
            await all_hosts.until(lambda: host.group(0).status().members[1].quarantine, "it has told")  # noqa: B023
            told = host.group(1).status().members
            assert [member.quarantine for member in told] == [None] * 3, f"host {host_id}"
        await all_hosts.hosts[3].stop()  # then host 2 is the only other one
        del all_hosts.hosts[3], all_hosts.machines[3]
        await all_hosts.leader(1)
        if all_hosts.hosts[2].group(1).status().leader == 2:
            await all_hosts.hosts[2].group(1).transfer_leadership(1)
        assert await all_hosts.leader(1) == 1
        await all_hosts.propose(1, b"y")
        assert await all_hosts.hosts[1].group(1).hand_over()
        assert await all_hosts.leader(1) == 2
        await all_hosts.until(lambda: all_hosts.hosts[1].group(0).status().leader is None, "no majority in group 0")
        with pytest.raises(NotLeader, match="node 2 is quarantined"):
            await all_hosts.hosts[1].group(0).propose(b"y")

    play(lambda: Hosts(seed, range(2)), scenario)


def test_who_is_a_witness_the_table_says_of_group_0_alone() -> None:
    """Another group's log knows nothing of the moment in which the table is heard, on each host at another place."""

    async def scenario(all_hosts: Hosts) -> None:
        await all_hosts.propose(1, b"x")
        driver = all_hosts.hosts[1].driver
        assert driver is not None
        before = {g: group.raw.fingerprint() for g, group in driver.groups.items()}
        driver.member_operations.configured(9, encode_records({4: MemberRecord(witness=True)}))
        assert driver.groups[0].raw.fingerprint() != before[0]
        assert driver.groups[1].raw.fingerprint() == before[1]
        driver.member_operations.configured(10, encode_records({5: MemberRecord(priority=3)}))
        assert driver.groups[1].raw.fingerprint() != before[1], "and a preference is for all of them"

    play(lambda: Hosts(1, range(2), addresses={1: ADDRESSES[1]}), scenario)


@pytest.mark.parametrize("group_id", [0, 5])
def test_a_quarantine_that_begins_is_kept_and_told_as_one_of_its_group(group_id: int) -> None:
    conflict = Conflict(2, 1, 1, 2, 3)
    kept: list[Conflict] = []
    told: list[tuple[Conflict, int]] = []
    log: Any = SimpleNamespace(quarantine=kept.append)
    transport: Any = SimpleNamespace(quarantine=lambda *said: told.append(said))
    core: Any = SimpleNamespace(conflict=conflict)
    Quarantine(1, group_id, core, log, transport).begin()
    assert (kept, told) == ([conflict], [(conflict, group_id)])


def test_leadership_of_a_group_is_not_handed_to_who_is_quarantined_in_it(seed: int) -> None:
    """It can be reached, and by its log and its priority it would be the first to take over."""

    async def scenario(all_hosts: Hosts) -> None:
        await asyncio.gather(*(all_hosts.propose(g, b"x") for g in all_hosts.groups))
        leader = await all_hosts.leader(1)
        victim, other = leader % 3 + 1, (leader + 1) % 3 + 1
        await asyncio.sleep(0.2)  # all of them hold everything
        await all_hosts.hosts[victim].stop()
        all_hosts.disks[victim].groups[1].conflict = Conflict(2, 1, 1, 2, 3)
        host = await all_hosts.start(victim)
        await all_hosts.hosts[await all_hosts.leader(0)].group(0).set_priority(victim, 9)
        for i in (leader, other):
            seen = all_hosts.hosts[i].group(1).status
            await all_hosts.until(lambda: seen().members[victim - 1].quarantine, "it has told")  # noqa: B023
        assert all_hosts.hosts[leader].group(1).status().leader == leader
        before = all_hosts.clock.monotonic()
        assert await all_hosts.hosts[leader].group(1).hand_over()
        assert all_hosts.clock.monotonic() - before < 0.02, "nothing was asked of the quarantined one first"
        assert all_hosts.hosts[leader].group(1).status().leader == other
        assert host.group(0).quarantine is None
        await all_hosts.until(lambda: host.group(0).status().role == "leader", "it leads where it may")

    play(lambda: Hosts(seed, range(2)), scenario)


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_what_is_meant_for_the_process_ends_the_host_and_not_one_group(interrupt: type[BaseException]) -> None:
    """A signal that comes while a group applies is not lost in that group's end: nobody would learn of it."""

    class Interrupted(Recorder):
        def apply(self, index: int, command: bytes) -> int:
            if command == b"interrupt":
                raise interrupt
            return super().apply(index, command)

    async def scenario(all_hosts: Hosts) -> None:
        host = all_hosts.hosts[1]
        for group_id in all_hosts.groups:
            await all_hosts.leader(group_id)
        with pytest.raises(ApplyFailed):
            await host.group(1).propose(b"interrupt")
        assert isinstance(host.failed, ApplyFailed)
        assert isinstance(host.failed.__cause__, interrupt)
        for group_id in all_hosts.groups:
            with pytest.raises(ApplyFailed):
                await host.group(group_id).propose(b"x")

    play(lambda: Hosts(1, range(3), addresses={1: ADDRESSES[1]}, machine=Interrupted), scenario)


@pytest.mark.parametrize("group_id", [0, 5, 9])
def test_a_host_is_new_only_when_no_group_of_it_has_promised_anything(group_id: int) -> None:
    """Whatever group it is in, also one that got no state machine this time: who has voted is not new."""

    def standing(initial: InitialState) -> Standing:
        groups = {0: InitialState(), 5: InitialState(), 9: InitialState(), group_id: initial}
        return first_standing(1, Recovered(1, 1, 1, groups, ADDRESSES, {}))

    assert standing(InitialState()) is Standing.NEW
    assert standing(InitialState(hard_state=HardState(1, 0, 0))) is Standing.JOINED
    assert standing(InitialState(hard_state=HardState(0, 2, 0))) is Standing.JOINED
    assert (
        standing(InitialState(hard_state=HardState(1, 0, 0), last_index=1, term_runs=((1, 1),))) is Standing.ESTABLISHED
    )


def test_status_names_the_members_of_the_group_and_not_all_hosts(seed: int) -> None:
    async def main() -> None:
        all_hosts = Hosts(seed, [0])
        for host_id in ADDRESSES:
            mine = {5: (1, 2)} if host_id < 3 else {}
            await all_hosts.start(host_id, [0, *mine], members=mine)
        await all_hosts.propose(5, b"x")
        await all_hosts.propose(0, b"x")
        for host_id in (1, 2):
            host = all_hosts.hosts[host_id]
            assert [member.id for member in host.group(5).status().members] == [1, 2]
            assert [member.id for member in host.group(0).status().members] == [1, 2, 3]
        await all_hosts.__aexit__()

    run(main())
