"""Work taken with an outbox: the same decisions as in Ready form, as bytes; and what may not be done with it."""

from __future__ import annotations

import random
from typing import Any

import pytest

from raftcore import (
    LOCAL_APPEND_THREAD,
    LOCAL_APPLY_THREAD,
    Config,
    ConfState,
    Entries,
    Entry,
    HardState,
    InitialState,
    Message,
    MessageType,
    Outbox,
    RawNode,
    Snapshot,
    StateType,
)
from raftcore.base.errors import ConfigError, ProposalDropped
from raftcore.testing.cluster_invariants import check
from raftcore.testing.loopback import Loopback
from raftcore.testing.memory_storage import MemoryStorage
from raftcore.wire.codec import DatagramBuilder, Header, messages, parse_header

IDS = (1, 2, 3)


def node(node_id: int, **options: Any) -> tuple[RawNode, MemoryStorage]:
    storage = MemoryStorage()
    settings = {"seed": 3, "election_tick": 10, "async_storage_writes": True, **options}
    initial = InitialState(conf_state=ConfState(voters=IDS))
    return RawNode(Config(id=node_id, **settings), initial, storage), storage


def builder(from_: int, to: int, size: int = 65507) -> DatagramBuilder:
    return DatagramBuilder(Header(cluster_id=1, from_=from_, to=to), size)


def outbox(node_id: int, size: int = 65507) -> Outbox:
    return Outbox([builder(node_id, to, size) for to in IDS if to != node_id])


def decoded(datagrams: list[tuple[int, bytes]]) -> list[Message]:
    found = []
    for to, datagram in datagrams:
        again = DatagramBuilder(parse_header(datagram), 65507)
        for _, message in messages(datagram):
            assert isinstance(message, Message)
            assert message.to == to
            again.add(message)
            found.append(message)
        assert again.finish() == datagram  # the outbox's way is shorter, its bytes are the encoder's
    return found


def by_receiver(sent: list[Message]) -> dict[int, list[str]]:
    return {to: [repr(m) for m in sent if m.to == to] for to in IDS}


class AsReady:
    """A node driven by ready(); what it writes is durable at once."""

    def __init__(self, node_id: int, **options: Any) -> None:
        self.raw, self.storage = node(node_id, **options)
        self.hard = (0, 0, 0)
        self.applied: list[Entries] = []

    def work(self) -> list[Message]:
        sent: list[Message] = []
        while self.raw.has_ready():
            for message in self.raw.ready().messages:
                if message.to == LOCAL_APPLY_THREAD:
                    assert message.entries is not None
                    self.applied.append(message.entries)
                elif message.to != LOCAL_APPEND_THREAD:
                    sent.append(message)
                    continue
                else:
                    self.write(message)
                for response in message.responses or ():
                    if response.to == self.raw.id:
                        self.raw.step(response)
                    else:
                        sent.append(response)
        return sent

    def write(self, message: Message) -> None:
        if message.term:
            self.hard = (message.term, message.vote, message.commit)
            self.storage.set_hard_state(HardState(*self.hard))
        if message.entries is not None:
            self.storage.append(message.entries)


class WithOutbox(AsReady):
    """The same, driven by collect()."""

    def __init__(self, node_id: int, **options: Any) -> None:
        super().__init__(node_id, **options)
        self.outbox = outbox(node_id)

    def work(self) -> list[Message]:
        out = self.outbox
        more = self.raw.collect(out)
        while more:
            for append in out.appends:
                self.write(append)
            told = self.raw.written(out.appends, out)
            out.appends.clear()
            for entries in out.applies:
                self.applied.append(entries)
                told = self.raw.applied(entries)
            out.applies.clear()
            more = self.raw.collect(out)
            assert told == more
        assert out.messages == []
        check(self.raw)
        return decoded(out.datagrams())


