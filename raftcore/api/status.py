"""What a node knows of itself and, as leader, of the others: a picture taken at one moment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from raftcore.base.conflict import Conflict
from raftcore.values.message import ConfState


@dataclass(frozen=True, slots=True)
class ProgressStatus:
    """What the leader knows of one member (Figure 2, volatile state on leaders)."""

    id: int
    match: int
    """Highest index known to be in this member's log, durably."""
    next: int
    """Index of the next entry to send."""
    state: str
    """``StateProbe``, ``StateReplicate`` or ``StateSnapshot``."""
    paused: bool
    """Nothing more is sent until this member answers (or a heartbeat finds it alive)."""
    recent_active: bool
    """Heard from in the running check-quorum interval."""
    is_learner: bool
    pending_snapshot: int
    """Index of the snapshot on its way, 0 for none."""
    inflight: int
    """Appends on their way."""
    inflight_full: bool
    behind: int
    """Entries in the leader's log that are not known to be in this member's."""
    heard_ms: int
    """The core's clock (``now_ms``) at this member's last answer in this leadership; 0 before the first."""
    paused_because: str | None
    """Why nothing more is sent: ``probe``, ``window`` or ``snapshot`` on its way; None when not paused."""
    conf_index: int = 0
    """Index of the configuration entry that made this progress; what the member echoes (0: the first one)."""

    def describe(self) -> str:
        """The member's state as it is printed in transcripts."""
        text = f"{self.state} match={self.match} next={self.next}"
        if self.is_learner:
            text += " learner"
        if self.paused:
            text += " paused"
        if self.pending_snapshot:
            text += f" pendingSnap={self.pending_snapshot}"
        if not self.recent_active:
            text += " inactive"
        if self.inflight:
            text += f" inflight={self.inflight}" + ("[full]" if self.inflight_full else "")
        return text


@dataclass(frozen=True, slots=True)
class Status:
    """A node's state at one moment. ``progress`` is filled on a leader only."""

    id: int
    term: int
    vote: int
    state: Any
    """:class:`raftcore.base.types.StateType`"""
    leader: int
    """Id of the leader as far as known, 0 for none."""
    commit_index: int
    applied_index: int
    first_index: int
    last_index: int
    last_term: int
    conf_state: ConfState
    conf_index: int
    transferee: int
    """Target of the running leadership transfer, 0 for none."""
    in_sync: bool
    """This node knows a leader and has applied all it knows to be committed."""
    has_quorum: bool
    """On a leader: a quorum has answered within the last election timeout. Elsewhere: a leader is known."""
    heard_quorum_ms: int
    """On a leader: the newest ``now_ms`` by which a quorum had answered. Else: of the leader's last word; 0: never.

    How long ago that is tells how fresh this node's knowledge can be."""
    now_ms: int
    """The core's clock: the newest time it was given."""
    progress: dict[int, ProgressStatus] = field(default_factory=dict)
    conflict: Conflict | None = None
    """Why this node is quarantined; None when it is not."""
