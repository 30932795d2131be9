"""What a node says about itself: frozen records, taken at one moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from raftcore.base.conflict import Conflict
from raftcore.base.types import StateType
from raftpy.contracts.storage import Written
from raftpy.contracts.types import Oversized

ROLES = {
    StateType.StateFollower: "follower",
    StateType.StateCandidate: "candidate",
    StateType.StatePreCandidate: "candidate",
    StateType.StateLeader: "leader",
    StateType.StateQuarantined: "quarantined",
}
STOPPED, FAILED = "stopped", "failed"
"""The roles of a node that takes part no more: it was told to stop, or has stopped by itself."""

UNANSWERED_S = 2.0
"""Seconds after which an entry sent in a datagram above the limit, again and again, counts as not coming through."""


@dataclass(frozen=True, slots=True)
class PeerProgress:
    """How far the leader knows a member's log to reach (Figure 2, volatile state on leaders); from
    ``raftcore.ProgressStatus``."""

    match: int
    """Index up to which the member's log is known to equal the leader's, durably; 0 when the member has not answered
    yet."""
    next: int
    """Index of the next entry to send to it."""
    state: str
    """``probe`` (one append at a time), ``replicate`` (appends without waiting) or ``snapshot`` (one is on its way)."""


@dataclass(frozen=True, slots=True)
class MemberStatus:
    """One member of the cluster as this node sees it."""

    id: int
    """The member's node id."""
    udp: str
    """``host:port`` at which the others reach it, from ``Config.cluster`` as it was at the first start."""
    http: str | None
    """``host:port`` or ``https://host:port``, as the member told this node or the member table has it, the newer of the
    two; also of a member that is down. None: it serves none, or none is known."""
    reachable: bool
    """It has been heard in this incarnation of this node, has not been silent for five seconds, and its address has
    refused nothing since; True for the node itself."""
    progress: PeerProgress | None = None
    """From this node's core while it leads; None on every other node."""
    priority: int = 0
    """From the member table, 0 unless it was set: the member with the highest leads if it can; see
    ``Node.set_priority``."""
    refuses: str | None = None
    """Why the member does not take this node for what it says it is, for people to read; None: it does, or is down."""
    unserved: str | None = None
    """Why this leader cannot bring the member up to date, for people to read; None: it can, or does not lead."""
    quarantine: Conflict | None = None
    """Why the member is quarantined in this group, as it has told in its newest incarnation heard here; None: it has
    not."""


@dataclass(frozen=True, slots=True)
class IncomingSnapshot:
    """A snapshot of the leader's that takes the place of a log which the leader's does not reach any more (paper 7); or
    another member's, from which a node gets the state that it lacks (``NodeStatus.without_state``)."""

    index: int
    """Index of the last entry that it covers."""
    source: int
    """Node id of the leader that offers it, or the member that gives it."""
    position: int
    """Bytes of it that are here."""
    size: int | None
    """Bytes of it; None: the leader has not said yet."""
    restoring: bool
    """It is here, and the state machine is being restored from it; of the leader's, the log begins behind it."""


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """One node at one moment, from what it knows itself: nobody else is asked."""

    id: int
    """This node's id."""
    role: str
    """``leader``, ``follower``, ``candidate`` (asking for pre-votes too) or ``quarantined``; ``stopped``, or ``failed``
    when it has stopped by itself, in this group at least."""
    term: int
    """The latest term this node has seen (Figure 2), 0 before the first."""
    leader: int | None
    """Node id of the leader of ``term`` as far as this node knows, its own when it leads; None when it knows of none or
    has stopped."""
    first_index: int
    """Index of the first entry of its log; what lies before is compacted."""
    snapshot_index: int
    """Index of the last entry that its newest snapshot covers; 0: it has none."""
    last_index: int
    """Index of the last entry of its log, be it durable yet or not."""
    commit_index: int
    """Highest index known to be committed (Figure 2): on the leader what a majority holds, elsewhere what the leader
    has told."""
    applied_index: int
    """Highest index that the state machine has applied here."""
    members: tuple[MemberStatus, ...] = ()
    """All members, this node too; of a host's other groups than 0, those of the applied configuration."""
    waits_for: tuple[int, ...] = ()
    """Ids of the members whose word a new node waits for before it takes part; see ``Config.bootstrap``."""
    proposals: int = 0
    """Proposals handed in here that have no outcome yet."""
    transport: dict[str, Any] = field(default_factory=dict)
    """Counters since the start, as ``Transport.stats`` gives them: ``node``, ``peers`` and ``wire``."""
    failure: str | None = None
    """Why the node, or this group of its host alone, has stopped by itself, for people to read; ``Node.failed`` is the
    exception."""
    refused: str | None = None
    """Why this node has no part in its cluster, for people to read: a member that is heard refuses it, or all that is
    heard at the members' addresses speaks for another cluster. None: nothing of the kind is known."""
    incoming_snapshot: IncomingSnapshot | None = None
    """The snapshot by which this node is being brought up, as long as it is; None: it follows by its log."""
    snapshot_failure: str | None = None
    """Why the last attempt to take a snapshot, or to cut the log behind one, has failed, for people to read: the node
    goes on, with a log that grows. None: none has failed since the last one succeeded."""
    damage: tuple[str, ...] = ()
    """What is damaged of that which this node has stored, as far as ``Config.scrub_rate`` has it read back, for people
    to read. A damaged snapshot is replaced; a damaged part of the log makes the next start fail. And what of it is not
    needed any more, and cannot be removed."""
    written: Written | None = None
    """What this node has written since its store was opened, of all groups, and for how many bytes of commands; None:
    its store does not say, or the group has ended."""
    quarantine: Conflict | None = None
    """Why this node is quarantined, and serves nothing but this status; None: it is not."""
    without_state: str | None = None
    """What is being done about it that this node has its log and no state to go with it, for people to read: none of
    its snapshots is whole, and it gets one from another member (``NoState``). None: it has its state."""


def why_unserved(oversized: Oversized | None, match: int, max_datagram: int, now_s: float) -> str | None:
    """Why a leader cannot serve a follower that has its log up to ``match``; ``oversized`` as its transport says."""
    if oversized is None or match >= oversized.index:
        return None
    entry = f"entry {oversized.index} does not fit a datagram of max_datagram, {max_datagram} bytes"
    if oversized.refused:
        return f"{entry}: {oversized.refused}"
    if oversized.cut or now_s < oversized.since_s + UNANSWERED_S:
        return None
    return (
        f"{entry}, and in one of {oversized.size} bytes it has not come through for {now_s - oversized.since_s:.0f} s: "
        "the path does not carry fragments of IP"
    )


def why_refused(own_id: int, members: Sequence[MemberStatus]) -> str | None:
    """Why this node has no part in its cluster: see ``NodeStatus.refused``.

    A member that is heard and refuses this incarnation knows what it says. Members of another cluster are as strange to
    this node as it is to them: which side is wrong shows by whether anybody else is heard.
    """
    heard = [member for member in members if member.reachable and member.id != own_id]
    known = [member.refuses for member in heard if member.refuses is not None]
    strange = [member.refuses for member in members if member.refuses is not None]
    return known[0] if known else strange[0] if strange and not heard else None
