"""What a node says about itself: frozen records, taken at one moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from raftcore.base.conflict import Conflict
from raftcore.base.types import StateType
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
    """How far the leader knows a member's log to reach (Figure 2, volatile state on leaders)."""

    match: int
    """Index up to which the member's log is known to equal the leader's."""
    next: int
    """Index of the next entry to send to it."""
    state: str
    """``probe``, ``replicate`` or ``snapshot``."""


@dataclass(frozen=True, slots=True)
class MemberStatus:
    """One member of the cluster as this node sees it."""

    id: int
    udp: str
    """``host:port``."""
    http: str | None
    """``host:port`` or ``https://host:port``, also of a member that is down; None: it serves none, or none is known."""
    reachable: bool
    """It has been heard in this incarnation of this node, has not been silent for five seconds, and its address has
    refused nothing since; True for the node itself."""
    progress: PeerProgress | None = None
    """Known to the leader only."""
    priority: int = 0
    """The member with the highest leads if it can; see ``Node.set_priority``."""
    refuses: str | None = None
    """Why the member does not take this node for what it says it is, for people to read; None: it does, or is down."""
    unserved: str | None = None
    """Why this leader cannot bring the member up to date, for people to read; None: it can, or does not lead."""
    quarantine: Conflict | None = None
    """Why the member is quarantined, as it has told in its newest incarnation heard here; None: it has not."""


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """One node at one moment."""

    id: int
    role: str
    """``leader``, ``follower``, ``candidate`` or ``quarantined``; ``stopped``, or ``failed`` when it has stopped by
    itself."""
    term: int
    leader: int | None
    """The leader of this term as far as this node knows; None when it has stopped."""
    first_index: int
    last_index: int
    commit_index: int
    applied_index: int
    members: tuple[MemberStatus, ...] = ()
    waits_for: tuple[int, ...] = ()
    """Members whose word a new node waits for before it takes part; see ``Config.bootstrap``."""
    proposals: int = 0
    """Proposals handed in here that have no outcome yet."""
    transport: dict[str, Any] = field(default_factory=dict)
    """Counters of the transport."""
    failure: str | None = None
    """Why the node has stopped by itself, for people to read; ``Node.failed`` is the exception."""
    refused: str | None = None
    """Why this node has no part in its cluster, for people to read: a member that is heard refuses it, or all that is
    heard at the members' addresses speaks for another cluster. None: nothing of the kind is known."""
    quarantine: Conflict | None = None
    """Why this node is quarantined, and serves nothing but this status; None: it is not."""


def why_unserved(oversized: Oversized | None, match: int, max_datagram: int, now_s: float) -> str | None:
    """Why a leader cannot serve a follower that has its log up to ``match``; ``oversized`` as its transport says."""
    if oversized is None or match >= oversized.index:
        return None
    entry = f"entry {oversized.index} does not fit a datagram of max_datagram, {max_datagram} bytes"
    if oversized.refused:
        return f"{entry}: {oversized.refused}"
    if now_s < oversized.since_s + UNANSWERED_S:
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
