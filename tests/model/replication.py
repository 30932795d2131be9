"""Replication (paper 5.3): the follower's side of appends and snapshots, the leader's of the answers; handing over."""

from __future__ import annotations

from raftcore import MessageType, Snapshot
from tests.model.elections import Elections
from tests.model.progress import PROBE, REPLICATE, SNAPSHOT, Progress
from tests.model.state import FOLLOWER
from tests.model.values import Message


class Replication(Elections):
    # Follower

    def append_received(self, message: Message) -> None:
        answer = Message(MessageType.MsgAppResp, message.from_, conf_index=message.conf_index)
        log = self.log
        if self.rests_on_suspected(message):
            assert self.suspicion is not None
            hint = self.suspicion.index - 1
            answer.index, answer.reject = message.index, True
            answer.reject_hint, answer.log_term = hint, log.term(hint) or 0
        elif message.index < log.committed:
            answer.index = min(log.committed, message.index + len(message.entries))  # compared so far (faults)
        else:
            items = [entry.item for entry in message.entries]
            last = log.maybe_append(message.index, message.log_term, message.commit, items, self.acknowledged)
            if last is not None:
                answer.index = last
                self.acknowledged = max(self.acknowledged, last)
            else:
                answer.index, answer.reject = message.index, True
                # The newest place where an entry of ours can be the leader's: its term is not above the leader's there.
                hint, term = log.find_conflict_by_term(min(message.index, log.last), message.log_term)
                answer.reject_hint, answer.log_term = hint, term
                if self.config.max_reject_runs:
                    answer.context = self.runs_below(hint)
        self.send(answer)

    def rests_on_suspected(self, message: Message) -> bool:
        """The leader has told a committed entry otherwise: what follows it is not acknowledged."""
        s = self.suspicion
        if s is None:
            return False
        if message.index < s.index <= message.index + len(message.entries):
            self.suspicion = None  # now it has told the entry as it is here
        return message.index >= s.index

    def runs_below(self, hint: int) -> bytes:
        """(last index, term) of each run of terms from the hint down to what is committed, then the index below."""
        numbers: list[int] = []
        index = hint
        for _ in range(self.config.max_reject_runs):
            term = self.log.term(index)
            if index <= self.log.committed or term is None:
                break
            numbers += [index, term]
            while index and self.log.term(index) == term:
                index -= 1
        return b"".join(number.to_bytes(8, "little") for number in [*numbers, index])

    def heartbeat_received(self, message: Message) -> None:
        self.log.committed = max(self.log.committed, message.commit)
        self.leader_lives(message.commit)
        self.send(
            Message(MessageType.MsgHeartbeatResp, message.from_, context=message.context,
                    conf_index=message.conf_index)
        )  # fmt: skip

    def snapshot_received(self, message: Message) -> None:
        assert message.snapshot is not None
        restored = self.restore(message.snapshot)
        # Not compared: what follows in the leader's log.
        index = self.log.last if restored else min(self.log.committed, message.snapshot.index)
        self.send(Message(MessageType.MsgAppResp, message.from_, index=index, conf_index=message.conf_index))

    def restore(self, snapshot: Snapshot) -> bool:
        """Its configuration need not name this node: who has just been added learns that from the entries behind it."""
        if snapshot.index <= self.log.committed or self.role != FOLLOWER:
            return False
        if self.log.matches(snapshot.index, snapshot.term):
            self.log.committed = snapshot.index  # the log has all of it, and may have more (Figure 13)
            return False
        self.log.restore(snapshot)
        self.restore_configuration(snapshot.conf_state, snapshot.conf_index)
        return True

    # Leader

    def append_answered(self, member: Progress, message: Message) -> None:
        member.active, member.heard_ms = True, self.now
        if message.reject:
            self.append_refused(member, message)
            return
        if not member.accepted(message.index) and not (member.match == message.index and member.state == PROBE):
            return  # old news
        if member.state == PROBE:
            member.replicate()
        elif member.state == SNAPSHOT:
            # The log reaches it again, whatever became of the snapshot.
            if member.match >= self.log.snapshot_index:
                member.replicate()
            elif member.match >= member.snapshot:
                member.probe()  # it has more than the snapshot gives it
        else:
            member.free(message.index)
        own = member.id == self.id
        if self.advance_commit():
            self.broadcast_append()
        elif not own and member.wants_commit(self.log.committed):
            self.send_append(member, even_if_empty=True)
        while not own and self.send_append(member, even_if_empty=False):
            pass
        if member.id == self.transferee and member.match == self.log.last:
            self.tell_to_stand(member.id)

    def append_refused(self, member: Progress, message: Message) -> None:
        hint = message.reject_hint
        if self.config.max_reject_runs and message.context is not None:
            hint = self.last_agreement(message.context, hint)
        elif message.log_term:
            hint, _ = self.log.find_conflict_by_term(hint, message.log_term)
        if not member.rejected(message.index, hint):
            return
        if member.state == REPLICATE:
            member.probe()
        member.bare = self.config.max_reject_runs > 0 and member.next > member.match + 1
        self.send_append(member, even_if_empty=True)

    def last_agreement(self, runs: bytes, hint: int) -> int:
        """The newest index at which this log has the term that the listed runs have there."""
        numbers = [int.from_bytes(runs[at : at + 8], "little") for at in range(0, len(runs), 8)]
        if len(runs) % 16 != 8:
            return hint
        for last, term, below in zip(numbers[0:-1:2], numbers[1::2], numbers[2::2], strict=True):
            if below >= last or last > hint or term == 0:
                return hint
            for index in range(min(last, self.log.last), below, -1):
                if self.log.term(index) == term:
                    return index
        return min(hint, numbers[-1])

    def heartbeat_answered(self, member: Progress, message: Message) -> None:
        member.active, member.heard_ms, member.waiting = True, self.now, False
        # It lives, but lacks something: an append was lost, or it is still being probed.
        if member.match < self.log.last or member.state == PROBE:
            self.send_append(member, even_if_empty=True)
        self.round_answered(message)

    def snapshot_reported(self, member: Progress, failed: bool) -> None:
        if member.state == SNAPSHOT:
            if failed:
                member.snapshot = 0
            member.probe()
            member.waiting = True  # for its own word, or for the next heartbeat's answer

    def unreachable_reported(self, member: Progress) -> None:
        if member.state == REPLICATE and member.id != self.id:  # itself it always reaches
            member.probe()

    # Handing over (thesis 3.10)

    def transfer_asked(self, target: int) -> None:
        member = self.progress.get(target)
        if member is None or member.is_learner or self.is_witness(target) or target == self.transferee:
            return
        self.transferee = 0
        if target == self.id:
            return
        self.elapsed, self.transferee = 0, target
        if member.match == self.log.last:
            self.tell_to_stand(target)
        else:
            self.send_append(member, even_if_empty=True)

    def tell_to_stand(self, target: int) -> None:
        self.lease_given_up = True  # the target is voted for in spite of the lease
        self.send(Message(MessageType.MsgTimeoutNow, target))
