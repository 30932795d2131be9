"""Core and model under a leader that contradicts what is committed: random words of it, compared after each."""

from __future__ import annotations

import random

import pytest

import raftcore
from raftcore import ConfState, Entries, Entry, EntryKind, MessageType, Snapshot, StateType
from tests.model.pair import Flight, Pair
from tests.model.state import QUARANTINED
from tests.model.values import Message, plain_entries

VOTERS = ConfState((1, 2, 3))
SETTINGS = {"election_tick": 1000, "heartbeat_tick": 2, "async_storage_writes": True, "seed": 0}


def flight(kind: MessageType, term: int, from_: int, **fields: object) -> Flight:
    """The same message for both sides."""
    core = raftcore.Message(kind, to=1, from_=from_, term=term, **fields)  # type: ignore[arg-type]
    return Flight(core, Message(kind, 1, from_, term, core.log_term, core.index, core.commit,
                                entries=plain_entries(core.entries), snapshot=core.snapshot))  # fmt: skip


def entries(first: int, terms: list[int], other: int = 0) -> Entries | None:
    """``other``: the index of the one with other contents."""
    built = [
        Entry(term, index, EntryKind.EntryNormal, b"other" if index == other else b"%d" % index)
        for index, term in enumerate(terms, first)
    ]
    return Entries.build(built) if built else None


def rising(source: random.Random, count: int, least: int, most: int) -> list[int]:
    return sorted(source.randint(least, most) for _ in range(count))


def carry_out(pair: Pair) -> None:
    """Writes and applies what the node has decided, until there is nothing left; the messages are lost."""
    while pair.core.has_ready():
        core, model = pair.ready()
        for given, expected in zip(core.messages, model.messages, strict=True):
            if given.to == raftcore.LOCAL_APPEND_THREAD:
                pair.write(None, expected, True)
            elif given.to == raftcore.LOCAL_APPLY_THREAD:
                pair.apply(expected.entries)
            for one, other in zip(given.responses or (), expected.responses, strict=True):
                if one.to == 1:
                    pair.step(Flight(one, other))


def follower(terms: list[int], commit: int, compacted: int) -> Pair:
    """Node 1 with this log, which follows node 2 in term 5; compacted up to there."""
    pair = Pair(SETTINGS, VOTERS, 1, keep_application=True)
    pair.step(flight(MessageType.MsgApp, 5, 2, commit=commit, entries=entries(1, terms)))
    carry_out(pair)
    if compacted:
        pair.both("compact", compacted)
        pair.store.compact(compacted)
    return pair


def word(source: random.Random, commit: int) -> Flight:
    """Something that a leader of term 5 may say, or may not."""
    kind = source.choice([MessageType.MsgApp] * 4 + [MessageType.MsgSnap])
    index = source.randint(0, commit + 3)
    term = source.randint(1, 5) if index else 0
    from_ = source.choice([2, 2, 2, 2, 2, 3, 4])
    in_term = source.choice([5] * 9 + [6])
    if kind == MessageType.MsgSnap:
        return flight(kind, in_term, from_, snapshot=Snapshot(max(index, 1), max(term, 1), VOTERS))
    follow = rising(source, source.randint(0, 6), max(term, 1), 5)
    other = source.choice([0, 0, index + source.randint(1, 6)])
    return flight(kind, in_term, from_, index=index, log_term=term, entries=entries(index + 1, follow, other))


def repeated(source: random.Random, terms: list[int], commit: int) -> Flight:
    """What has been appended, perhaps with one entry that has other contents."""
    index = source.randint(0, commit - 1)
    other = source.choice([0, source.randint(index + 1, len(terms)), source.randint(index + 1, commit)])
    before = terms[index - 1] if index else 0
    return flight(MessageType.MsgApp, 5, 2, index=index, log_term=before,
                  entries=entries(index + 1, terms[index:], other))  # fmt: skip


def test_core_and_model_count_alike(seed: int) -> None:
    quarantined = contents = 0
    for number in range(seed, seed + 300):
        source = random.Random(number)
        terms = rising(source, source.randint(1, 8), 1, 5)
        commit = source.randint(1, len(terms))
        pair = follower(terms, commit, source.randint(0, commit))
        said = word(source, commit) if source.random() < 0.7 else repeated(source, terms, commit)
        for _ in range(20):
            if source.random() < 0.1:
                said = word(source, commit)
            pair.step(said)
            carry_out(pair)
            pair.both("tick", 0, source.randint(1, 2))
            if source.random() < 0.9:
                agreed = source.choice([0] * 9 + [commit])
                pair.step(flight(MessageType.MsgHeartbeat, pair.core.term, pair.core.leader or 2, commit=agreed))
            carry_out(pair)
            assert (pair.core.conflict, pair.core.state) == (pair.model.conflict, pair.model.role), f"seed {number}"
        quarantined += pair.core.state == QUARANTINED
        contents += pair.core.conflict is not None and pair.core.conflict.term == pair.core.conflict.leader_term
    assert 20 < quarantined < 280, f"{quarantined} of 300 ended in quarantine: seed {seed}"
    assert 3 < contents < quarantined, f"{contents} of {quarantined} by their contents: seed {seed}"


@pytest.mark.parametrize("index", range(1, 7))
@pytest.mark.parametrize("term", [5, 6])
def test_a_snapshot_while_an_entry_is_suspected(index: int, term: int) -> None:
    """Refused alike where it covers the entry in the same term; acknowledged alike elsewhere."""
    terms = [1, 1, 2, 2, 5]
    pair = follower(terms, 4, 0)
    pair.step(flight(MessageType.MsgApp, 5, 2, index=1, log_term=1, entries=entries(2, [1, 2, 2], other=3)))
    said = flight(MessageType.MsgSnap, term, 2, snapshot=Snapshot(index, [*terms, 5][index - 1], VOTERS))
    pair.step(said)
    covers = index >= 3 and term == 5
    assert pair.core.commit_index == (4 if covers else max(4, index))
    carry_out(pair)
    assert pair.core.conflict is None


def test_a_quarantined_pair_does_nothing_alike() -> None:
    pair = follower([1, 1, 2], 3, 0)
    said = flight(MessageType.MsgApp, 5, 2, index=3, log_term=4)
    for _ in range(3):
        pair.step(said)
        pair.both("tick", 0, 2)
        pair.step(flight(MessageType.MsgHeartbeat, 5, 2))
        carry_out(pair)
    assert pair.core.state == StateType.StateQuarantined
    for call in (
        ("propose", [b"x"]),
        ("campaign",),
        ("read_index", b"r"),
        ("forget_leader",),
        ("transfer_leader", 2),
        ("tick", 0, 5000),
        ("report_unreachable", 2),
    ):
        pair.both(*call)
        assert not pair.core.has_ready()
    for kind in (MessageType.MsgVote, MessageType.MsgPreVote, MessageType.MsgHeartbeat, MessageType.MsgTimeoutNow):
        pair.step(flight(kind, 9, 3, index=99, log_term=8))
        assert not pair.core.has_ready()
    assert pair.core.term == 5
