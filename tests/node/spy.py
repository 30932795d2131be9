"""Watches what leaves the nodes: no promise before it is durable ("before responding to RPCs", Figure 2).

a vote granted for term t          needs  term t, with this vote, or a later term on the disk
an append acknowledged up to i     needs  entries up to i on the disk, and the term of the answer
anything of term t from a leader   needs  term t on the disk (it voted for itself there), or a later term
"""

from __future__ import annotations

from collections.abc import Mapping

from raftcore.base.types import MessageType
from raftcore.values.message import Message
from raftcore.wire.codec import decode_message, frames
from raftpy.storage import MemoryDisk

LEADERS_OWN = (MessageType.MsgApp, MessageType.MsgHeartbeat, MessageType.MsgSnap)


class Spy:
    """A ``MemoryNetwork.filter`` that lets everything pass and notes what should not have been said in ``broken``."""

    def __init__(self, disks: Mapping[int, MemoryDisk]) -> None:
        self.disks = disks
        self.broken: list[str] = []
        self.seen: dict[MessageType, int] = {}
        self.told: list[tuple[int, int, Message]] = []
        """(from, to, message) of the votes granted."""

    def watch(self, from_id: int, to_id: int, datagram: bytes) -> bool:
        for group_id, kind, body in frames(datagram):
            if kind < 128:
                self.check(from_id, to_id, decode_message(kind, bytes(body)), group_id)
        return True

    def check(self, from_id: int, to_id: int, message: Message, group_id: int = 0) -> None:
        type_ = MessageType(message.type)
        self.seen[type_] = self.seen.get(type_, 0) + 1
        group = self.disks[from_id].groups[group_id]
        durable = group.hard_state
        last = group.index.last
        if type_ == MessageType.MsgVoteResp and not message.reject:
            self.told.append((from_id, to_id, message))
            # Two requests of one candidate may come in one datagram, and both votes reach the disk in one write: a
            # later term that is durable rules out any other vote in this one.
            if durable.term < message.term or (durable.term == message.term and durable.vote != to_id):
                self.broken.append(f"{from_id} granted its vote to {to_id} in term {message.term}, disk: {durable}")
        elif type_ == MessageType.MsgAppResp and not message.reject:
            if durable.term < message.term or last < message.index:
                said = f"{from_id} acknowledged {message.index} in term {message.term}"
                self.broken.append(f"{said}, disk: {durable}, {last}")
        elif type_ in LEADERS_OWN and (
            # What it said last may leave in the flush that follows the write of the term in which it stepped down.
            durable.term < message.term or (durable.term == message.term and durable.vote != from_id)
        ):
            self.broken.append(f"{from_id} leads in term {message.term}, disk: {durable}")