def picture(member: AsReady) -> dict[str, Any]:
    """What must not depend on the form: roles, log, progress, what was written and applied."""
    raw = member.raw
    log = [(i, raw.term_at(i)) for i in range(raw.first_index, raw.last_index + 1)]
    applied = [entry for entries in member.applied for entry in entries]  # in how many pieces is the form's own matter
    times = [run[4] for entries in member.applied for run in entries.runs() for _ in range(run[1])]
    return {"status": raw.status(), "log": log, "durable": member.hard[:2], "applied": applied, "times": times}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"pre_vote": True, "check_quorum": True},
        {"check_quorum": True, "read_only": "lease", "lease_ms": 80, "max_inflight_msgs": 2, "max_size_per_msg": 100},
        {"max_committed_size_per_ready": 40, "max_reject_runs": 8},
    ],
    ids=["plain", "pre-vote", "lease", "narrow"],
)
def test_both_forms_say_and_do_the_same(options: dict[str, Any], seed: int) -> None:
    dice = random.Random(seed)
    pairs = {i: (AsReady(i, **options), WithOutbox(i, **options)) for i in IDS}
    flying: list[Message] = []
    for step in range(600):
        node_id = dice.choice(IDS)
        choice, count = dice.random(), dice.randrange(1, 4)
        message = flying.pop(dice.randrange(len(flying))) if flying and choice < 0.6 else None
        sent = []
        for member in pairs[node_id] if message is None else pairs[message.to]:
            raw = member.raw
            try:
                if message is not None:
                    raw.step(message)
                elif choice < 0.75:
                    raw.tick(step * 10, count)
                elif choice < 0.95:
                    raw.propose([b"%d" % step] * count, step * 10)
                else:
                    raw.read_index(b"%d" % step, step * 10)
            except ProposalDropped:
                pass  # no leader there
            sent.append(member.work())
        ready, collected = sent
        assert by_receiver(collected) == by_receiver(ready)
        one, other = pairs[node_id if message is None else message.to]
        assert picture(other) == picture(one)
        flying += [m for m in ready if dice.random() < 0.95]
    assert max(one.raw.commit_index for one, _ in pairs.values()) > 3


def test_a_vote_waits_for_its_write() -> None:
    raw, _ = node(2)
    out = outbox(2)
    raw.step(Message(MessageType.MsgVote, to=2, from_=1, term=5))
    assert raw.collect(out)
    assert decoded(out.datagrams()) == []
    (append,) = out.appends
    assert (append.term, append.vote, append.must_sync) == (5, 1, True)
    raw.written([append], out)
    assert [(m.type, m.to, m.reject) for m in decoded(out.datagrams())] == [(MessageType.MsgVoteResp, 1, False)]


def test_a_vote_in_a_term_that_is_written_waits_for_its_write() -> None:
    raw, _ = node(2)
    out = outbox(2)
    raw.step(Message(MessageType.MsgAppResp, to=2, from_=3, term=5))
    assert raw.collect(out)
    (append,) = out.appends
    assert (append.term, append.vote) == (5, 0)
    raw.written([append], out)
    out.appends.clear()
    raw.step(Message(MessageType.MsgVote, to=2, from_=1, term=5))
    assert raw.collect(out)
    assert decoded(out.datagrams()) == []
    (append,) = out.appends
    assert (append.term, append.vote, append.must_sync) == (5, 1, True)
    raw.written([append], out)
    assert [(m.type, m.to, m.reject) for m in decoded(out.datagrams())] == [(MessageType.MsgVoteResp, 1, False)]


def append_to(raw: RawNode, index: int, term: int, commit: int, data: bytes | None = None) -> None:
    entries = None if data is None else Entries.build([Entry(term, index + 1, 0, data)])
    raw.step(Message(MessageType.MsgApp, to=2, from_=1, term=term, index=index, log_term=term if index else 0,
                     commit=commit, entries=entries))  # fmt: skip


def test_a_commit_index_alone_makes_no_write_and_rides_in_the_next() -> None:
    raw, _ = node(2)
    out = outbox(2)
    append_to(raw, 0, 1, 0, b"a")
    raw.collect(out)
    raw.written([out.appends.pop()], out)
    out.datagrams()
    append_to(raw, 1, 1, 1)
    assert raw.collect(out)
    assert out.appends == []
    assert [(m.type, m.index) for m in decoded(out.datagrams())] == [(MessageType.MsgAppResp, 1)]
    assert [e.first for e in out.applies] == [1]
    append_to(raw, 1, 1, 1, b"b")
    raw.collect(out)
    (append,) = out.appends
    assert (append.term, append.vote, append.commit) == (1, 0, 1)


def test_an_answer_waits_for_the_writes_before_it() -> None:
    raw, _ = node(2)
    out = outbox(2)
    append_to(raw, 0, 1, 0, b"a")
    raw.collect(out)
    append_to(raw, 1, 1, 1)
    raw.collect(out)
    assert decoded(out.datagrams()) == []
    first, second = out.appends
    assert (first.must_sync, second.must_sync, second.entries) == (True, False, None)
    assert out.applies == []
    raw.written([first, second], out)
    assert [(m.type, m.index) for m in decoded(out.datagrams())] == [(MessageType.MsgAppResp, 1)] * 2


