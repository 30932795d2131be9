"""A leader contradicts what is committed here: told in three rounds it quarantines this node, and no less does."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from raftcore import (
    Config,
    Conflict,
    ConfState,
    Entries,
    Entry,
    EntryKind,
    HardState,
    Message,
    MessageType,
    Outbox,
    RawNode,
    Snapshot,
    StateType,
)
from raftcore.base.errors import PeerFault, ProposalDropped, StepLocalMessage
from raftcore.testing.cluster_invariants import check
from raftcore.testing.exploration import protocol_state
from tests.core.network import Network
from tests.core.server import Server, entries, give_log, of

VOTERS = ConfState(voters=(1, 2, 3))
HEARTBEAT_TICK = 2
LEADER, TERM = 2, 6
SAID = {"index": 4, "log_term": 1, "entries": entries(5, [6])}
"""Entry 5 is the leader's first in term 6: it has nothing of what is committed here behind 4."""
FOUND = Conflict(index=5, term=2, leader=2, leader_term=6, current_term=6)


def forgotten(**options: Any) -> Server:
    """Committed up to 7 in terms 1 and 2; the leader of term 6, node 2, does not have that."""
    options = {"voters": (1, 2, 3), "heartbeat_tick": HEARTBEAT_TICK} | options
    server = Server([1, 1, 1, 1, 2, 2, 2, 2], term=2, commit=7, **options)
    heartbeat(server)
    return server


def heartbeat(server: Server, commit: int = 0, from_: int = LEADER, term: int = TERM) -> list[Message]:
    return server.step(MessageType.MsgHeartbeat, term, from_, commit=commit)


def say(server: Server, from_: int = LEADER, term: int = TERM, **fields: Any) -> bool:
    """The leader's append; was it refused as a fault? Whatever is answered, it is no acknowledgement."""
    try:
        sent = server.step(MessageType.MsgApp, term, from_, **(fields or SAID))
    except PeerFault:
        return True
    assert not [m for m in sent if m.type == MessageType.MsgAppResp and not m.reject]
    return False


def rounds(server: Server, count: int, **said: Any) -> None:
    for _ in range(count):
        say(server, **said)
        server.tick(HEARTBEAT_TICK)
        heartbeat(server)


def quarantined(raw: RawNode) -> bool:
    check(raw)
    assert (raw.state == StateType.StateQuarantined) == (raw.conflict is not None)
    return raw.state == StateType.StateQuarantined


def test_three_rounds() -> None:
    server = forgotten()
    for _ in range(2):
        before = server.raw.status()
        assert say(server)
        assert server.raw.status() == before
        server.tick(HEARTBEAT_TICK)
        assert [m.type for m in heartbeat(server)] == [MessageType.MsgHeartbeatResp]
        assert not quarantined(server.raw)
    assert not say(server)
    assert quarantined(server.raw)
    assert server.raw.conflict == server.raw.status().conflict == FOUND
    assert (server.raw.leader, server.raw.commit_index, server.terms) == (0, 7, [1, 1, 1, 1, 2, 2, 2, 2])


def test_the_word_names_the_index_and_both_terms_and_that_neither_disk_is_to_be_deleted() -> None:
    text = FOUND.describe()
    assert "entry 5 has term 2 here and term 6 at node 2, the leader of term 6" in text
    assert "either side may be the wrong one" in text
    assert "neither disk should be deleted" in text
    assert "\n" not in text


