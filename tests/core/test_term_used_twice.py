"""A term that had two leaders, because a majority of disks forgot it: entries of one index and term, and two contents.

Raft tells entries apart by index and term alone (log matching, Figure 3). Where a leader repeats entries, this node
compares what they hold, as far as it has not committed them (for those see test_quarantine.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from raftcore import (
    Config,
    ConfState,
    Entries,
    Entry,
    EntryKind,
    InitialState,
    Message,
    MessageType,
    Outbox,
    RawNode,
    Snapshot,
)
from raftcore.base.errors import PeerFault
from raftcore.testing.memory_storage import MemoryStorage
from tests.core.server import Server, entries, of

LEADER = 2
OWN = [b"1/1", b"1/2", b"2/3", b"2/4", b"2/5"]


def told(first: int, terms: list[int], **changed: bytes | EntryKind) -> Entries:
    """As ``entries``, but for ``changed``: the payload, or the kind, by "at" and index."""
    made = []
    for entry in entries(first, terms):
        other = changed.get(f"at{entry.index}", entry.data)
        kind, data = (other, b"") if isinstance(other, EntryKind) else (EntryKind.EntryNormal, other)
        made.append(Entry(entry.term, entry.index, kind, data))
    return Entries.build(made)


def restarted() -> Server:
    """In term 2, of which it has 3 to 5 from somebody; committed up to 2. All of it has left the memory."""
    return Server([1, 1, 2, 2, 2], term=2, commit=2)


def in_later_term() -> Server:
    """The same in memory, and in term 3: what it has acknowledged of 3 to 5 it has not acknowledged to that leader."""
    server = Server()
    server.append(2, 0, 0, [1, 1, 2, 2, 2], commit=2, from_=3)
    server.step(MessageType.MsgHeartbeat, 3, LEADER)
    return server


MAKES = pytest.mark.parametrize("make", [restarted, in_later_term])


def appended(server: Server, index: int, given: Entries, **fields: Any) -> list[Message]:
    log_term = server.raw.term_at(index) or 0
    said = {"index": index, "log_term": log_term, "entries": given, **fields}
    return of(MessageType.MsgAppResp, server.step(MessageType.MsgApp, server.raw.term, LEADER, **said))


def stored(server: Server) -> list[bytes]:
    storage = server.member.storage
    return storage.entries(1, storage.last_index + 1, 1 << 20).commands()


@MAKES
@pytest.mark.parametrize("index", [2, 3])
@pytest.mark.parametrize("other", [b"other", b"2/4+", EntryKind.EntryNoop])
def test_the_first_other_contents_are_a_conflict(
    make: Callable[[], Server], index: int, other: bytes | EntryKind
) -> None:
    """Deleted with all that follow, and the leader's taken (Figure 2, AppendEntries 3 and 4)."""
    server = make()
    (answer,) = appended(server, index, told(index + 1, [2] * (4 - index), at4=other))
    assert (answer.index, answer.reject) == (4, False)
    assert server.terms == [1, 1, 2, 2]
    assert stored(server) == [*OWN[:3], other if isinstance(other, bytes) else b""]


@MAKES
@pytest.mark.parametrize("same", [told(3, [2, 2]), told(3, [2, 2], at3=b"", at4=b""), told(3, [2, 2, 2, 2], at4=b"")])
def test_the_same_contents_and_none_replace_nothing(make: Callable[[], Server], same: Entries) -> None:
    """An empty command says nothing: witnesses are sent them in place of all."""
    server = make()
    (answer,) = appended(server, 2, same)
    assert (answer.index, answer.reject) == (2 + len(same), False)
    assert stored(server)[:5] == OWN
    assert server.terms == [1, 1, 2, 2, 2, 2][: max(5, answer.index)]


def test_what_was_acknowledged_in_this_term_is_neither_replaced_nor_acknowledged_otherwise() -> None:
    """By that it may be committed. 6 and 7 come first, their predecessor agrees; then the entries before them."""
    server = restarted()
    appended(server, 5, told(6, [2, 2]))
    before = server.raw.fingerprint()
    with pytest.raises(PeerFault, match="append from 2 gives index 4 other contents in the same term than those ack"):
        appended(server, 3, told(4, [2, 2], at4=b"other"))
    assert server.raw.fingerprint() == before
    (answer,) = appended(server, 3, told(4, [2, 2, 2, 2, 2]))
    assert (answer.index, len(stored(server))) == (8, 8)
    with pytest.raises(PeerFault, match="gives index 8 other"):
        appended(server, 7, told(8, [2], at8=b"other"))


