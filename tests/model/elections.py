"""Elections (paper 5.2, 5.4.1), pre-vote (thesis 9.6), check-quorum (thesis 6.2), priorities."""

from __future__ import annotations

from raftcore import MessageType
from tests.model import quorum
from tests.model.membership import Membership
from tests.model.progress import REPLICATE
from tests.model.state import CANDIDATE, LEADER, PRE_CANDIDATE
from tests.model.values import Message

TRANSFER = b"CampaignTransfer"
TAKEOVER_PAUSE = 10  # free choice: election timeouts between two attempts to hand over
LONGEST_PAUSE = 640  # free choice: between two with the same member, each in vain


class Elections(Membership):
    def is_leader(self) -> bool:
        return self.role == LEADER

    def may_stand(self) -> bool:
        """A full voter by its own configuration, with no snapshot half in place."""
        own = self.progress.get(self.id)
        if self.conflict is not None:
            return False
        return own is not None and not own.is_learner and not self.is_witness(self.id) and self.log.pending is None

    def stand(self, ordered: bool) -> None:
        """ordered: by the leader, which hands over (thesis 3.10): no pre-vote, and no lease is in the way."""
        if self.role == LEADER or not self.may_stand() or (self.promised() and not ordered):
            return
        # A committed change that is not applied yet may have taken its vote away.
        if self.log.has_conf_change(self.log.applied + 1, self.log.committed + 1):
            return
        if self.config.pre_vote and not ordered:
            self.become_pre_candidate()
            self.ask_for_votes(MessageType.MsgPreVote, MessageType.MsgPreVoteResp, self.term + 1, None)
        else:
            self.become_candidate_and_ask(TRANSFER if ordered else None)

    def become_candidate_and_ask(self, context: bytes | None) -> None:
        self.become_candidate()
        self.ask_for_votes(MessageType.MsgVote, MessageType.MsgVoteResp, self.term, context)

    def ask_for_votes(self, request: MessageType, answer: MessageType, term: int, context: bytes | None) -> None:
        for voter in self.voters:
            if voter == self.id:
                self.send(Message(answer, voter, term=term))  # its own vote counts once it is durable
            else:
                self.send(
                    Message(request, voter, term=term, index=self.log.last, log_term=self.log.last_term(),
                            context=context)
                )  # fmt: skip

    def hears_a_leader(self, request: Message) -> bool:
        """Then the request is ignored (thesis 4.2.3), unless that leader ordered it."""
        if not self.config.check_quorum or request.context == TRANSFER:
            return False
        return (self.leader != 0 and self.elapsed < self.config.election_tick) or self.promised()

    def promised(self) -> bool:
        """With leases: whoever heard a leader, or has just started, stays true to it for an election timeout."""
        return self.config.lease_ms > 0 and self.contact < self.config.election_tick

    def vote_requested(self, request: Message) -> None:
        if self.config.lease_ms and self.promised() and self.hears_a_leader(request):
            return
        pre = request.type == MessageType.MsgPreVote
        free = self.vote == request.from_ or (self.vote == 0 and self.leader == 0) or (pre and request.term > self.term)
        grant = free and self.log.is_up_to_date(request.index, request.log_term)
        answer = Message(MessageType.MsgPreVoteResp if pre else MessageType.MsgVoteResp, request.from_)
        answer.term, answer.reject = (request.term, False) if grant else (self.term, True)
        self.send(answer)
        if grant and not pre:
            self.elapsed, self.vote = 0, request.from_
            self.wait_for_writes()

    def vote_answered(self, answer: Message) -> None:
        expected = MessageType.MsgPreVoteResp if self.role == PRE_CANDIDATE else MessageType.MsgVoteResp
        if answer.type != expected:
            if answer.type == MessageType.MsgVoteResp:
                self.vote_came_late(answer)
            return
        self.votes.setdefault(answer.from_, not answer.reject)
        c = self.configuration
        result = quorum.joint_vote([self.votes.get(id) for id in c.voters], [self.votes.get(id) for id in c.outgoing])
        if result == "VoteLost":
            self.become_follower(self.term, 0)
        elif result == "VoteWon" and self.role == CANDIDATE:
            self.become_leader()
            self.broadcast_append()
        elif result == "VoteWon":
            self.become_candidate_and_ask(None)

    def vote_came_late(self, vote: Message) -> None:
        """The voter's write took longer than this node has waited. Free choice: four election timeouts are believed."""
        if not vote.reject and not self.leader:
            self.vote_ticks = max(
                self.vote_ticks, min(self.timeout + self.writes_wait, 4 * self.config.election_tick)
            )  # fmt: skip

    def check_quorum(self) -> None:
        if not self.quorum_active():
            self.become_follower(self.term, 0)
        far = {member.id for member in self.members() if member.match < min(self.log.last, self.log.memory_from - 1)}
        heard = {member.id for member in self.members() if member.active}
        enough = self.quorum_of(heard - far)  # who is far behind acknowledges nothing that is appended now
        for member in self.others():
            member.spare = enough and member.id in far
            member.active = False

    # Priorities: who is not the most preferred waits longer, and hands over when the preferred one is ready

    def priority(self, id: int) -> int:
        return self.priorities.get(id, 0)

    def patience(self) -> int:
        preferred = any(self.priority(id) > self.priority(self.id) for id in self.voters)
        return self.config.election_tick if preferred else 0

    def prefer(self) -> None:
        if not self.priorities or self.transferee:
            return
        rested = [member for member in self.progress.values() if not member.takeover_pause]
        for member in self.progress.values():
            member.takeover_pause = max(0, member.takeover_pause - 1)
        ready = [
            member
            for member in self.others()
            if member in rested
            and not member.is_learner
            and not self.is_witness(member.id)
            and member.state == REPLICATE
            and member.active
            and member.match >= self.log.committed
            and self.priority(member.id) > self.priority(self.id)
        ]
        best = max(ready, key=lambda member: (self.priority(member.id), -member.id)).id if ready else 0
        if self.takeover_pause:
            self.takeover_pause -= 1
        elif best and best == self.preferred:
            self.transfer_asked(best)
            self.preferred, self.takeover_pause = 0, TAKEOVER_PAUSE
            member = self.progress[best]
            member.takeover_pause = min(TAKEOVER_PAUSE * 2**member.takeover_tries, LONGEST_PAUSE)
            member.takeover_tries += 1
        else:
            self.preferred = best

    def transfer_asked(self, target: int) -> None:
        raise NotImplementedError