# --- What shows it ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({"index": 7, "log_term": 6}, (7, 2, 6)),  # a probe at the commit index,
        ({"index": 5, "log_term": 6}, (5, 2, 6)),  # or below it: the leader's log may be the shorter one
        ({"index": 2, "log_term": 1, "entries": entries(3, [1, 3, 6])}, (4, 1, 3)),  # entries that would replace some
        ({"index": 6, "log_term": 2, "entries": entries(7, [6, 6, 6])}, (7, 2, 6)),
        ({"index": 9, "log_term": 1}, (7, 2, 1)),  # beyond it in a term below: at 7 the leader has at most that
        ({"index": 9, "log_term": 1, "entries": entries(10, [6])}, (7, 2, 1)),
    ],
)
def test_what_shows_it(said: dict[str, Any], found: tuple[int, int, int]) -> None:
    server = forgotten()
    rounds(server, 3, **said)
    assert quarantined(server.raw)
    assert server.raw.conflict == Conflict(found[0], found[1], 2, found[2], 6)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({"index": 2, "log_term": 3}, (6, 2, 3)),  # at 6 the leader has at least what it has at 2
        ({"index": 2, "log_term": 1, "entries": entries(3, [1, 6])}, (6, 2, 6)),
        ({"index": 4, "log_term": 1, "entries": entries(5, [2, 6, 6])}, (6, 2, 6)),
        ({"index": 4, "log_term": 1, "entries": entries(5, [1, 1, 6])}, (6, 2, 1)),
        ({"index": 4, "log_term": 1, "entries": entries(5, [2, 2, 6])}, (7, 2, 6)),
    ],
)
def test_what_shows_it_where_the_log_is_compacted(said: dict[str, Any], found: tuple[int, int, int]) -> None:
    """An answer with the commit index would acknowledge what this node does not have."""
    server = forgotten()
    server.raw.compact(6)
    rounds(server, 3, **said)
    assert server.raw.conflict == Conflict(found[0], found[1], 2, found[2], 6)


@pytest.mark.parametrize(
    ("index", "term", "compacted", "found"),
    [(5, 6, 0, (5, 2, 6)), (7, 6, 0, (7, 2, 6)), (9, 1, 0, (7, 2, 1)), (3, 5, 6, (6, 2, 5))],
)
def test_a_snapshot_shows_it(index: int, term: int, compacted: int, found: tuple[int, int, int]) -> None:
    server = forgotten()
    if compacted:
        server.raw.compact(compacted)
    for _ in range(3):
        try:
            server.step(MessageType.MsgSnap, TERM, LEADER, snapshot=Snapshot(index, term, VOTERS))
        except PeerFault:
            pass
        server.tick(HEARTBEAT_TICK)
        heartbeat(server)
    assert server.raw.conflict == Conflict(found[0], found[1], 2, found[2], 6)


def told(first: int, terms: list[int], *, time_ms: int = 0, **changed: Any) -> Entries:
    """As ``entries``, but for ``changed``: the payload, or the kind, by "at" and index."""
    made = []
    for entry in entries(first, terms):
        other = changed.get(f"at{entry.index}", entry.data)
        kind, data = (other, b"") if isinstance(other, EntryKind) else (EntryKind.EntryNormal, other)
        made.append(Entry(entry.term, entry.index, kind, data))
    return Entries.build(made, time_ms)


def in_memory() -> Server:
    """As forgotten, and the entries have not left the memory."""
    server = Server(voters=(1, 2, 3), heartbeat_tick=HEARTBEAT_TICK)
    server.append(TERM, 0, 0, [1, 1, 1, 1, 2, 2, 2, 2], commit=7)
    return server


@pytest.mark.parametrize("make", [forgotten, in_memory])
@pytest.mark.parametrize("compacted", [0, 5])
@pytest.mark.parametrize("index", [4, 5])
@pytest.mark.parametrize("other", [b"other", b"2/6+", b"2/7", EntryKind.EntryNoop])
def test_other_contents_in_the_same_term(make: Any, compacted: int, index: int, other: Any) -> None:
    """Disks that have forgotten the term elected another leader for it: index and term agree, contents do not."""
    server = make()
    if compacted:
        server.raw.compact(compacted)
    said = {"index": index, "log_term": 2 if index > 4 else 1}
    rounds(server, 3, **said, entries=told(index + 1, [2] * (8 - index), at6=other))
    assert quarantined(server.raw)
    found = Conflict(6, 2, 2, 2, TERM)
    assert server.raw.conflict == found
    text = found.describe()
    assert "committed entry 6 has other contents here than at node 2, though the terms agree (both 2)" in text
    assert "neither disk should be deleted" in text


@pytest.mark.parametrize("make", [forgotten, in_memory])
@pytest.mark.parametrize(
    "same",
    [
        told(5, [2, 2, 2, 2]),
        told(5, [2, 2, 2, 2], time_ms=77),  # a log time that was raised here
        told(5, [2, 2, 2, 2], at8=b"other"),  # not committed here
        told(5, [2, 2, 2, 2], at5=b"", at6=b"", at7=b""),  # as a witness is told
        told(5, [2, 6]).slice(5, 6),
    ],
)
def test_the_same_contents(make: Any, same: Entries) -> None:
    server = make()
    for _ in range(4):
        (answer,) = of(MessageType.MsgAppResp, server.step(MessageType.MsgApp, TERM, LEADER, index=4, log_term=1,
                                                           entries=same))  # fmt: skip
        assert (answer.index, answer.reject) == (min(7, 4 + len(same)), False)
        server.tick(HEARTBEAT_TICK)
        heartbeat(server)
    assert not quarantined(server.raw)


