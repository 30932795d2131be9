"""What no correct peer sends (etcd/raft panics there): refused whole, before anything changes."""

from __future__ import annotations

from raftcore import MessageType
from tests.model.replication import Replication
from tests.model.values import Message, Rejected

LOCAL = {
    MessageType.MsgHup, MessageType.MsgBeat, MessageType.MsgUnreachable, MessageType.MsgSnapStatus,
    MessageType.MsgCheckQuorum, MessageType.MsgStorageAppend, MessageType.MsgStorageAppendResp,
    MessageType.MsgStorageApply, MessageType.MsgStorageApplyResp, MessageType.MsgForgetLeader,
}  # fmt: skip
ANSWERS = {
    MessageType.MsgAppResp, MessageType.MsgVoteResp, MessageType.MsgHeartbeatResp, MessageType.MsgReadIndexResp,
    MessageType.MsgPreVoteResp,
}  # fmt: skip
REQUESTS = {MessageType.MsgProp, MessageType.MsgReadIndex, MessageType.MsgTransferLeader}
OF_LEADERS = {MessageType.MsgApp, MessageType.MsgHeartbeat, MessageType.MsgSnap}


class Faults(Replication):
    def check_peer(self, message: Message) -> None:
        """Rejected("PeerFault") for a fault; messages of former terms are ignored, so they are not looked at."""
        if message.term == 0:
            wrong = message.type not in REQUESTS
        elif message.term < self.term:
            wrong = False
        else:
            wrong = self.is_second_leader(message) or self.contradicts(message)
        if wrong:
            raise Rejected("PeerFault")

    def is_second_leader(self, message: Message) -> bool:
        """A term has one leader (Figure 3, election safety)."""
        if message.type not in OF_LEADERS or message.term != self.term:
            return False
        return self.is_leader() or self.leader not in (0, message.from_)

    def contradicts(self, message: Message) -> bool:
        if message.type == MessageType.MsgApp:
            return self.append_contradicts(message)
        if message.type == MessageType.MsgHeartbeat:
            return message.commit > self.log.last
        if message.type == MessageType.MsgSnap:
            s = message.snapshot
            return s is None or s.index == 0 or not s.conf_state.voters or s.term > message.term
        if message.type == MessageType.MsgAppResp:
            mine = self.is_leader() and message.term == self.term
            return mine and not message.reject and message.index > self.log.last
        return False

    def append_contradicts(self, message: Message) -> bool:
        before, term, entries, log = message.index, message.log_term, message.entries, self.log
        if term > message.term or (term == 0) != (before == 0):
            return True
        if entries and (entries[0].index != before + 1 or entries[0].term < term or entries[-1].term > message.term):
            return True
        # What is committed here is in every later leader's log (Figure 3, leader completeness).
        if log.snapshot_index <= before <= log.committed and not log.matches(before, term):
            return True
        if before < log.committed and before >= log.snapshot_index:
            return any(
                entry.index <= log.committed and not log.matches(entry.index, entry.term) for entry in entries
            )  # fmt: skip
        return False
