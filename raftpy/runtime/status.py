"""What a node says about itself: frozen records, taken at one moment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from raftcore.types import StateType

ROLES = {
    StateType.StateFollower: "follower",
    StateType.StateCandidate: "candidate",
    StateType.StatePreCandidate: "candidate",
    StateType.StateLeader: "leader",
}


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
    """``host:port``, also of a member that is down; None when it serves none or none is known yet."""
    reachable: bool
    """It has been heard in this life of this node and has refused nothing since; True for the node itself."""
    progress: PeerProgress | None = None
    """Known to the leader only."""
    priority: int = 0
    """The member with the highest leads if it can; see ``Node.set_priority``."""


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """One node at one moment."""

    id: int
    role: str
    """``leader``, ``follower`` or ``candidate``."""
    term: int
    leader: int | None
    """The leader of this term as far as this node knows."""
    first_index: int
    last_index: int
    commit_index: int
    applied_index: int
    members: tuple[MemberStatus, ...] = ()
    proposals: int = 0
    """Proposals handed in here that are not settled."""
    transport: dict[str, Any] = field(default_factory=dict)
    """Counters of the transport."""
