"""The invariants hold in every state of random runs, and say so when they do not; clones and fingerprints."""

from __future__ import annotations

import random
from typing import Any

import pytest

from raftcore import Entries, Entry, EntryKind, HardState, MessageType
from raftcore.base.errors import InvariantViolation, ProposalDropped
from raftcore.testing.cluster_invariants import History, check, check_all, leader_is_complete
from tests.core.network import ELECTION_TICK, Network


def stormy(net: Network, dice: random.Random, steps: int, history: History) -> None:
    """Ticks, proposals, transfers, crashes, partitions, repeated, lost and reordered messages; checked all the time."""
    ids = list(net.members)
    for _ in range(steps):
        match dice.randrange(12):
            case 0 | 1 | 2:
                net.tick(dice.choice(ids), dice.randrange(1, 4))
            case 3 | 4 | 5 | 6 if net.flying:
                message = net.flying[dice.randrange(len(net.flying))]
                if dice.random() < 0.9:
                    net.flying.remove(message)
                if dice.random() < 0.9:
                    net.deliver(message)
            case 7:
                try:
                    net[dice.choice(ids)].raw.propose([b"x" * dice.randrange(20)] * dice.randrange(1, 4))
                except ProposalDropped:
                    pass  # no leader there
            case 8 if dice.random() < 0.2:
                net.crash(dice.choice(ids))
            case 9 if dice.random() < 0.3:
                net[dice.choice(ids)].raw.transfer_leader(dice.choice(ids))
            case 10:
                net[dice.choice(ids)].raw.read_index(b"%d" % dice.randrange(1000))
            case 11 if dice.random() < 0.1:
                net.settle()
        for member in net.members.values():
            net.collect(member)
        check_all([member.raw for member in net.members.values()], history)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"pre_vote": True, "check_quorum": True},
        {"pre_vote": True, "check_quorum": True, "max_reject_runs": 8, "witnesses": (3,), "priorities": {2: 1}},
        {"check_quorum": True, "read_only": "lease", "lease_ms": 80, "max_inflight_msgs": 2, "max_size_per_msg": 100},
    ],
    ids=["plain", "pre-vote", "options", "lease"],
)
@pytest.mark.parametrize("number", range(4))
def test_everything_holds_in_a_storm(options: dict[str, Any], number: int, seed: int) -> None:
    dice = random.Random(seed + number)
    net = Network(3, seed=number, **options)
    history = History()
    stormy(net, dice, 600, history)
    # Split votes may follow one another (paper 5.2): how many timeouts it takes is chance, that it ends is not.
    for _ in range(60):
        net.tick_all(ELECTION_TICK)
        check_all([member.raw for member in net.members.values()], history)
        if len({tuple(member.log()) for member in net.members.values()}) == 1:
            break
    assert len({tuple(member.log()) for member in net.members.values()}) == 1


def test_two_leaders_of_one_term_are_seen() -> None:
    one, two = Network(1), Network([2])
    one.campaign(1)
    two.campaign(2)
    with pytest.raises(InvariantViolation, match="S1"):
        check_all([one[1].raw, two[2].raw])


def test_a_vote_forgotten_over_a_crash_is_seen() -> None:
    net = Network(3)
    history = History()
    net.campaign(1)
    check_all([net[2].raw], history)
    net[2].storage.set_hard_state(HardState(net[2].raw.term, 3, 0))  # what a broken disk may do
    net.crash(2)
    with pytest.raises(InvariantViolation, match="S6"):
        check_all([net[2].raw], history)


def test_committed_entries_that_differ_are_seen() -> None:
    nets = []
    for term in (1, 2):
        net = Network(1)
        net[1].storage.append(Entries.build([Entry(term, 1, EntryKind.EntryNormal, b"x")]))
        net[1].storage.set_hard_state(HardState(term, 0, 1))
        net.crash(1)
        nets.append(net)
    with pytest.raises(InvariantViolation, match="S5"):
        check_all([net[1].raw for net in nets])


def test_logs_that_agree_after_they_differ_are_seen() -> None:
    nets = []
    for terms in ((1, 3), (2, 3)):
        net = Network(1)
        net[1].storage.append(Entries.build([Entry(t, i, EntryKind.EntryNormal, b"") for i, t in enumerate(terms, 1)]))
        net[1].storage.set_hard_state(HardState(3, 0, 0))
        net.crash(1)
        nets.append(net)
    with pytest.raises(InvariantViolation, match="S3"):
        check_all([net[1].raw for net in nets])


def test_a_leader_without_a_committed_entry_is_seen() -> None:
    history = History()
    history.committed[1] = 1
    net = Network([2])
    net[2].storage.append(Entries.build([Entry(2, 1, EntryKind.EntryNormal, b"")]))
    net[2].storage.set_hard_state(HardState(2, 0, 0))
    net.crash(2)
    net[2].raw.campaign()
    net[2].raw.ready()
    with pytest.raises(InvariantViolation, match="S4"):
        leader_is_complete(net[2].raw, history)


def test_a_leader_may_lack_what_a_later_one_committed() -> None:
    """Entry 1 of term 1, kept by others, is committed by the leader of term 3; that of term 2 has never had it."""
    history = History()
    history.committed[1], history.committed_in[1] = 1, 3
    net = Network([2])
    net[2].storage.append(Entries.build([Entry(2, 1, EntryKind.EntryNormal, b"")]))
    net[2].storage.set_hard_state(HardState(1, 0, 0))
    net.crash(2)
    net[2].raw.campaign()
    net[2].raw.ready()
    assert net[2].raw.term == 2
    leader_is_complete(net[2].raw, history)
    history.committed_in[1] = 2
    with pytest.raises(InvariantViolation, match="S4: leader 2 of term 2 lacks entry 1 of term 1"):
        leader_is_complete(net[2].raw, history)


def test_a_clone_goes_its_own_way() -> None:
    net = Network(3)
    net.campaign(1)
    net.propose(1, b"both")
    original = net[1].raw
    copy = original.clone()
    assert copy.fingerprint() == original.fingerprint()
    copy.propose([b"only the copy"])
    assert copy.last_index == original.last_index + 1
    assert copy.fingerprint() != original.fingerprint()
    assert original.status().progress[2].next == original.last_index + 1
    original.propose([b"only the copy"])
    assert copy.fingerprint() == original.fingerprint()
    check(copy)
    check(original)


def test_a_clone_does_the_same_as_its_original() -> None:
    net = Network(3, pre_vote=True, check_quorum=True, seed=5)
    net.campaign(1)
    original = net[2].raw
    copy = original.clone()
    for _ in range(4 * ELECTION_TICK):
        original.tick()
        copy.tick()
        while original.has_ready():
            assert repr(original.ready()) == repr(copy.ready())
        assert original.fingerprint() == copy.fingerprint()


def test_fingerprints_tell_what_comes_next_apart() -> None:
    net = Network(3)
    before = net[2].raw.fingerprint()
    net[2].raw.tick()
    assert net[2].raw.fingerprint() != before  # one tick nearer to an election
    net.campaign(1)
    assert [m.type for m in net.sent].count(MessageType.MsgVote) == 2
    assert net[2].raw.fingerprint() != net[3].raw.fingerprint()
