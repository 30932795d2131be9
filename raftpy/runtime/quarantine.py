"""The quarantine, performed: made durable, told to the peers, said in one line. When it begins is the core's to say.

    the core: a conflict  -->  storage (it stays, over every restart)  -->  transport (the peers hear of it)  -->  log
    a peer's hello        -->  log, once

What a node in quarantine refuses to its callers is the driver's.
"""

from __future__ import annotations

import logging

from raftcore.api.raw_node import RawNode
from raftcore.base.conflict import Conflict
from raftpy.contracts.errors import Quarantined
from raftpy.contracts.storage import GroupLog
from raftpy.contracts.transport import Transport

log = logging.getLogger("raftpy")


class Quarantine:
    """A node's own quarantine in one group, and what it has heard of those of its peers in it.

    What a host says of one group says nothing of it in its others: there it counts as a member like any other.
    """

    def __init__(self, node_id: int, group_id: int, raw: RawNode, log: GroupLog, transport: Transport) -> None:
        self._id = node_id
        self._group_id = group_id
        self._raw = raw
        self._log = log
        self._transport = transport
        self._reported: set[tuple[int, Conflict]] = set()

    @property
    def conflict(self) -> Conflict | None:
        """Why this node is quarantined; None when it is not."""
        return self._raw.conflict

    def of(self, node_id: int) -> Conflict | None:
        """Why that node is quarantined in this group, this one or a peer, as far as its present incarnation says; None:
        it is not, or has not said so."""
        if node_id == self._id:
            return self.conflict
        return self._transport.heard(node_id).conflicts.get(self._group_id)

    def of_peers(self) -> str | None:
        """Which peers count as down for it, in words; None when there are none."""
        nodes = sorted({node_id for node_id, _ in self._reported if self.of(node_id) is not None})
        return ", ".join(f"node {node_id} is quarantined" for node_id in nodes) or None

    def refusal(self) -> Quarantined:
        """What a caller of this node is told; a new one each time, as it collects its caller's traceback."""
        assert self._raw.conflict is not None
        return Quarantined(self._id, self._raw.conflict)

    def begin(self) -> None:
        """The core has just found the conflict. Raises ``StorageFailed``."""
        assert self._raw.conflict is not None
        self._log.quarantine(self._raw.conflict)
        self._transport.quarantine(self._raw.conflict, self._group_id)
        self.say()

    def say(self) -> None:
        """The one line of this start."""
        log.error(
            "%s%s; it answers nothing but its status until it is dealt with, see the README",
            f"group {self._group_id}: " if self._group_id else "",
            self.refusal(),
        )

    def heard(self, node_id: int) -> None:
        """A peer has told something of itself (``Transport.on_heard``)."""
        conflict = self.of(node_id)
        if conflict is not None and (node_id, conflict) not in self._reported:
            self._reported.add((node_id, conflict))
            log.error(
                "node %d: %snode %d is quarantined and counts as down; it says: %s",
                self._id,
                f"group {self._group_id}: " if self._group_id else "",
                node_id,
                conflict.describe(),
            )
