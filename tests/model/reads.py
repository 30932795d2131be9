"""Read index (thesis 6.4), and the lease, which answers without a round trip (thesis 6.4.1).

Reads wait in rounds. A round is the number in the context of a heartbeat; whoever answers it confirms this leadership
for every read that was asked before those heartbeats left, so a quorum's answers confirm a round and all before it. All
reads between two Readys share one round: its heartbeats have not left yet.
"""

from __future__ import annotations

from raftcore import MessageType
from tests.model import quorum
from tests.model.sending import Sending
from tests.model.values import Message

ROUNDS_KEPT = 256  # free choice: for so many unanswered rounds the time of sending is remembered


class Reads(Sending):
    def forget_reads(self) -> None:
        self.round = 0
        self.round_open = False
        self.waiting_reads: list[tuple[int, int, Message]] = []
        self.answered_round: dict[int, int] = {}
        self.postponed: list[Message] = []

    # Leader

    def leader_read(self, request: Message) -> None:
        # Until it has committed in its own term its commit index may be behind the cluster's (paper 8).
        if not self.committed_in_term():
            self.postponed.append(request)
        else:
            self.begin_read(request)

    def begin_read(self, request: Message) -> None:
        c = self.configuration
        own_quorum = c.voters == {self.id} and not self.joint
        # A forwarded read may come in before this leader has heard of the time.
        leased = request.from_ == self.id and self.lease_holds()
        if own_quorum or leased:
            self.answer_read(request, self.log.committed)
            return
        opened = self.open_round()
        self.waiting_reads.append((self.round, self.log.committed, request))
        if opened:
            self.note_round()
            self.broadcast_heartbeat(as_context(self.round))

    def open_round(self) -> bool:
        if self.round_open:
            return False
        self.round += 1
        self.round_open = True
        return True

    def beat(self) -> None:
        """The periodic heartbeat carries the newest round that somebody waits for; with a lease each is a round."""
        context = None
        if self.config.lease_ms:
            self.open_round()
            self.note_round()
            context = as_context(self.round)
        elif self.waiting_reads:
            context = as_context(self.round)
        self.broadcast_heartbeat(context)

    def release_postponed(self) -> None:
        if not self.committed_in_term():
            return
        requests, self.postponed = self.postponed, []
        for request in requests:
            self.begin_read(request)

    def round_answered(self, message: Message) -> None:
        context = message.context or b""
        answered = int.from_bytes(context, "little") if len(context) == 8 else 0
        if answered == 0:
            return
        if not self.config.lease_ms and not self.waiting_reads:
            return
        if answered <= self.round:  # another one is not of this leadership
            self.answered_round[message.from_] = max(answered, self.answered_round.get(message.from_, 0))
        c = self.configuration
        confirmed = min(self._half_answered(c.voters), self._half_answered(c.outgoing))
        self.prolong_lease(confirmed)
        while self.waiting_reads and self.waiting_reads[0][0] <= confirmed:
            _, index, request = self.waiting_reads.pop(0)
            self.answer_read(request, index)

    def _half_answered(self, half: frozenset[int]) -> int:
        return quorum.committed([self.round if id == self.id else self.answered_round.get(id, 0) for id in half])

    def answer_read(self, request: Message, index: int) -> None:
        if request.from_ in (0, self.id):
            self.read_states.append((index, request.context))
        else:
            self.send(
                Message(MessageType.MsgReadIndexResp, request.from_, index=index, context=request.context)
            )  # fmt: skip

    # Follower

    def forward_read(self, request: Message) -> None:
        if self.leader:
            self.send(Message(MessageType.MsgReadIndex, self.leader, request.from_, context=request.context))

    def read_answered(self, message: Message) -> None:
        if message.context is not None:
            self.read_states.append((message.index, message.context))

    # Lease: dated from when the confirmed round was sent

    def note_round(self) -> None:
        if self.config.lease_ms:
            self.round_sent_at[self.round] = self.now
            if len(self.round_sent_at) > ROUNDS_KEPT:
                del self.round_sent_at[min(self.round_sent_at)]

    def prolong_lease(self, confirmed: int) -> None:
        if confirmed in self.round_sent_at:
            self.lease_until = max(self.lease_until, self.round_sent_at[confirmed] + self.config.lease_ms)
            self.round_sent_at = {round: at for round, at in self.round_sent_at.items() if round > confirmed}

    def lease_holds(self) -> bool:
        return bool(self.config.lease_ms) and not self.lease_given_up and self.now < self.lease_until

    def end_lease(self) -> None:
        """Another role, another configuration: what was confirmed no longer counts."""
        self.lease_until, self.round_sent_at = 0, {}


def as_context(round: int) -> bytes:
    return round.to_bytes(8, "little")