def suspecting() -> Server:
    """Entry 6 has been told with other contents, once."""
    server = forgotten()
    assert say(server, index=4, log_term=1, entries=told(5, [2, 2], at6=b"other"))
    return server


@pytest.mark.parametrize("said", [{"index": 6, "log_term": 2}, {"index": 7, "log_term": 2, "entries": entries(8, [6])},
                                  {"index": 8, "log_term": 2}])  # fmt: skip
def test_what_follows_other_contents_is_not_acknowledged(said: dict[str, Any]) -> None:
    """Its place agrees by index and term; its leader is to go back and say again what comes before."""
    server = suspecting()
    before = server.terms
    for _ in range(3):
        (answer,) = server.step(MessageType.MsgApp, TERM, LEADER, **said)
        assert (answer.reject, answer.index, answer.reject_hint, answer.log_term) == (True, said["index"], 5, 2)
        server.tick(HEARTBEAT_TICK)
        heartbeat(server)
    assert server.terms == before
    assert not quarantined(server.raw)


def test_what_follows_another_term_is_not_acknowledged_where_a_term_was_used_twice() -> None:
    """Entry 5 has another term at the leader; entry 8 one that was forgotten and used again: its place agrees."""
    server = Server([1, 1, 1, 1, 2, 4, 4, 4], term=4, commit=7, voters=(1, 2, 3), heartbeat_tick=HEARTBEAT_TICK)
    heartbeat(server)
    for said in ({"index": 8, "log_term": 4}, {"index": 8, "log_term": 4, "entries": entries(9, [6])}):
        assert say(server, index=4, log_term=1, entries=entries(5, [3, 4, 4, 4]))
        (answer,) = server.step(MessageType.MsgApp, TERM, LEADER, **said)
        assert (answer.reject, answer.index, answer.reject_hint, answer.log_term) == (True, 8, 4, 1)
    assert server.terms == [1, 1, 1, 1, 2, 4, 4, 4]


@pytest.mark.parametrize("told_anew", ["the heartbeat", "the entry"])
def test_the_right_word_ends_it(told_anew: str) -> None:
    server = suspecting()
    if told_anew == "the heartbeat":
        heartbeat(server, commit=6)
    else:
        server.append(TERM, 4, 1, [2, 2])
    (answer,) = server.append(TERM, 7, 2, [2])
    assert (answer.reject, answer.index) == (False, 8)


def test_an_append_is_acknowledged_as_far_as_it_goes() -> None:
    """Behind it the leader's log may be another, though each of its terms is the same."""
    server = forgotten()
    (answer,) = server.append(TERM, 4, 1, [2])
    assert (answer.reject, answer.index) == (False, 5)
    (answer,) = server.append(TERM, 4, 1)
    assert (answer.reject, answer.index) == (False, 4)


@pytest.mark.parametrize("runs", [0, 8])
def test_a_leader_of_the_same_term_and_who_remembers(runs: int) -> None:
    """Both are real. The leader's first message, sent when it had nothing but its first entry, comes late."""
    net = Network(3, max_reject_runs=runs)
    net.settle()
    net.isolate(1)
    net.campaign(2)
    for command in (b"a", b"b", b"c"):
        net.propose(2, command)
    leader = net[2].raw
    log = list(net[2].storage.entries(1, leader.last_index + 1, 1 << 20))
    net[1].storage.append(Entries.build([Entry(e.term, e.index, e.kind, b"lost" if e.data == b"b" else e.data)
                                         for e in log]))  # fmt: skip
    net[1].storage.set_hard_state(HardState(leader.term, 0, leader.last_index))
    net[1].start()
    net.heal()
    same = next(e.index for e in log if e.data == b"b") - 1
    net.propose(2, b"d")
    for _ in range(40):
        net.tick_all()
        assert net[2].raw.status().progress[1].match <= same
    assert quarantined(net[1].raw)
    assert net[1].raw.conflict == Conflict(same + 1, leader.term, 2, leader.term, leader.term)