def test_a_role_won_by_an_answer_at_once_is_told_and_written_the_next_time() -> None:
    """A pre-vote needs no write; the vote that follows from winning it does."""
    storage = MemoryStorage()
    raw = RawNode(
        Config(id=1, async_storage_writes=True, pre_vote=True),
        InitialState(conf_state=ConfState(voters=(1,))),
        storage,
    )
    out = Outbox()
    raw.campaign()
    appends = []
    while raw.collect(out):
        appends += out.appends
        for append in out.appends:
            raw.written([append], out)
        out.appends.clear()
        for entries in out.applies:
            raw.applied(entries)
        out.applies.clear()
    assert raw.state == StateType.StateLeader
    assert [(m.term, m.vote) for m in appends if m.term] == [(1, 1)]
    assert [m.entries.first for m in appends if m.entries is not None] == [1]
    assert (raw.commit_index, raw.applied_index) == (1, 1)


def test_appends_are_reported_in_order_and_once() -> None:
    raw, _ = node(2)
    out = outbox(2)
    append_to(raw, 0, 1, 0, b"a")
    raw.collect(out)
    append_to(raw, 1, 1, 0, b"b")
    raw.collect(out)
    first, second = out.appends
    with pytest.raises(ConfigError, match="write 2 reported as done, but 1 of 2 is next"):
        raw.written([second], out)
    raw.written([first], out)
    with pytest.raises(ConfigError, match="write 1 reported as done, but 2 of 2 is next"):
        raw.written([first], out)
    raw.written([second], out)
    with pytest.raises(ConfigError, match="write 3 "):
        raw.written([Message(MessageType.MsgStorageAppend, index=3)], out)


def test_one_form_for_the_life_of_a_node() -> None:
    raw, _ = node(1)
    raw.campaign()
    raw.collect(outbox(1))
    with pytest.raises(ConfigError, match="either by ready"):
        raw.ready()
    raw, _ = node(1)
    raw.campaign()
    raw.ready()
    with pytest.raises(ConfigError, match="either by ready"):
        raw.collect(outbox(1))
    raw, _ = node(1, async_storage_writes=False)
    with pytest.raises(ConfigError, match="async_storage_writes=True"):
        raw.collect(outbox(1))


def test_whether_anything_encoded_waits() -> None:
    """In the builder of the second member only, in datagrams that are full, or nowhere."""
    raw, _ = node(1, votes_before_write=True)
    taken = outbox(1)
    assert not taken.has_datagrams()
    assert not Outbox().has_datagrams()
    raw.campaign()
    raw.collect(taken)
    assert taken.has_datagrams()
    assert taken.datagrams()
    assert not taken.has_datagrams()
    second = builder(1, 3)
    second.add(Message(MessageType.MsgHeartbeat, to=3, from_=1, term=1))
    assert Outbox([builder(1, 2), second]).has_datagrams()
    taken.full.append((2, second.finish()))
    assert taken.has_datagrams()


def test_what_has_no_builder_or_fits_none_comes_as_a_message() -> None:
    raw, _ = node(1)
    small = Outbox([builder(1, 2, 300)])
    raw.campaign()
    while raw.collect(small):
        for append in small.appends:
            raw.written([append], small)
        small.appends.clear()
    assert [(m.type, m.to) for m in small.messages] == [(MessageType.MsgVote, 3)]
    assert [m.to for m in decoded(small.datagrams())] == [2]
    small.messages.clear()
    raw.step(Message(MessageType.MsgVoteResp, to=1, from_=2, term=1))
    raw.step(Message(MessageType.MsgAppResp, to=1, from_=2, term=1, index=0, reject=True))
    raw.collect(small)
    small.datagrams()
    small.messages.clear()
    raw.propose([b"x" * 400])
    raw.step(Message(MessageType.MsgAppResp, to=1, from_=2, term=1, index=1))
    raw.collect(small)
    assert [(m.type, m.to) for m in small.messages if m.entries is not None] == [(MessageType.MsgApp, 2)]


@pytest.mark.parametrize("room", range(288, 305))
def test_a_message_goes_into_a_datagram_that_it_fits_to_the_byte(room: int) -> None:
    raw, _ = node(1)
    raw.campaign()
    out = outbox(1)
    raw.collect(out)
    raw.written([out.appends.pop()], out)
    raw.step(Message(MessageType.MsgVoteResp, to=1, from_=2, term=1))
    raw.collect(out)
    raw.written([out.appends.pop()], out)
    raw.step(Message(MessageType.MsgAppResp, to=1, from_=2, term=1, index=1))
    raw.collect(out)
    out.datagrams()
    raw.propose([b"x" * 136])  # with its fields, headers and block: 296 bytes
    out = Outbox([builder(1, 2, room)])
    raw.collect(out)
    sizes = [len(datagram) for _, datagram in out.datagrams()]
    if room < 296:
        assert (sizes, [m.to for m in out.messages]) == ([], [2])
    else:
        assert (sizes, out.messages) == ([296], [])


