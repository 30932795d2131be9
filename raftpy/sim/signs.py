"""Signs of rare branches in what a node shows: its state before and after a step, and its counters when it ends.

For SOMETIMES; nothing is checked here. ``Checks`` calls it where something has changed, so that it costs next to
nothing where nothing has.
"""

from __future__ import annotations

from typing import Any, Protocol

from raftcore.api.raw_node import RawNode
from raftcore.base.types import StateType
from raftpy.runtime.group import Group
from raftpy.runtime.paged_view import PagedView
from raftpy.sim.cluster import Cluster, Life, Member

FOLLOWER, CANDIDATE, PRE_CANDIDATE, LEADER = (
    StateType.StateFollower,
    StateType.StateCandidate,
    StateType.StatePreCandidate,
    StateType.StateLeader,
)

PEER_COUNTERS = {
    "stale_boot": "a datagram of an earlier life was dropped",
    "other_incarnation": "a datagram for an earlier life was dropped",
    "probes": "a probe was answered",
    "messages_dropped": "messages for an unheard peer were given up",
    "fragmented": "a message went in fragments",
    "fragmented_again": "a message was on its way in fragments already",
    "fragmented_given_up": "a message in fragments was given up",
    "fragmented_received": "a message was put together from fragments",
}
"""Of a transport's counters for each peer, what they count."""


class Before(Protocol):
    """What a life looked like at the last look, in one group: see ``checks.Seen``."""

    role: int
    """A StateType."""
    term: int
    """Its term."""
    leader: int
    """Whom it knew to lead, 0 for nobody."""


class Signs:
    """Of one cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._reached = cluster.reached
        self._stood: dict[tuple[int, int], int] = {}  # (group, term): who stood first
        self._longest = 2 * max(1, -(-cluster.plan.options.election_ms // cluster.plan.options.tick_ms))

    # --- What has changed -------------------------------------------------------------------------------------------

    def role(self, member: Member, life: Life, group: int, raw: RawNode, before: Before) -> None:
        """Its role, its term or the leader it knows is another than before."""
        reached, state, term = self._reached, raw.state, raw.term
        if state == CANDIDATE:
            if before.role == CANDIDATE and term > before.term:
                reached("a candidate stood again without a winner")
            if self._stood.setdefault((group, term), member.node) != member.node:
                reached("a second candidate stood in one term")
        elif state == FOLLOWER:
            if before.role == PRE_CANDIDATE:
                reached("a pre-candidate gave up")
            elif before.role == CANDIDATE and raw.leader and term == before.term:
                reached("a candidate followed the winner of its term")
            elif before.role == LEADER and term > before.term:
                reached("a leader learnt of a later term")
        elif state == LEADER and group == 0 and before.role != LEADER and life.host.driver is not None:
            operations = life.host.driver.member_operations
            if operations.priority(member.node) > max(
                (operations.priority(other) for other in self._cluster.ids if other != member.node), default=0
            ):
                reached("the preferred member took over")

    def replaced(self) -> None:
        """Entries of a log have given way to others."""
        self._reached("a follower replaced entries")

    def committed(self, raw: RawNode, first: int) -> None:
        """Entries from ``first`` on are committed now."""
        if raw.state == LEADER and (raw.term_at(first) or raw.term) < raw.term:
            self._reached("an entry of an earlier term was committed")

    # --- In worlds that are watched ---------------------------------------------------------------------------------

    def step(self, life: Life) -> None:
        """A process has made a step."""
        driver, storage, reached = life.host.driver, life.storage, self._reached
        if driver is None:
            return
        if driver.founding is not None and driver.rounds.takes_part and life.founding:
            life.founding = False
            others = (other for _, other in self._cluster.lives() if other is not life)
            if any(group.raw.term for other in others for group in other.groups.values()):
                reached("a new node joined those that take part")
        if life.unwritten is not None:
            reached("the loop went on in the middle of a write")
        writer: Any = storage._writer
        if writer._under_way:
            reached("a write went to a thread")
            if writer.pace.slow and writer._mode == "auto":
                reached("a store found its disk slow")
        for group in driver.groups.values():
            raw = group.raw
            self._paged(group, raw)
            if group.applying.pending:
                reached("applying went on in a later pass")
            if raw.state == LEADER:
                for _, text in raw.progress():
                    if "Probe" in text:
                        reached("a leader probed a follower")
                    elif "[full]" in text:
                        reached("the window of appends was full")
            elif not raw.leader and self._longest * 2 < raw.ticks_until_due() < 1 << 30:
                reached("an election timeout grew with slow writes")  # far beyond a draw, and what priorities add

    def _paged(self, group: Group, raw: RawNode) -> None:
        """What a group's view of its log has to read first, or has read in vain."""
        view = group.view
        if not isinstance(view, PagedView):
            return
        if view.rests:
            self._reached("a follower that nobody waited for was sent no more for a moment")
        if view.given_up:
            self._reached("what was read back in a former term was given up")
        if view.awaited:
            waiting = raw.status().progress.values() if raw.state == LEADER else ()
            if any(progress.paused_because == "entries" for progress in waiting):
                self._reached("a follower waited for what was read back")
            else:
                self._reached("what a restart applies was read back")

    # --- When a life ends -------------------------------------------------------------------------------------------

    def ended(self, life: Life) -> None:
        """A life is over, or the world is."""
        if self._cluster.plan.one_by_one and life.applied:
            self._reached("commands were applied one by one")
        transport: Any = life.host.transport
        for peer in transport._peers.values():
            for counter, name in PEER_COUNTERS.items():
                if getattr(peer.counters, counter):
                    self._reached(name)
            if peer.path is not None and peer.path.size > peer.path.base:
                self._reached("a path was found to take larger datagrams")
        if transport.counters.malformed:
            self._reached("a damaged datagram was dropped")