def test_a_witness_told_all_and_nothing() -> None:
    """It may have been sent the commands before its leader knew that it is a witness."""
    server = Server([1, 1, 2, 2], term=2, commit=4, voters=(1, 2, 3), heartbeat_tick=HEARTBEAT_TICK, witnesses=(1,))
    heartbeat(server)
    rounds(server, 1, index=2, log_term=1, entries=told(3, [2, 2], at4=EntryKind.EntryNoop))
    for _ in range(4):
        server.step(MessageType.MsgApp, TERM, LEADER, index=2, log_term=1, entries=told(3, [2, 2], at3=b"", at4=b""))
        server.tick(HEARTBEAT_TICK)
        heartbeat(server)
    assert not quarantined(server.raw)


def test_a_snapshot_below_the_commit_index_acknowledges_itself_alone() -> None:
    """Behind it the leader's log may be another: that it commits with this node's help must not be."""
    server = forgotten()
    (answer,) = server.step(MessageType.MsgSnap, TERM, LEADER, snapshot=Snapshot(3, 1, VOTERS))
    assert (answer.type, answer.index, answer.reject) == (MessageType.MsgAppResp, 3, False)


FORGOTTEN = [[], [1, 1], [1, 1, 1], [1, 1, 2, 2], [1] * 9, [1, 1, 3, 3, 3, 3, 3]]


@pytest.mark.parametrize("compacted", [0, 1, 4, 5])
@pytest.mark.parametrize("runs", [0, 8])
@pytest.mark.parametrize("log", FORGOTTEN)
@pytest.mark.parametrize("more", [0, 1, 9])
def test_a_leader_that_forgot_and_who_remembers(log: list[int], more: int, runs: int, compacted: int) -> None:
    """Both are real. Whatever the leader tries, it never takes for acknowledged what the other does not have."""
    net = Network(3, max_reject_runs=runs)
    give_log(net[1], [1, 1, 2, 2, 2], term=2, commit=5)
    give_log(net[2], log, term=3)
    give_log(net[3], log, term=3)
    net.settle()
    if compacted:
        net[1].raw.compact(compacted)
    net.isolate(1)
    net.campaign(2)
    for _ in range(more):
        net.propose(2, b"x")
    if more > 1:
        net.campaign(3)  # whose first probe is another
    leader = net.leader
    net.heal()
    net.isolate(5 - leader)
    before = net[leader].raw.commit_index
    net.propose(leader, b"not to be committed")
    same = next(i for i in range(5, -1, -1) if log[:i] == [1, 1, 2, 2, 2][:i])
    for _ in range(8):
        net.tick_all()
        assert net[leader].raw.commit_index == before
        assert net[leader].raw.status().progress[1].match <= same
    assert quarantined(net[1].raw)
    assert net[1].raw.commit_index == 5
    assert net[leader].errors == []


# --- What does not count ----------------------------------------------------------------------------------------------


def test_one_datagram_that_is_repeated() -> None:
    server = forgotten()
    for _ in range(20):
        assert say(server)
    server.tick(HEARTBEAT_TICK)
    for _ in range(20):  # a heartbeat in the same datagram
        heartbeat(server)
        assert say(server)
    assert not quarantined(server.raw)


def test_rounds_without_a_heartbeat_between_them() -> None:
    server = forgotten()
    for _ in range(4):  # it would stand for election then
        assert say(server)
        server.tick(HEARTBEAT_TICK)
    assert not quarantined(server.raw)


def test_rounds_faster_than_this_node_s_own_heartbeats() -> None:
    server = forgotten()
    for _ in range(3):
        assert say(server)
        heartbeat(server)
        server.tick(HEARTBEAT_TICK - 1)
        heartbeat(server)
    assert not quarantined(server.raw)


def test_a_leader_that_says_that_the_logs_agree() -> None:
    """A heartbeat commits what the leader knows this node to hold: then somebody else has spoken in its name."""
    server = forgotten()
    for _ in range(20):
        assert say(server)
        server.tick(HEARTBEAT_TICK)
        heartbeat(server, commit=5)
    assert not quarantined(server.raw)
    rounds(server, 3)
    assert quarantined(server.raw)


def test_somebody_who_does_not_lead() -> None:
    server = forgotten()
    rounds(server, 20, from_=3, **SAID)
    assert not quarantined(server.raw)


