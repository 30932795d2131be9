"""What one group is told, or waits for, is never another's: groups of a host share a pass, an outbox and its order."""

from __future__ import annotations

import asyncio

from raftcore import Message, MessageType
from raftpy.transport.datagram.memory import MemoryTransport
from tests.node.test_groups import Hosts, play


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
        leader = await all_hosts.leader(1)
        host = all_hosts.hosts[leader]
        other = max([g for g in all_hosts.groups if g != 1 and await all_hosts.leader(g) == leader])
        await asyncio.sleep(0.2)  # the others know of all
        await host.group(1).read_index()  # the pass that hears of the quorum resumes this task
        before = all_hosts.clock.monotonic()
        await host.group(other).transfer_leadership(leader % 3 + 1)
        assert all_hosts.clock.monotonic() - before < 0.01

    play(lambda: Hosts(seed, range(12)), scenario)
