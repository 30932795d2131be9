"""What no correct peer sends (etcd/raft panics there): refused whole, before anything changes."""

from __future__ import annotations

from raftcore import Conflict, MessageType
from tests.model.replication import Replication
from tests.model.values import Message, Placed, Rejected, Suspicion

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
        """Rejected("PeerFault") for a fault; messages of former terms are ignored, so only their shape is looked at."""
        if message.entries and message.type == MessageType.MsgApp and message.entries[0].index != message.index + 1:
            wrong = True
        elif message.term == 0:
            wrong = message.type not in REQUESTS
        elif message.term < self.term:
            wrong = False
        else:
            wrong = self.is_second_leader(message) or self.contradicts(message)
        if wrong:
            raise Rejected("PeerFault")
        if 0 < message.term >= self.term:
            self.compare_histories(message)
            if message.type == MessageType.MsgApp and self.tells_acknowledged_otherwise(message):
                raise Rejected("PeerFault")
            if message.type == MessageType.MsgSnap and self.covers_acknowledged_otherwise(message):
                raise Rejected("PeerFault")

    def tells_acknowledged_otherwise(self, message: Message) -> bool:
        """The leader of this term gives what it has this node's word for another term, or other contents."""
        if message.term != self.term or message.index < self.log.committed or self.conflict is not None:
            return False
        items = [entry.item for entry in message.entries if entry.index <= self.acknowledged]
        first = message.index + 1
        told = self.log.rewritten(first, items) > 0 or 0 < self.log.find_conflict(first, items) <= self.log.last
        return self.log.matches(message.index, message.log_term) and told

    def covers_acknowledged_otherwise(self, message: Message) -> bool:
        """A snapshot of this term's leader is of a log without what that has this node's word for."""
        assert message.snapshot is not None
        index, term = message.snapshot.index, message.snapshot.term
        held = min(index, self.acknowledged)
        own = self.log.term(held)
        if message.term != self.term or held <= self.log.committed or self.conflict is not None:
            return False
        assert own is not None
        return own > term or (held == index and own != term)

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
        before, term, entries = message.index, message.log_term, message.entries
        if term > message.term or (term == 0) != (before == 0):
            return True
        if not entries:
            return False
        return entries[0].term < term or entries[-1].term > message.term

    # What is committed here is in every later leader's log (Figure 3, leader completeness).

    def compare_histories(self, message: Message) -> None:
        """Rejected, or nothing, or in the third round this node's quarantine."""
        if message.type == MessageType.MsgApp:
            known = [(message.index, message.log_term)] + [(entry.index, entry.term) for entry in message.entries]
        elif message.type == MessageType.MsgSnap and message.snapshot is not None:
            known = [(message.snapshot.index, message.snapshot.term)]
        else:
            return
        conflict = self.first_conflict(known) or self.first_other_contents(message.entries)
        if conflict is None or self.conflict is not None:
            if self.covers_suspected(message):
                raise Rejected("PeerFault")
            return
        if not self.speaks_for_the_term(message) or not self.third_round(message.from_, *conflict):
            raise Rejected("PeerFault")
        index, term = conflict
        own = self.log.term(index)
        assert own is not None
        self.become_quarantined(Conflict(index, own, message.from_, term, self.term))

    def first_conflict(self, known: list[tuple[int, int]]) -> tuple[int, int] | None:
        """``known``: (index, term) of entries in the leader's log, ascending. The first that rules out a committed
        entry of ours: (our entry's index, the leader's term that does). Terms never decrease along a log, so that what
        lies before ours bounds the leader's term from below, and what lies behind it from above."""
        first, committed = self.log.snapshot_index, self.log.committed
        below = [(first, term) for index, term in known if index < first]
        inside = [(index, term) for index, term in known if first <= index <= committed]
        for index, term in inside:
            if not self.log.matches(index, term):
                return index, term
        if below and not inside and below[-1][1] > (self.log.term(first) or 0):
            return below[-1]
        index, term = known[0]
        if index > committed and term < (self.log.term(committed) or 0):
            return committed, term
        return None

    def first_other_contents(self, entries: tuple[Placed, ...]) -> tuple[int, int] | None:
        """Terms agree as far as is committed: so do the contents (Figure 3, log matching), unless a term had two
        leaders."""
        for entry in entries:
            committed = self.log.snapshot_index < entry.index <= self.log.committed
            if committed and self.log.at(entry.index, entry.index + 1)[0].differs(entry.item):
                return entry.index, entry.term
        return None

    def covers_suspected(self, message: Message) -> bool:
        """A snapshot that stands for an entry which the leader of this term has told otherwise."""
        if self.suspicion is None or message.snapshot is None or message.term != self.term:
            return False
        return message.snapshot.index >= self.suspicion.index

    def speaks_for_the_term(self, message: Message) -> bool:
        return message.term == self.term and 0 < self.leader == message.from_ and message.from_ in self.voters

    def third_round(self, leader: int, index: int, term: int) -> bool:
        """The conflict has been told. Rounds are apart by a heartbeat of the leader and a heartbeat's time."""
        s = self.suspicion
        if s is None or (s.leader, s.index, s.term) != (leader, index, term):
            self.suspicion = Suspicion(leader, index, term)
            return False
        if s.heartbeat and s.ticks >= self.config.heartbeat_tick:
            self.suspicion = Suspicion(leader, index, term, s.rounds + 1)
            return s.rounds + 1 == 3
        return False

    def leader_lives(self, commit: int) -> None:
        """A heartbeat was heard. One that commits the entry contradicts the contradiction."""
        if self.suspicion is not None:
            self.suspicion.heartbeat = True
            if commit >= self.suspicion.index:
                self.suspicion = None