def test_full_datagrams_come_first() -> None:
    raw, _ = node(1, max_size_per_msg=100)
    out = outbox(1, 300)
    raw.campaign()
    raw.collect(out)
    raw.written([out.appends.pop()], out)
    raw.step(Message(MessageType.MsgVoteResp, to=1, from_=2, term=1))
    raw.collect(out)
    raw.written([out.appends.pop()], out)
    raw.step(Message(MessageType.MsgAppResp, to=1, from_=2, term=1, index=1))
    raw.collect(out)
    out.datagrams()
    for number in range(8):
        raw.propose([b"%d" % number * 10])
    raw.collect(out)
    assert len(out.full) > 1
    sent = [m for m in decoded(out.datagrams()) if m.to == 2]
    assert [m.index for m in sent] == list(range(1, 9))
    assert out.full == []
    assert out.datagrams() == []


def test_a_clone_owes_its_own_writes() -> None:
    raw, _ = node(2)
    out = outbox(2)
    append_to(raw, 0, 1, 0, b"a")
    raw.collect(out)
    (append,) = out.appends
    copy = raw.clone()
    assert copy.fingerprint() == raw.fingerprint()
    raw.written([append], out)
    assert copy.fingerprint() != raw.fingerprint()
    copy.written([append], outbox(2))
    assert copy.fingerprint() == raw.fingerprint()


def test_datagrams_are_stepped_in_order() -> None:
    raw, _ = node(2)
    app = builder(1, 2)
    for term in (1, 2, 3):
        app.add(Message(MessageType.MsgHeartbeat, to=2, from_=1, term=term))
        datagram = app.finish()
        assert raw.step_frames(datagram) == 1
        assert raw.term == term
    assert raw.step_frames(memoryview(datagram)) == 1
    with pytest.raises(ValueError, match="at least 64 bytes"):
        raw.step_frames(b"short")


def test_a_message_that_is_kept_is_not_filled_anew_by_the_next_frame() -> None:
    raw, _ = node(1)
    out = outbox(1)
    raw.campaign()
    while raw.collect(out):
        raw.written(out.appends, out)
        out.appends.clear()
    raw.step(Message(MessageType.MsgVoteResp, to=1, from_=2, term=1))
    reads = builder(2, 1)
    for context in (b"one", b"two"):  # nothing is committed in this term: they are put off
        reads.add(Message(MessageType.MsgReadIndex, to=1, from_=2, context=context))
    reads.add(Message(MessageType.MsgAppResp, to=1, from_=2, term=1, index=0, reject=True))
    assert raw.step_frames(reads.finish()) == 3
    raw.collect(out)
    raw.written(out.appends, out)
    out.datagrams()
    raw.step(Message(MessageType.MsgAppResp, to=1, from_=2, term=1, index=1))
    raw.collect(out)
    beats = [m for m in decoded(out.datagrams()) if m.type == MessageType.MsgHeartbeat and m.to == 2]
    raw.step(Message(MessageType.MsgHeartbeatResp, to=1, from_=2, term=1, context=beats[-1].context))
    raw.collect(out)
    answers = [m for m in decoded(out.datagrams()) if m.type == MessageType.MsgReadIndexResp]
    assert [m.context for m in answers] == [b"one", b"two"]


def test_nothing_of_a_message_is_left_in_the_next_of_its_datagram() -> None:
    raw, _ = node(2)
    frames = builder(1, 2)
    entries = Entries.build([Entry(1, 1, 0, b"a")])
    for message in (
        Message(MessageType.MsgApp, to=2, from_=1, term=1, entries=entries),
        Message(MessageType.MsgHeartbeat, to=2, from_=1, term=1, context=b"read"),
        Message(MessageType.MsgHeartbeat, to=2, from_=1, term=1),
        Message(MessageType.MsgApp, to=2, from_=1, term=1, index=1, log_term=1),
    ):
        frames.add(message)
    assert raw.step_frames(frames.finish()) == 4
    assert raw.faults == 0
    out = outbox(2)
    raw.collect(out)
    raw.written(out.appends, out)
    beats = [m for m in decoded(out.datagrams()) if m.type == MessageType.MsgHeartbeatResp]
    assert [m.context for m in beats] == [b"read", None]
    assert raw.last_index == 1


