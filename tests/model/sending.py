"""What a leader appends and sends: entries, heartbeats, snapshots (paper 5.3, 7)."""

from __future__ import annotations

from raftcore import UNLIMITED, EntryKind, MessageType, Snapshot
from tests.model.log import Item
from tests.model.progress import REPLICATE, SNAPSHOT, Progress
from tests.model.state import LEADER, State
from tests.model.values import Message, Rejected, payload_bytes, placed


class Sending(State):
    def append(self, entries: list[tuple[int, bytes]]) -> int:
        """(kind, payload) each; the index of the first, 0 when too much is uncommitted.

        One proposal is always taken, and one without payload, so that a leader's first entry and the leaving of a joint
        configuration are. The node acknowledges to itself, once the entries are durable.
        """
        size = sum(len(payload) for _, payload in entries)
        if self.uncommitted > 0 and size > 0 and self.uncommitted + size > self.config.max_uncommitted_size:
            return 0
        self.uncommitted += size
        first = self.log.last + 1
        self.log.put(first, [Item(self.term, int(kind), payload, self.now) for kind, payload in entries])
        self.send(Message(MessageType.MsgAppResp, self.id, index=self.log.last))
        return first

    def reduce_uncommitted(self, size: int) -> None:
        self.uncommitted = max(0, self.uncommitted - size)

    def send_append(self, to: Progress, even_if_empty: bool) -> bool:
        if to.paused:
            return False
        before = to.next - 1
        before_term = self.log.term(before)
        if before_term is None:
            return self.send_snapshot(to)
        items: list[Item] = []
        # A full window lets empty appends through: their answers are what empties it.
        if not to.bare and not (to.state == REPLICATE and to.full) and to.next <= self.log.last:
            if to.next < self.log.memory_from and not self.storage.at_hand(
                urgent=not to.spare or to.id == self.transferee
            ):
                to.awaits = True
                return False
            items = self.log.slice(to.next, self.config.max_size_per_msg)
        if not items and not even_if_empty:
            return False
        if self.is_witness(to.id):
            items = [item._replace(data=b"") if item.kind == EntryKind.EntryNormal else item for item in items]
        entries = placed(to.next, items)
        self.send(
            Message(
                MessageType.MsgApp, to.id, index=before, log_term=before_term, entries=entries,
                commit=self.log.committed, conf_index=to.conf_index,
            )
        )  # fmt: skip
        to.sent(len(entries), payload_bytes(entries))
        to.told_commit = self.log.committed
        return True

    def report_entries(self) -> None:
        self.log.awaits = False
        if self.role == LEADER:
            for member in self.members():
                if member.awaits:
                    member.awaits = False
                    while self.log.last >= member.next and self.send_append(member, even_if_empty=False):
                        pass

    def send_snapshot(self, to: Progress) -> bool:
        """For who needs what is compacted away; not while it is silent."""
        if not to.active:
            return False
        try:
            snapshot = self.newest_snapshot()
        except Rejected:
            return False
        to.send_snapshot(snapshot.index)
        self.send(Message(MessageType.MsgSnap, to.id, snapshot=snapshot, conf_index=to.conf_index))
        return True

    def offer_snapshot(self, id: int, snapshot: Snapshot) -> bool:
        """Another one than that which is on its way, if the log goes on behind it."""
        to = next((member for member in self.members() if member.id == id), None)
        if self.role != LEADER or to is None or to.state != SNAPSHOT:
            return False
        if not self.log.snapshot_index <= snapshot.index <= self.log.committed:
            return False
        if self.log.term(snapshot.index) != snapshot.term:
            return False
        to.send_snapshot(snapshot.index)
        self.send(Message(MessageType.MsgSnap, to.id, snapshot=snapshot, conf_index=to.conf_index))
        return True

    def newest_snapshot(self) -> Snapshot:
        return self.log.pending or self.storage.snapshot()

    def broadcast_append(self) -> None:
        for member in self.others():
            self.send_append(member, even_if_empty=True)

    def broadcast_heartbeat(self, context: bytes | None) -> None:
        for member in self.others():
            # Never more than what it is known to hold.
            commit = min(member.match, self.log.committed)
            self.send(
                Message(MessageType.MsgHeartbeat, member.id, commit=commit, context=context,
                        conf_index=member.conf_index)
            )  # fmt: skip
            member.told_commit = commit

    def advance_commit(self) -> bool:
        """What a quorum holds is committed, if it is of this term (paper 5.4.2, Figure 8)."""
        c = self.configuration
        index = min(self.half_committed(c.voters), self.half_committed(c.outgoing))
        if index <= self.log.committed or index == UNLIMITED or self.log.term(index) != self.term:
            return False
        self.log.committed = index
        self.release_postponed()
        return True

    def release_postponed(self) -> None:
        raise NotImplementedError