def test_a_leader_that_is_not_known_yet() -> None:
    """A later term, told by nobody else: the append is refused as a whole, its term too."""
    server = Server([1, 1, 1, 1, 2, 2, 2, 2], term=2, commit=7, heartbeat_tick=HEARTBEAT_TICK)
    for _ in range(4):
        assert say(server)
        server.tick(HEARTBEAT_TICK)
    assert not quarantined(server.raw)
    assert server.raw.term == 2


@pytest.mark.parametrize("term", [TERM - 1, TERM + 1])
def test_another_term(term: int) -> None:
    server = forgotten()
    for _ in range(20):
        say(server, term=term, **SAID)
        server.tick(HEARTBEAT_TICK)
        heartbeat(server)
    assert not quarantined(server.raw)


@pytest.mark.parametrize("learners", [(2,), ()])
def test_a_leader_that_is_no_voter(learners: tuple[int, ...]) -> None:
    server = forgotten(voters=(1, 3, 4), learners=learners)
    rounds(server, 20)
    assert not quarantined(server.raw)


def test_different_conflicts() -> None:
    server = forgotten()
    for turn in range(20):
        rounds(server, 1, index=6 + turn % 2, log_term=6)
    assert not quarantined(server.raw)
    rounds(server, 2, index=6, log_term=6)
    rounds(server, 2, index=6, log_term=5)
    rounds(server, 2, index=6, log_term=6)
    assert not quarantined(server.raw)
    rounds(server, 1, index=6, log_term=6)
    assert quarantined(server.raw)


def test_two_leaders() -> None:
    """Each in a term of its own, each twice."""
    server = forgotten()
    rounds(server, 2)
    for _ in range(2):
        heartbeat(server, from_=3, term=7)
        say(server, from_=3, term=7, **SAID)
        server.tick(HEARTBEAT_TICK)
    assert not quarantined(server.raw)


def test_what_is_not_committed_here() -> None:
    server = forgotten()
    for _ in range(20):
        sent = server.step(MessageType.MsgApp, TERM, LEADER, index=7, log_term=2, entries=entries(8, [6]))
        assert [m.index for m in of(MessageType.MsgAppResp, sent)] == [8]
        server.tick(HEARTBEAT_TICK)
        heartbeat(server)
    assert not quarantined(server.raw)


def test_a_leader_that_follows_another_now() -> None:
    """A restart, or another term, begins the count anew."""
    server = forgotten()
    rounds(server, 2)
    server.step(MessageType.MsgVote, TERM + 1, 3, index=20, log_term=6)
    heartbeat(server, term=TERM + 1)
    rounds(server, 2, term=TERM + 1, **SAID)
    assert not quarantined(server.raw)


# --- What a quarantined node does -------------------------------------------------------------------------------------


def apart(**options: Any) -> Server:
    server = forgotten(**options)
    rounds(server, 3)
    assert quarantined(server.raw)
    return server


@pytest.mark.parametrize("kind", list(MessageType))
def test_it_answers_nothing_and_writes_nothing(kind: MessageType) -> None:
    server = apart()
    before = server.raw.status(), server.member.log(), server.raw.vote
    snapshot = Snapshot(20, 6, VOTERS) if kind == MessageType.MsgSnap else None
    for term in (TERM, TERM + 3):
        fields: dict[str, Any] = {"index": 20, "log_term": 6, "commit": 8, "context": b"x", "snapshot": snapshot}
        try:
            server.raw.step(Message(kind, 1, LEADER, term=term, **fields))
        except (PeerFault, StepLocalMessage):
            pass
        assert not server.raw.has_ready()
    assert (server.raw.status(), server.member.log(), server.raw.vote) == before


def test_it_does_not_stand() -> None:
    server = apart()
    assert server.tick(1000) == []
    assert server.campaign() == []
    assert server.raw.ticks_until_due() == 1 << 30


def test_it_takes_neither_proposals_nor_reads() -> None:
    server = apart()
    with pytest.raises(ProposalDropped) as dropped:
        server.raw.propose([b"x"])
    assert dropped.value.reason == "quarantined"
    assert not server.raw.read_index(b"r")
    server.raw.transfer_leader(2)
    server.raw.forget_leader()
    server.raw.step_down()
    assert not server.raw.has_ready()
    assert quarantined(server.raw)


