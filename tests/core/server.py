"""One server with a given log, term and vote; the other members exist only in what the test lets them say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from raftcore import Entries, Entry, EntryKind, HardState, Message, MessageType, RawNode
from tests.core.network import Member, Network


def give_log(member: Member, terms: Sequence[int], *, term: int = 0, vote: int = 0, commit: int = 0) -> None:
    """Lets a member start from this log (its entries' terms by index, from 1) and hard state."""
    if terms:
        member.storage.append(entries(1, terms))
    member.storage.set_hard_state(HardState(max([term, *terms]), vote, commit))
    member.start()


def entries(first: int, terms: Sequence[int]) -> Entries:
    """Entries from ``first`` on with these terms; each command tells its term and index."""
    return Entries.build([Entry(t, i, EntryKind.EntryNormal, b"%d/%d" % (t, i)) for i, t in enumerate(terms, first)])


def with_logs(logs: dict[int, Sequence[int]], *, term: int = 0, commit: int = 0, **options: Any) -> Network:
    """A cluster whose members start from these logs; all in the same term."""
    net = Network(sorted(logs), **options)
    top = max([term, *(t for terms in logs.values() for t in terms)])
    for node_id, terms in logs.items():
        give_log(net[node_id], terms, term=top, commit=commit)
    return net


class Server:
    """Member 1 of ``voters``."""

    def __init__(
        self,
        terms: Sequence[int] = (),
        *,
        term: int = 0,
        vote: int = 0,
        commit: int = 0,
        voters: Iterable[int] = (1, 2, 3),
        learners: Iterable[int] = (),
        **options: Any,
    ) -> None:
        self.net = Network(voters, learners=learners, **options)
        self.member = self.net[1]
        give_log(self.member, terms, term=term, vote=vote, commit=commit)
        self.net.collect(self.member)

    @property
    def raw(self) -> RawNode:
        return self.member.raw

    @property
    def terms(self) -> list[int]:
        """The terms of its log, from index 1."""
        return [term for _, term in self.member.log()]

    def step(self, kind: MessageType, term: int, from_: int = 2, **fields: Any) -> list[Message]:
        """Takes one message of another member; what this server then sends, once it is durable."""
        return self.does(lambda: self.raw.step(Message(kind, to=1, from_=from_, term=term, **fields)))

    def append(
        self, term: int, index: int, log_term: int, terms: Sequence[int] = (), commit: int = 0, from_: int = 2
    ) -> list[Message]:
        """An AppendEntries: ``terms`` are those of the entries behind (index, log_term)."""
        return self.step(
            MessageType.MsgApp,
            term,
            from_,
            index=index,
            log_term=log_term,
            commit=commit,
            entries=entries(index + 1, terms) if terms else None,
        )

    def vote(self, term: int, index: int, log_term: int, from_: int = 2, **fields: Any) -> list[Message]:
        """A RequestVote of a candidate whose last entry is (index, log_term)."""
        return self.step(MessageType.MsgVote, term, from_, index=index, log_term=log_term, **fields)

    def does(self, action: Any) -> list[Message]:
        """What this server sends because of ``action``."""
        before = len(self.net.sent)
        action()
        self.net.collect(self.member)
        return self.net.sent[before:]

    def tick(self, count: int = 1) -> list[Message]:
        return self.does(lambda: self.net.tick(1, count))

    def campaign(self) -> list[Message]:
        return self.does(self.raw.campaign)

    def lead(self) -> None:
        """Wins an election with everybody's vote, and hears that everybody holds its whole log."""
        self.campaign()
        for peer in self.peers:
            self.step(MessageType.MsgVoteResp, self.raw.term, peer)
        for peer in self.peers:
            self.acknowledge(peer)

    def acknowledge(self, peer: int, index: int | None = None) -> list[Message]:
        """A member says that it holds the log up to ``index``, by default all of it."""
        return self.step(MessageType.MsgAppResp, self.raw.term, peer, index=index or self.raw.last_index)

    @property
    def peers(self) -> list[int]:
        return [i for i in self.net.members if i != 1]


def of(kind: MessageType, messages: Iterable[Message]) -> list[Message]:
    """Those of one type."""
    return [message for message in messages if message.type == kind]
