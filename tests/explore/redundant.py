"""Requests that can do nothing any more, or nothing that another request in the network cannot do as well.

A request (an append, a heartbeat, a vote request) is never outgrown by its receiver in its own term: it is answered
each time. But when it changes nothing at the receiver, and never will again in this term, its answer is all it has, and
that may be on its way already, or be ignored by whoever asked. Then the state is the same without the request.

    vote request   The receiver has voted in this term, and the candidate counts no answer of it any more.
    heartbeat      The receiver knows the leader and the commit index, and its answer is on its way or ignored.
    pre-vote       The candidate can stand in no later term within the scope, nor can anybody tell it of one.
    append         The receiver holds the entries and the commit index, and the acknowledgement is on its way or
                   ignored. One thing may come: once more is committed here, the answer is the commit index. So of all
                   such appends the one that begins first stays, because it gives every answer the others can give.

With pre-vote or check-quorum a node may forget or doubt its leader within a term; then one heartbeat stays as well. And
then appends and heartbeats of former terms are answered, all in the same way, so that one of them stays.
None of this holds across a crash that forgets a commit index, so it waits until the scope has no crash left.
tests/explore/test_search.py compares all of it with searches that leave nothing out.
"""

from __future__ import annotations

from raftcore import Message, MessageType, StateType
from tests.explore.network import Network, Standing, each
from tests.explore.table import Local, Step, Table

DONE = object()


def order(message: Message) -> tuple[int, int, int, int, int]:
    """Of requests that can do the same, the first in this order stays. No node is named in it: renamed states agree."""
    size = 0 if message.entries is None else message.entries.count
    return message.term, message.type, message.index, size, message.commit


class Redundant:
    """Says which requests to leave out."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.network: Network = table.network
        self.scope = table.scope
        self.leaders_stay = not (self.scope.pre_vote or self.scope.check_quorum)
        self.known: dict[tuple[object, ...], int] = {}

    def by(self, local: Local, around: tuple[Local, ...], messages: int) -> int:
        """The set of messages to this node that may be left out, in this company."""
        at = local.state.id
        near = messages & (self.network.to[at] | self.network.of[at])
        key = (local.index, near, *[other.standing.index for other in around])
        found = self.known.get(key)
        if found is None:
            found = self.known[key] = self._by(local, {other.state.id: other.standing for other in around}, near)
        return found

    def _by(self, local: Local, standings: dict[int, Standing], near: int) -> int:
        groups: dict[object, list[tuple[object, int]]] = {}
        redundant = 0
        for index in each(near & self.network.to[local.state.id]):
            message = self.network.messages[index]
            assert message is not None
            asker = standings.get(message.from_)
            if message.type == MessageType.MsgPreVote:
                assert asker is not None
                redundant |= (asker.term >= max(message.term, self.scope.terms)) << index
            elif message.type == MessageType.MsgVote and message.term == local.state.term:
                assert asker is not None
                redundant |= self.vote_is_given(local, message, asker) << index
            elif message.type in (MessageType.MsgHeartbeat, MessageType.MsgApp) and message.term <= local.state.term:
                assert asker is not None
                group = self.group(local, index, message, asker, near)
                if group is DONE:
                    redundant |= 1 << index
                elif group is not None:
                    groups.setdefault(group, []).append((order(message), index))
        for members in groups.values():
            for _, index in sorted(members)[1:]:
                redundant |= 1 << index
        return redundant

    def group(self, local: Local, index: int, message: Message, leader: Standing, near: int) -> object:
        """DONE for what can do nothing any more; None for what can; else what all that can do the same share."""
        if message.term < local.state.term:
            # Answered with this node's term; a follower of the last term there is needs no telling.
            last = leader.term >= self.scope.terms and leader.role == StateType.StateFollower
            return DONE if last else ("former", message.from_, message.conf_index)
        step = self.step(local, index)
        if step is None or step.target is not local or not self.is_answered(local, message, step, leader, near):
            return None
        if message.type == MessageType.MsgHeartbeat:
            return DONE if self.leaders_stay else ("heartbeat", message.context)
        return DONE if self.leaders_stay and self.is_past(leader, message) else "append"

    def step(self, local: Local, index: int) -> Step | None:
        if local.inert >> index & 1:
            return None
        return local.deliveries[index] if index in local.deliveries else self.table.delivery(local, index)

    def vote_is_given(self, local: Local, message: Message, candidate: Standing) -> bool:
        answer = Message(MessageType.MsgVoteResp, to=message.from_, from_=local.state.id, term=message.term)
        return local.state.vote != 0 and candidate.ignores(answer, self.scope)

    def is_answered(self, local: Local, message: Message, step: Step, leader: Standing, near: int) -> bool:
        """Are the answers that this request can give without new commits on their way, or ignored?"""
        if step.sent & ~near & ~leader.outgrown:
            return False
        if message.type == MessageType.MsgHeartbeat or message.index < local.state.log.committed:
            return True
        last = message.index + (0 if message.entries is None else message.entries.count)
        entries = local.state.log.entries
        if last > len(entries):
            return False  # refused: it may fit one day
        terms = [message.log_term, *([] if message.entries is None else [entry.term for entry in message.entries])]
        held = [entries[index - 1][0] if index else 0 for index in range(message.index, last + 1)]
        return held == terms

    def is_past(self, leader: Standing, message: Message) -> bool:
        """Does the leader ignore every answer of this term?"""
        answer = Message(MessageType.MsgAppResp, to=message.from_, from_=message.to, term=message.term, index=1 << 62)
        return leader.ignores(answer, self.scope)