def test_a_copy_and_its_fingerprint_know_of_it() -> None:
    for count in range(4):
        server = forgotten()
        clean = server.raw.fingerprint(), protocol_state(server.raw)
        rounds(server, count)
        copy = server.raw.clone()
        assert (copy.fingerprint(), protocol_state(copy)) == (server.raw.fingerprint(), protocol_state(server.raw))
        assert copy.conflict == server.raw.conflict
        assert (protocol_state(copy) == clean[1]) == (count == 0)
    suspecting = forgotten()
    everything, but_for_that = suspecting.raw.fingerprint(), suspecting.raw.fingerprint(suspicion=False)
    say(suspecting)
    assert suspecting.raw.fingerprint() != everything
    assert suspecting.raw.fingerprint(suspicion=False) == but_for_that


@pytest.mark.parametrize("asynchronous", [False, True])
def test_it_stays_that_after_a_restart(asynchronous: bool) -> None:
    kept = apart().member.storage
    initial = dataclasses.replace(kept.initial_state(), conf_state=VOTERS, conflict=FOUND)
    raw = RawNode(Config(id=1, async_storage_writes=asynchronous), initial, kept)
    assert quarantined(raw)
    assert raw.conflict == FOUND
    raw.tick(0, 1000)
    raw.step(Message(MessageType.MsgVote, 1, 3, term=9, index=99, log_term=8))
    raw.step(Message(MessageType.MsgHeartbeat, 1, 2, term=9))
    assert not raw.has_ready()
    assert raw.term == TERM


@pytest.mark.parametrize("asynchronous", [False, True])
def test_the_driver_hears_of_the_role_and_of_nothing_else(asynchronous: bool) -> None:
    """What was to be sent, written and applied just before is not any more."""
    member = Server([1, 1, 1, 1, 2, 2, 2, 2], term=2).member
    initial = dataclasses.replace(member.storage.initial_state(), conf_state=VOTERS)
    raw = RawNode(Config(id=1, async_storage_writes=asynchronous), initial, member.storage)
    raw.step(Message(MessageType.MsgHeartbeat, 1, LEADER, term=TERM, commit=7))
    raw.step(Message(MessageType.MsgApp, 1, LEADER, term=TERM, index=8, log_term=2, entries=entries(9, [6])))
    for _ in range(3):
        assert raw.conflict is None
        try:
            raw.step(Message(MessageType.MsgApp, 1, LEADER, term=TERM, **SAID))
        except PeerFault:
            pass
        raw.tick()
        raw.step(Message(MessageType.MsgHeartbeat, 1, LEADER, term=TERM))
    ready = raw.ready()
    assert (ready.soft_state.lead, ready.soft_state.state) == (0, StateType.StateQuarantined)
    assert ready.messages == []
    assert (ready.hard_state, ready.entries, ready.committed_entries, ready.snapshot) == (None, None, None, None)
    assert ready.read_states == []
    assert not raw.has_ready()
    if not asynchronous:
        raw.advance()
        assert not raw.has_ready()


def test_through_an_outbox_too() -> None:
    member = Server([1, 1, 1, 1, 2, 2, 2, 2], term=2, commit=7).member
    initial = dataclasses.replace(member.storage.initial_state(), conf_state=VOTERS)
    raw = RawNode(Config(id=1, async_storage_writes=True), initial, member.storage)
    outbox = Outbox()
    raw.step(Message(MessageType.MsgHeartbeat, 1, LEADER, term=TERM))
    raw.step(Message(MessageType.MsgApp, 1, LEADER, term=TERM, index=8, log_term=2, entries=entries(9, [6])))
    while raw.collect(outbox):
        pass
    (append,) = outbox.appends  # under way; its acknowledgement hangs on it
    outbox.appends.clear()
    outbox.applies.clear()
    outbox.messages.clear()
    for _ in range(3):
        try:
            raw.step(Message(MessageType.MsgApp, 1, LEADER, term=TERM, **SAID))
        except PeerFault:
            pass
        raw.tick()
        raw.step(Message(MessageType.MsgHeartbeat, 1, LEADER, term=TERM))
    assert raw.collect(outbox)  # the role has changed
    assert not raw.collect(outbox)
    raw.written([append], outbox)
    assert (outbox.appends, outbox.applies, outbox.messages, outbox.read_states) == ([], [], [], [])
    assert not outbox.has_datagrams()