def test_an_answer_names_the_configuration_that_it_was_asked_with() -> None:
    raw, _ = node(2)
    raw.step(Message(MessageType.MsgApp, to=2, from_=1, term=1, conf_index=7))
    out = outbox(2)
    raw.collect(out)
    raw.written(out.appends, out)
    assert [(m.type, m.conf_index) for m in decoded(out.datagrams())] == [(MessageType.MsgAppResp, 7)]


@pytest.mark.parametrize(("at", "byte", "stepped", "faults"), [
    (9, 1, 1, 1), (10, 1, 1, 1), (11, 128, 1, 1),  # flags and reserved
    (8, 0, 1, 1), (8, 25, 1, 1), (8, 127, 1, 1), (8, 128, 1, 0), (8, 255, 1, 0),  # kinds; the last two: the transport's
])  # fmt: skip
def test_a_frame_with_a_broken_header_is_a_fault_and_the_transports_are_skipped(
    at: int, byte: int, stepped: int, faults: int
) -> None:
    raw, _ = node(2)
    frames = builder(1, 2)
    for term in (3, 4):
        frames.add(Message(MessageType.MsgHeartbeat, to=2, from_=1, term=term))
    datagram = bytearray(frames.finish())
    datagram[64 + at] = byte
    assert raw.step_frames(datagram) == stepped
    assert (raw.faults, raw.term) == (faults, 4)


def test_a_loopback_commits_on_all() -> None:
    cluster = Loopback(5, election_tick=20)
    cluster.campaign(2)
    cluster.propose(2, [b"a", b"b"], 3)
    for seat in cluster.seats.values():
        check(seat.node)
        commands = [c for entries in seat.applied for c in entries.commands()]
        assert commands == [b"", *[b"a", b"b"] * 3]
        assert seat.node.commit_index == seat.node.applied_index == 7
    assert cluster.datagrams > 8
    with pytest.raises(ConfigError, match="at least 1"):
        Loopback(0)


def test_a_loopback_carries_what_fills_many_datagrams() -> None:
    cluster = Loopback(3)
    cluster.campaign(1)
    cluster.propose(1, [b"%d" % i * 100 for i in range(3000)])
    assert {seat.node.commit_index for seat in cluster.seats.values()} == {3001}


def test_a_loopback_carries_what_no_datagram_holds() -> None:
    cluster = Loopback(3)
    cluster.campaign(1)
    cluster.propose(1, [b"x" * 70_000])
    cluster.propose(1, [b"after"])
    assert {seat.node.commit_index for seat in cluster.seats.values()} == {3}
    assert [seat.outbox.messages for seat in cluster.seats.values()] == [[], [], []]


def test_a_loopback_knows_nobody_else() -> None:
    cluster = Loopback(1)
    cluster.seats[1].outbox.set_builders([builder(1, 10**6)])
    cluster.seats.clear()  # a copy
    cluster.campaign(1)
    cluster.run_until_idle()


def test_a_message_without_a_byte_form_holds_nothing_up() -> None:
    """A snapshot with a configuration from behind it can be made by mistake; appends must go out all the same."""

    class Mistaken(MemoryStorage):
        def snapshot(self) -> Snapshot:
            return Snapshot(5, 1, ConfState(voters=IDS), conf_index=7)

    storage = Mistaken()
    storage.apply_snapshot(Snapshot(5, 1, ConfState(voters=IDS)))
    raw = RawNode(Config(id=1, async_storage_writes=True), storage.initial_state(), storage)
    out = outbox(1)
    raw.campaign()
    raw.collect(out)
    raw.written([out.appends.pop()], out)
    raw.step(Message(MessageType.MsgVoteResp, to=1, from_=2, term=raw.term))
    raw.collect(out)
    raw.step(Message(MessageType.MsgAppResp, to=1, from_=2, term=raw.term, index=5, reject=True, reject_hint=0))
    raw.propose([b"x"])
    assert raw.collect(out)
    assert [m.type for m in out.messages] == [MessageType.MsgSnap]
    assert [append.entries.count for append in out.appends if append.entries] == [1, 1]


def test_what_hangs_on_a_write_is_not_in_the_drivers_hands() -> None:
    raw, _ = node(1)
    out = outbox(1)
    raw.step(Message(MessageType.MsgVote, to=1, from_=2, term=1))
    raw.collect(out)
    append = out.appends.pop()
    assert append.responses is None
    append.responses = []
    assert out.datagrams() == []
    raw.written([append], out)
    assert [(m.to, m.type, m.reject) for m in decoded(out.datagrams())] == [(2, MessageType.MsgVoteResp, False)]
