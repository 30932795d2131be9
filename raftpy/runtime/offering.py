"""A leader's offers of its snapshot to those whom its log does not reach any more (paper 7).

The core sends MsgSnap once, and then nothing until the follower has what it says. The message may be lost, and so may
the follower's attempt to fetch what it names: the disk had no room, or it was restarted. It does not say so. It asks
this node for the bytes as long as it goes on, and for one byte while it reads back what has come; one that does not
ask, and does not answer, is offered the newest snapshot again, and so is at once who was started again. To one that has
it already, or is about to, the offer says nothing new.

One that has a part of another snapshot asks for a byte of that instead (installing.py). It is offered that one then, if
it is here still and the log goes on behind it, which the core decides; else the newest again, which it takes.

One that has found what came of it damaged says so, and is offered a snapshot again at once; where that goes on, after
pauses that double up to what one that is silent is given.

Where the same one is offered in vain again and again, the reason may be here: what this node gives out it does not
check, so its own file is read back then.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Protocol

from raftcore.api.raw_node import RawNode
from raftcore.base.types import StateType
from raftcore.values.message import Snapshot
from raftpy.contracts.clock import Clock
from raftpy.contracts.snapshots import SnapshotRef
from raftpy.runtime.snapshot_source import Asked

UNHEARD_S = 2.0
"""Seconds after which an offer is made again to who has not asked for anything."""
IN_VAIN = 2
"""So many offers of one snapshot to one member came to nothing, and it is doubted."""
SILENT_S = 7.0
"""The same for who has asked, and does so no more. Longer than one waits for an answer before it asks again."""
USELESS_AGAIN_S = 1.0
"""The same for who has said that what came does not do, for the second time; for the third twice as long, and so on up
to ``SILENT_S``. For the first time none."""
USELESS_APART_S = 60.0
"""What was said so long ago is not counted any more."""

log = logging.getLogger("raftpy")


class Offered(Protocol):
    """A group, as far as this needs it: its ``id``, ``name``, ``raw`` core and ``clock``."""

    id: int
    name: str
    raw: RawNode
    clock: Clock

    def schedule(self) -> None:
        """A pass has to look at the group."""
        ...


class Offering:
    """Of one group. ``asked(node_id, group_id)``: what the node has asked for last, of the group's snapshots.
    ``doubt()`` is called where the newest snapshot may be damaged."""

    def __init__(self, group: Offered, asked: Callable[[int, int], Asked | None], doubt: Callable[[], object]) -> None:
        self._group = group
        self._asked = asked
        self._doubt = doubt
        self._in_vain: dict[int, tuple[int, int, float]] = {}  # node id -> index, how often, when it asked last
        self._since: dict[int, tuple[int, float]] = {}  # node id -> index of the snapshot, when it was offered
        self._useless: dict[int, tuple[int, float]] = {}  # node id -> how often in a row it has said so, and when last
        self._due: dict[int, tuple[int, float]] = {}  # node id -> index of the one it could not use, next offer when
        self._looked_s = -math.inf

    def look(self) -> None:
        """To be called every now and then."""
        raw = self._group.raw
        now, looked_s = self._group.clock.monotonic(), self._looked_s
        self._looked_s = now
        pending = raw.pending_snapshots() if raw.state == StateType.StateLeader else ()
        if not pending and not self._since:
            self._in_vain.clear()
            self._due.clear()
            return
        self._since = {
            node_id: (index, before[1] if (before := self._since.get(node_id)) and before[0] == index else now)
            for node_id, index in pending
        }
        self._due = {node_id: due for node_id, due in self._due.items() if due[0] == self._since.get(node_id, (0,))[0]}
        for node_id, (index, since) in list(self._since.items()):
            asked = self._asked(node_id, self._group.id)
            at_s = -math.inf if asked is None else asked.at_s
            if asked is not None and at_s >= min(since, looked_s) and _wants_another(asked, index):
                self._has_part_of(node_id, asked.snapshot, now)
            elif (due := self._due.get(node_id)) is not None:
                if now >= due[1]:
                    self._fail(node_id)
            elif now - max(at_s, since) >= (UNHEARD_S if at_s < since else SILENT_S):
                self._fail(node_id)
                self._came_to_nothing(node_id, index, at_s)

    def useless(self, node_id: int, ref: SnapshotRef) -> None:
        """What has come of this one to the member is damaged there, or is not what it was offered."""
        raw, now = self._group.raw, self._group.clock.monotonic()
        if raw.state != StateType.StateLeader or (node_id, ref.index) not in raw.pending_snapshots():
            return
        if self._due.get(node_id, (0,))[0] == ref.index:
            return  # it was repeated on its way
        count, last_s = self._useless.get(node_id, (0, now))
        count = count + 1 if now < last_s + USELESS_APART_S else 1
        self._useless[node_id] = count, now
        log.warning("%s: node %d cannot use the snapshot of %s: what came of it is damaged, or is another",
                    self._group.name, node_id, ref)  # fmt: skip
        if count >= IN_VAIN:
            self._doubt()
        if count == 1:
            self._fail(node_id)
        else:
            self._due[node_id] = ref.index, now + min(USELESS_AGAIN_S * 2 ** min(count - 2, 10), SILENT_S)

    def peer_started(self, node_id: int) -> None:
        """It was started again, and knows nothing of what it was offered: it is offered a snapshot anew when it is
        heard, and goes on with what it has of that one."""
        raw = self._group.raw
        if raw.state == StateType.StateLeader and any(node_id == waiting for waiting, _ in raw.pending_snapshots()):
            self._since.pop(node_id, None)
            raw.report_snapshot(node_id, False)
            self._group.schedule()

    def _has_part_of(self, node_id: int, snapshot: Snapshot | None, now: float) -> None:
        """Since it was offered one, the member has asked for ``snapshot``, another; None: for one that is not here."""
        if snapshot is not None and self._group.raw.offer_snapshot(node_id, snapshot):
            self._since[node_id] = snapshot.index, now
            self._group.schedule()
        else:
            self._fail(node_id)

    def _fail(self, node_id: int) -> None:
        """The core offers the newest one again, when the member is heard."""
        self._since.pop(node_id, None)
        self._due.pop(node_id, None)
        self._group.raw.report_snapshot(node_id, False)
        self._group.schedule()

    def _came_to_nothing(self, node_id: int, index: int, asked: float) -> None:
        """Where the member has asked for it; others have not heard of it, or cannot take it."""
        before, count, asked_before = self._in_vain.get(node_id, (index, 0, -math.inf))
        if before != index:
            count = 0
        if asked > asked_before:
            count += 1
        self._in_vain[node_id] = index, count, asked
        if count >= IN_VAIN:
            self._doubt()


def _wants_another(asked: Asked, offered: int) -> bool:
    """Whether what a member has asked for is not the snapshot at ``offered``, or is that one, and not here any more."""
    return asked.looked and (asked.ref.index != offered or asked.snapshot is None)