def test_nor_is_it_replaced_by_entries_of_another_term() -> None:
    """The other leader's log may have any former term there; a later leader's is taken, as ever (paper 5.3)."""
    server = Server([1], term=1, commit=1)
    (answer,) = server.append(3, 1, 1, [3, 3], from_=LEADER)
    before = server.raw.fingerprint()
    for index, given in ((1, told(2, [2, 3])), (1, told(2, [2])), (2, told(3, [3, 3], at3=b"other"))):
        with pytest.raises(
            PeerFault, match=r"append from 2 (replaces index 2, which was acknowledged to it|gives index 3)"
        ):
            appended(server, index, given)
    assert (answer.index, server.raw.fingerprint()) == (3, before)
    server.step(MessageType.MsgHeartbeat, 4, LEADER)
    (answer,) = appended(server, 1, told(2, [2, 3]))
    assert (answer.index, server.terms) == (3, [1, 2, 3])


def covered(server: Server, term: int, index: int, snapshot_term: int) -> list[Message]:
    snapshot = Snapshot(index, snapshot_term, ConfState(voters=(1, 2, 3)))
    return of(MessageType.MsgAppResp, server.step(MessageType.MsgSnap, term, LEADER, snapshot=snapshot))


def acknowledged_in_term_4() -> Server:
    server = Server([1, 1, 2, 2], term=4, commit=2)
    server.append(4, 4, 2, [4, 4], from_=LEADER)
    return server


@pytest.mark.parametrize(("index", "term", "at"), [(3, 1, 3), (4, 3, 4), (5, 3, 5), (6, 2, 6), (7, 3, 6), (9, 2, 6)])
def test_nor_by_a_snapshot_of_another_log(index: int, term: int, at: int) -> None:
    """One with another term there, or that ends behind it with an earlier one: terms never decrease along a log."""
    server = acknowledged_in_term_4()
    before = server.raw.fingerprint()
    with pytest.raises(PeerFault, match=f"has term {term}, but index {at} was acknowledged to it with term"):
        covered(server, 4, index, term)
    assert server.raw.fingerprint() == before
    server.step(MessageType.MsgHeartbeat, 5, LEADER)
    (answer,) = covered(server, 5, index, term)
    assert (answer.index, server.raw.last_index) == (index, index), "a later leader's is taken, as ever (paper 7)"


@pytest.mark.parametrize(("index", "term", "last"), [(3, 2, 6), (4, 2, 6), (5, 4, 6), (6, 4, 6), (7, 4, 7)])
def test_a_snapshot_of_what_was_acknowledged_is_taken(index: int, term: int, last: int) -> None:
    """The two logs agree as far as both are known (Figure 3, log matching)."""
    server = acknowledged_in_term_4()
    (answer,) = covered(server, 4, index, term)
    assert (answer.index, server.raw.commit_index, server.raw.last_index) == (index, index, last)


def test_what_was_acknowledged_to_a_leader_before_is_replaced() -> None:
    """As an entry of another term is: this leader does not count on it (paper 5.4.2)."""
    server = restarted()
    appended(server, 5, told(6, [2, 2]))
    server.step(MessageType.MsgHeartbeat, 3, LEADER)
    (answer,) = appended(server, 3, told(4, [2, 2], at4=b"other"))
    assert (answer.index, answer.reject, stored(server)) == (5, False, [*OWN[:3], b"other", b"2/5"])


def test_what_a_node_has_sent_as_the_leader_of_a_term_it_stands_by_in_that_term() -> None:
    server = Server([1, 1], term=1, commit=2)
    server.campaign()
    server.step(MessageType.MsgVoteResp, 2, 3)
    server.raw.propose([b"own"])
    server.raw.step_down()
    with pytest.raises(PeerFault, match="gives index 4 other contents in the same term"):
        appended(server, 3, told(4, [2]))
    server.step(MessageType.MsgHeartbeat, 3, LEADER)
    appended(server, 3, told(4, [2]))
    assert stored(server)[3:] == [b"2/4"]


