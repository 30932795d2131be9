"""What stays of the log behind the oldest snapshot kept: what members still need, within a number of bytes.

    leader     what any member that was heard in the last ten minutes still needs: entries behind those that it holds,
               or behind the snapshot that is on its way to it; the others can be brought up by a snapshot
    follower   as many bytes as allowed, since each may come to lead, and knows nothing of what others need

Where nothing carries snapshots from node to node, all stays that any member, heard or not, is not known to hold.

How many bytes lie behind an entry is noted while commands are applied, at some places of the log. Of what was in the
log before, the process knows no bytes, and counts none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Protocol

from raftcore.api.raw_node import RawNode
from raftcore.base.types import StateType
from raftpy.contracts.clock import Clock
from raftpy.contracts.snapshots import EVERY_INDEX, SnapshotRef
from raftpy.runtime.applying import Applying

HEARD_S = 600.0
"""Seconds without a word after which nothing is kept for a member."""
PLACES = 64
"""So many places are noted in as many bytes of log as may stay."""


class Trailed(Protocol):
    """A group, as far as this needs it: its ``raw`` core, its ``clock``, and what is ``applying``."""

    raw: RawNode
    clock: Clock
    applying: Applying


class Trailing:
    """Of one group. ``begins``: index of the last entry before its log. ``limit``: bytes that may stay.
    ``reachable(node_id)``: whether the member was heard lately. ``carried``: snapshots go from node to node."""

    def __init__(
        self, group: Trailed, begins: int, limit: int, reachable: Callable[[int], bool], carried: bool
    ) -> None:
        self.limit = limit
        self._carried = carried
        self._group = group
        self._reachable = reachable
        self._places: deque[tuple[int, int]] = deque([(begins, 0)])  # (index, bytes applied up to there)
        if group.applying.applied > begins:
            self._places.append((group.applying.applied, 0))
        self._begun_s = group.clock.monotonic()
        self._heard_s: dict[int, float] = {}  # by member

    def look(self) -> None:
        """To be called every now and then: notes how far the log has come, and who is heard."""
        group = self._group
        index, size = group.applying.applied, group.applying.applied_bytes
        if index > self._places[-1][0] and size - self._places[-1][1] >= max(1, self.limit // PLACES):
            self._places.append((index, size))
        if group.raw.state == StateType.StateLeader:
            now = group.clock.monotonic()
            for node_id in others(group.raw):
                if self._reachable(node_id):
                    self._heard_s[node_id] = now

    def replaced(self, index: int) -> None:
        """The log is a snapshot at ``index``."""
        self._places = deque([(index, self._group.applying.applied_bytes)])

    def cut_to(self, kept: int) -> int:
        """Up to which entry nothing has to stay, where the oldest snapshot kept is at ``kept``."""
        if not self._carried:
            return self._needless()
        return max(self._needless(), self._beyond(kept))

    def within(self, index: int) -> bool:
        """Whether all that was applied behind ``index`` may stay."""
        behind = self._group.applying.applied_bytes - self._bytes_at(index, rounded_up=False)
        return index >= self._places[0][0] and behind <= self.limit

    def _needless(self) -> int:
        """Up to which entry no member needs the log, as far as this node knows."""
        raw, now = self._group.raw, self._group.clock.monotonic()
        members = others(raw)
        if not members:
            return EVERY_INDEX
        if raw.state != StateType.StateLeader:
            return 0
        progress = raw.status().progress
        return min(
            (
                max(progress[node_id].match, progress[node_id].pending_snapshot) if node_id in progress else 0
                for node_id in members
                if now - self._heard_s.get(node_id, self._begun_s) < HEARD_S or not self._carried
            ),
            default=EVERY_INDEX,
        )

    def _beyond(self, kept: int) -> int:
        """Up to which entry the log is more than may stay."""
        end = self._bytes_at(kept, rounded_up=True)
        while len(self._places) > 1 and end - self._places[0][1] > self.limit:
            self._places.popleft()
        return self._places[0][0]

    def _bytes_at(self, index: int, *, rounded_up: bool) -> int:
        """Bytes applied up to ``index``, as of the next place noted, or the one before it."""
        before = self._places[0][1]
        for place, size in self._places:
            if place >= index:
                return size if rounded_up or place == index else before
            before = size
        return self._group.applying.applied_bytes if rounded_up else before


def on_their_way(raw: RawNode, begun: Mapping[int, SnapshotRef]) -> set[int]:
    """Indexes of the snapshots that members are being sent, or have ``begun`` to receive, by node id. What has come of
    the latter only a leader knows; for any other node they count as long as that member may come back."""
    if begun and raw.state == StateType.StateLeader:
        progress = raw.status().progress
        begun = {
            node_id: ref
            for node_id, ref in begun.items()
            if node_id in progress and progress[node_id].match < ref.index
        }
    return {index for _, index in raw.pending_snapshots()} | {ref.index for ref in begun.values()}


def others(raw: RawNode) -> set[int]:
    """All members but this node."""
    conf = raw.conf_state
    return {*conf.voters, *conf.voters_outgoing, *conf.learners, *conf.learners_next} - {raw.id}
