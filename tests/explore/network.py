"""Every message that was ever sent, numbered: a set of messages is an integer with one bit for each.

The network keeps everything: a delivery takes nothing away, so that a message may come again, late, or never. Only what
its receiver will ignore for ever is left out of a state (``outgrown``), which joins states that differ by it alone.
Beside the messages stand claims, "node 2 has led term 1": nobody receives them, and they are never forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from raftcore import Message, MessageType, StateType
from raftcore.check.protocol_state import ProtocolState
from tests.explore.naming import Numbers, Renaming, message_key
from tests.explore.scope import Scope

ANSWERS = {MessageType.MsgAppResp, MessageType.MsgHeartbeatResp}
LEADERS = {MessageType.MsgApp, MessageType.MsgHeartbeat}
VOTES = {MessageType.MsgVoteResp}
# Ignored by whoever is in a later term, whatever the options; the others may be answered, so that the sender learns.
QUIET = {
    *ANSWERS,
    *VOTES,
    MessageType.MsgPreVoteResp,
    MessageType.MsgVote,
    MessageType.MsgTimeoutNow,
    MessageType.MsgReadIndexResp,
}


PRE_VOTES = {MessageType.MsgPreVote, MessageType.MsgPreVoteResp}

Counted = tuple[tuple[int, int], ...]


class Standing:
    """What decides which messages a node has outgrown, and the set of those, among all that were ever sent."""

    __slots__ = ("counted", "index", "node", "outgrown", "role", "term")

    def __init__(self, index: int, node: int, term: int, role: int, counted: Counted) -> None:
        self.index = index
        self.node = node
        self.term = term
        self.role = role
        self.counted = dict(counted)
        """Candidate: whose votes it has counted. Leader: node -> how far that node is known to hold its log."""
        self.outgrown = 0

    def ignores(self, message: Message, scope: Scope) -> bool:
        """Will the node ignore this message from now on, whatever happens to it?

        Its term never falls. In one term nobody becomes candidate twice, so who is not candidate counts no more votes
        of it, and who is counts one answer of each node. A follower does not become leader of its term any more. The
        search tries all of this on the core itself (Search.check_outgrown).
        """
        if message.to != self.node or message.term == 0 or message.term > self.term:
            return False
        if message.term < self.term:
            return message.type in QUIET or (message.type in LEADERS and not (scope.pre_vote or scope.check_quorum))
        if message.type == MessageType.MsgPreVoteResp:
            return self.term >= scope.terms  # it stands no more
        if message.type in VOTES:
            return self.role != StateType.StateCandidate or message.from_ in self.counted
        if self.role == StateType.StateLeader:
            known = self.counted.get(message.from_, 0)
            return message.type == MessageType.MsgAppResp and message.index < known and not scope.hearing_matters
        return message.type in ANSWERS and self.role == StateType.StateFollower


class Network:
    """Numbers messages and claims."""

    def __init__(self, scope: Scope, numbers: Numbers) -> None:
        self.scope = scope
        self.numbers = numbers
        self.messages: list[Message | None] = []
        """By number; None for a claim."""
        self.known: dict[tuple[Any, ...], int] = {}
        self.joined: list[int] = []
        """The number of each message for fingerprints."""
        self.sets: dict[int, int] = {0: 0}
        self.to = dict.fromkeys(scope.ids, 0)
        """Node -> set of all messages to it."""
        self.of = dict.fromkeys(scope.ids, 0)
        """Node -> set of all messages from it."""
        self.everywhere = 0
        """Set of messages that may arrive in every state (Scope.free_pre_votes); they are part of no state."""
        self.claims: dict[int, int] = {}
        """Term -> set of all claims to have led it."""
        self.standings: dict[tuple[int, int, int, Counted], Standing] = {}

    def bit(self, message: Message) -> int:
        """The message as a set of one."""
        key = message_key(message, self.numbers.same)
        index = self.known.get(key)
        if index is None:
            index = self._add(key, message, self.numbers.of(lambda renaming: message_key(message, renaming)))
            self.to[message.to] |= 1 << index
            self.of[message.from_] |= 1 << index
            for standing in self.standings.values():
                standing.outgrown |= standing.ignores(message, self.scope) << index
            if self.scope.free_pre_votes and message.type in PRE_VOTES:
                self.everywhere |= 1 << index
                for renaming in self.numbers.renamings:
                    self.bit(renamed_pre_vote(message, renaming))
        return 1 << index

    def claim(self, term: int, leader: int) -> int:
        """That ``leader`` has led ``term``, as a set of one."""
        key = ("leads", term, leader)
        index = self.known.get(key)
        if index is None:
            index = self._add(key, None, self.numbers.of(lambda renaming: ("leads", term, renaming[leader])))
            self.claims[term] = self.claims.get(term, 0) | 1 << index
        return 1 << index

    def _add(self, key: tuple[Any, ...], message: Message | None, joined: int) -> int:
        self.known[key] = len(self.messages)
        self.messages.append(message)
        self.joined.append(joined)
        return len(self.messages) - 1

    def number(self, messages: int) -> int:
        """The number of a set of messages, for fingerprints."""
        found = self.sets.get(messages)
        if found is None:
            found = 0
            for index in each(messages):
                found ^= self.joined[index]
            self.sets[messages] = found
        return found

    def of_set(self, messages: int) -> list[Message]:
        """The messages of a set; claims are left out."""
        return [message for index in each(messages) if (message := self.messages[index]) is not None]

    def standing(self, state: ProtocolState) -> Standing:
        """That of a node in this state."""
        counted: Counted = ()
        if state.role == StateType.StateCandidate:
            counted = tuple([(node, 1) for node, _ in state.votes])
        elif state.role == StateType.StateLeader:
            counted = tuple([(progress.id, progress.match) for progress in state.progress])
        key = state.id, state.term, state.role, counted
        if key not in self.standings:
            made = self.standings[key] = Standing(len(self.standings), *key)
            for index, message in enumerate(self.messages):
                made.outgrown |= (message is not None and made.ignores(message, self.scope)) << index
        return self.standings[key]


def renamed_pre_vote(message: Message, renaming: Renaming) -> Message:
    """The same between other nodes."""
    return Message(
        message.type,
        to=renaming[message.to],
        from_=renaming[message.from_],
        term=message.term,
        index=message.index,
        log_term=message.log_term,
        reject=message.reject,
    )


def each(messages: int) -> Iterator[int]:
    """The numbers of the messages in a set."""
    while messages:
        low = messages & -messages
        yield low.bit_length() - 1
        messages ^= low
