"""What a node knows of itself and, as leader, of the others, at one moment.

The numbers are the core's own fields at the moment of the call (etcd/raft's Status and Progress); nothing is asked of
anybody for them. Times are ``now_ms``, the caller's clock in milliseconds as the core was given it; a core that is
given no time has 0 everywhere.
"""

from dataclasses import dataclass, field
from typing import Any

from raftcore.base.conflict import Conflict
from raftcore.values.message import ConfState

@dataclass(frozen=True, slots=True)
class ProgressStatus:
    """What the leader knows of one member (Figure 2, volatile state on leaders; etcd/raft's Progress).

    It begins anew with each leadership: what a former leader knew of the member is not handed on.
    """

    id: int
    """The member's node id. The leader itself is among the members."""
    match: int
    """Highest index known to be in this member's log, durably: matchIndex, from its answers to appends. 0 before the
    first. Of the leader itself: of its own log, once that is written."""
    next: int
    """Index of the next entry to send: nextIndex. Above ``match``; while it replicates, ahead of it by what is on its
    way."""
    state: str
    """``StateProbe`` (one append at a time until the logs are known to fit), ``StateReplicate`` (appends without
    waiting) or ``StateSnapshot`` (a snapshot is on its way, no append is sent)."""
    paused: bool
    """Nothing more is sent until this member answers (or a heartbeat finds it alive)."""
    recent_active: bool
    """Heard from in the running check-quorum interval, ``election_tick`` ticks; without ``check_quorum``: since this
    leadership began. A member that has just been added counts as heard from."""
    is_learner: bool
    """By the applied configuration: it has the log and no vote (thesis 4.2.1)."""
    pending_snapshot: int
    """Index of the snapshot on its way, 0 for none."""
    inflight: int
    """Appends on their way: sent, with entries, in ``StateReplicate``, and not answered."""
    inflight_full: bool
    """``max_inflight_msgs`` appends, or ``max_inflight_bytes``, are on their way."""
    behind: int
    """Entries in the leader's log that are not known to be in this member's: the leader's ``last_index`` less
    ``match``."""
    heard_ms: int
    """The core's clock (``now_ms``) at this member's last answer in this leadership; 0 before the first. Of the leader
    itself: when its last write was reported to it."""
    paused_because: str | None
    """Why nothing more is sent: ``probe`` (one is out), ``window`` (``inflight_full``), ``snapshot`` (one is on its
    way) or ``entries`` (those that it lacks are being read back from the storage); None when not paused."""
    conf_index: int = 0
    """Index of the configuration entry that made this progress; what the member echoes (0: the first one)."""

    def describe(self) -> str:
        """The member's state as it is printed in transcripts."""

@dataclass(frozen=True, slots=True)
class Status:
    """A node's state at one moment. ``progress`` is filled on a leader only; each other field says what it means
    elsewhere."""

    id: int
    """This node's id."""
    term: int
    """The latest term this node has seen (Figure 2), 0 before the first. It may lie ahead of what is durable."""
    vote: int
    """Node id voted for in ``term`` (Figure 2), 0 for nobody; a leader's is its own. It may lie ahead of what is
    durable."""
    state: Any
    """This node's role, a :class:`raftcore.StateType`."""
    leader: int
    """Id of the leader of ``term`` as far as known, 0 for none: a leader's own, a follower's from the last append,
    heartbeat or snapshot; none on candidates and in quarantine. A follower keeps it until it stands for election or the
    term changes."""
    commit_index: int
    """Highest index known to be committed (Figure 2): on a leader what a quorum holds, elsewhere what the leader has
    told. After a restart: what was stored."""
    applied_index: int
    """Highest index that the state machine has been reported to have applied (Figure 2); at most ``commit_index``."""
    first_index: int
    """Index of the first entry of the log, ``last_index + 1`` when it is empty; what lies before is compacted (paper
    7)."""
    last_index: int
    """Index of the last entry of the log, be it durable yet or not; where the log is empty, that of the snapshot before
    it."""
    last_term: int
    """Term of the entry at ``last_index``; 0 when there never was one."""
    conf_state: ConfState
    """The configuration in force: that of the last change that was applied here (thesis 4.1)."""
    conf_index: int
    """Index of the entry that ``conf_state`` comes from, 0 for the configuration of the start."""
    transferee: int
    """On a leader: target of the running leadership transfer (thesis 3.10), 0 for none. 0 elsewhere."""
    in_sync: bool
    """This node knows a leader and has applied all it knows to be committed. What it has not heard of it cannot
    count."""
    has_quorum: bool
    """On a leader: a quorum (of both halves, in a joint configuration) has been heard from in the running check-quorum
    interval of ``election_tick`` ticks; so it may be False for a moment when one begins. Without ``check_quorum``: ever
    since it leads. Elsewhere: a leader is known."""
    heard_quorum_ms: int
    """On a leader: the newest ``now_ms`` by which a quorum had answered, its own answer being always of now. Else: that
    of the leader's last word. 0: never.

    How long ago that is tells how fresh this node's knowledge can be.
    """
    now_ms: int
    """The core's clock: the newest time it was given."""
    progress: dict[int, ProgressStatus] = field(default_factory=dict)
    """On a leader: node id -> what it knows of that member, for all of the configuration, itself too. Empty
    elsewhere."""
    conflict: Conflict | None = None
    """Why this node is quarantined (docs/design.md, decision 1); None when it is not."""
