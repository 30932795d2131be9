"""Leaving in good order: a leader that stops hands leadership over first (thesis 3.10).

Without that the others would notice only after an election timeout, during which nothing is committed. The order is:

    new proposals are refused -> all that was appended is committed -> the transfer is ordered
    (NotLeader: never appended   (whoever waits gets the result)         |
    here)                                                                v
    the end      <-      whoever still waits gets the result      <-     another leads, as far as is known here

This takes some milliseconds. It is given up after the shortest election timeout, because then the others elect a leader
by themselves. The core says who may take over (``RawNode.successors``), and the transport who can be reached. A peer in
quarantine can be reached but takes nothing over, so it is left out as soon as its hello has said so; nor does one whose
state machine waits to be restored, which asks for bytes of a snapshot until it is.
"""

from __future__ import annotations

from typing import Protocol

from raftcore.api.raw_node import RawNode
from raftcore.base.errors import RaftError
from raftcore.base.types import StateType
from raftpy.config import Config
from raftpy.contracts.clock import Clock
from raftpy.contracts.transport import Transport
from raftpy.runtime.pending_proposals import Proposals
from raftpy.runtime.quarantine import Quarantine

GLANCE_S = 0.001
"""Between two looks at what nobody reports: what is appended has been committed, whoever waited has its result."""


class Leading(Protocol):
    """A group, as far as a hand-over needs it: its parts under the group's names (``config``, ``raw``, ``transport``,
    ``clock``, ``proposals``, ``quarantine``), and whether it is ``closed``."""

    config: Config
    raw: RawNode
    transport: Transport
    clock: Clock
    proposals: Proposals
    quarantine: Quarantine
    closed: bool

    def schedule(self) -> None:
        """Something was ordered of the core: a pass has to look at the group."""
        ...

    def gets_snapshot(self, node_id: int) -> bool:
        """Whether the peer is being brought to a state by a snapshot, as far as it has told."""
        ...

    def not_leader(self) -> RaftError:
        """What to tell whoever proposes now."""
        ...

    async def leader_changed(self, within_s: float) -> None:
        """Returns when this node learns who leads, after ``within_s`` seconds at most."""
        ...


class HandOver:
    """One attempt of one node; it ends at the latest ``config.election_ms[0]`` after it was made."""

    def __init__(self, group: Leading) -> None:
        self._group = group
        self._until = group.clock.monotonic() + group.config.election_ms[0] / 1000
        self._tick_s = group.config.tick_ms / 1000

    async def run(self) -> bool:
        """Whether another node leads now, as far as this one knows. New proposals are refused meanwhile."""
        group = self._group
        if self._leads() and self._successor():
            group.proposals.refuse(group.not_leader)
            try:
                await self._commit()
                await self._transfer()
                while self._going_on() and len(group.proposals):
                    await group.leader_changed(GLANCE_S)
            finally:
                if not group.closed and group.quarantine.conflict is None:
                    group.proposals.refuse(None)
        return group.raw.leader not in (0, group.config.id)

    def _leads(self) -> bool:
        return not self._group.closed and self._group.raw.state == StateType.StateLeader

    def _left_s(self) -> float:
        return self._until - self._group.clock.monotonic()

    def _going_on(self) -> bool:
        return not self._group.closed and self._left_s() > GLANCE_S  # less, and a clock might not move at all

    def _successor(self) -> int:
        """The best voter that can be reached, and has told neither that it is quarantined nor that it lacks its state;
        0 for none."""
        group = self._group
        reachable, conflict_of = group.transport.reachable, group.quarantine.of
        for node_id in group.raw.successors():
            if reachable(node_id) and conflict_of(node_id) is None and not group.gets_snapshot(node_id):
                return node_id
        return 0

    async def _commit(self) -> None:
        """Until all that was handed in is committed; for half of the time, the other half is the transfer's."""
        raw, proposals = self._group.raw, self._group.proposals
        share = self._left_s() / 2
        while self._leads() and self._left_s() > share and len(proposals):
            await self._group.leader_changed(GLANCE_S)  # what was queued has been appended then
            if raw.commit_index == raw.last_index:
                return

    async def _transfer(self) -> None:
        """Until another node leads, or nobody is left who could. A candidate is voted for meanwhile."""
        group = self._group
        while self._going_on() and group.raw.leader in (0, group.config.id):
            if group.raw.state == StateType.StateLeader:
                target = self._successor()
                if not target:
                    return
                group.raw.transfer_leader(target)
                group.schedule()
            await group.leader_changed(min(self._tick_s, self._left_s()))