def replaced_while_written() -> Server:
    """3 to 5 of term 2 are being written, then term 3, then others take their place; the disk has done nothing yet."""
    server = Server([1, 1], term=1, commit=2)
    server.net.writes_held.add(1)
    server.append(2, 2, 1, [2, 2, 2], from_=3)
    server.step(MessageType.MsgHeartbeat, 3, LEADER)
    assert [(r.term, r.index, r.log_term) for r in confirmations(server)] == [(2, 5, 2), (3, 5, 2)]
    return server


def confirmations(server: Server) -> list[Message]:
    responses = [response for write in server.member.appends for response in write.responses or []]
    return of(MessageType.MsgStorageAppendResp, responses)


OTHERS = told(3, [2, 2, 2], at3=b"x", at4=b"y", at5=b"z")


def test_the_write_of_what_was_replaced_does_not_make_the_others_durable() -> None:
    """Its confirmation is of this term (each write confirms all of the log), and names their index and term."""
    server = replaced_while_written()
    assert appended(server, 2, OTHERS, commit=5) == []
    server.net.write(server.member, 2)
    server.net.collect(server.member)
    assert stored(server) == OWN
    assert server.member.applied_index == 2, "what is committed is applied once it is durable here"
    assert [m.to for m in of(MessageType.MsgAppResp, server.net.sent)] == [3], "of term 2, for what was written then"
    (answer,) = of(MessageType.MsgAppResp, server.does(lambda: server.net.write(server.member)))
    assert (answer.index, stored(server)) == (5, [*OWN[:2], b"x", b"y", b"z"])
    assert [command for _, _, command in server.member.applied][-3:] == [b"x", b"y", b"z"]


def test_nor_does_it_keep_them_from_being_written() -> None:
    server = replaced_while_written()
    server.raw.step(Message(MessageType.MsgApp, to=1, from_=LEADER, term=3, index=2, log_term=1, entries=OTHERS))
    server.net.write(server.member)
    server.net.collect(server.member)
    (write,) = server.member.appends
    assert write.entries is not None
    assert (write.entries.first, write.entries.commands()) == (3, [b"x", b"y", b"z"])


def core(**options: Any) -> RawNode:
    return RawNode(Config(id=1, **options), InitialState(conf_state=ConfState(voters=(1, 2, 3))), MemoryStorage())


def hear(raw: RawNode, term: int, given: Entries | None = None, from_: int = LEADER) -> None:
    kind = MessageType.MsgHeartbeat if given is None else MessageType.MsgApp
    raw.step(Message(kind, to=1, from_=from_, term=term, entries=given))


def test_the_same_in_the_plain_form() -> None:
    raw = core()
    hear(raw, 2, told(1, [2, 2]), 3)
    hear(raw, 3)
    assert raw.ready().entries is not None
    hear(raw, 3, told(1, [2, 2], at2=b"other"))
    raw.advance()
    again = raw.ready().entries
    assert again is not None
    assert (again.first, again.commands()) == (2, [b"other"])


def test_the_same_with_an_outbox() -> None:
    raw, out = core(async_storage_writes=True), Outbox()
    hear(raw, 2, told(1, [2, 2]), 3)
    raw.collect(out)
    hear(raw, 3)
    raw.collect(out)
    hear(raw, 3, told(1, [2, 2], at2=b"other"))
    first, second = out.appends
    out.appends.clear()
    raw.written([first, second], out)
    raw.collect(out)
    (third,) = out.appends
    assert third.entries is not None
    assert (third.entries.first, third.entries.commands()) == (2, [b"other"])


def test_a_clone_knows_of_both() -> None:
    server = replaced_while_written()
    appended(server, 2, OTHERS)
    copy = server.raw.clone(server.member.storage)
    with pytest.raises(PeerFault, match="gives index 3 other contents"):
        copy.step(Message(MessageType.MsgApp, to=1, from_=LEADER, term=3, index=2, log_term=1, entries=told(3, [2])))
    for response in confirmations(server)[:2]:
        copy.step(response)
    assert copy.fingerprint() == server.raw.fingerprint()
