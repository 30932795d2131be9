"""What a message promises, and must be durable before it leaves (Figure 2; thesis 3.8, 10.2.1)."""

from __future__ import annotations

from raftcore.base.types import MessageType
from raftcore.values.message import Message
from raftpy.storage.leveldb.head import Head

APPEND, ACKNOWLEDGED, VOTE, VOTED = (
    MessageType.MsgApp,
    MessageType.MsgAppResp,
    MessageType.MsgVote,
    MessageType.MsgVoteResp,
)


def undurable(m: Message, head: Head) -> str | None:
    """What of the message, about to be sent, the durable ``head`` of its group does not cover; None: nothing."""
    type_ = m.type
    if type_ not in (VOTE, VOTED, ACKNOWLEDGED, APPEND, MessageType.MsgHeartbeat) or head.term > m.term:
        return None
    if head.term < m.term:
        return f"the durable term is {head.term}"
    vote = m.from_ if type_ == VOTE else m.to if type_ == VOTED and not m.reject else head.vote
    if vote != head.vote:
        return f"the durable vote of that term is {head.vote}"
    if type_ == ACKNOWLEDGED and not m.reject and m.index > head.last_index:
        return f"the durable log ends at {head.last_index}"
    return None
