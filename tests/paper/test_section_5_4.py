"""Section 5.4, safety: the election restriction, entries of former terms, and what follows from both."""

from __future__ import annotations

import random

import pytest

from raftcore import MessageType, StateType
from tests.core.network import Network
from tests.core.server import Server, with_logs


@pytest.mark.parametrize(
    ("voter", "candidate", "granted"),
    [
        ([1, 1, 2], [1, 1, 3], True),  # the later last term is more up-to-date
        ([1, 1, 1, 1, 2], [3], True),  # also when the log is shorter
        ([1, 3], [1, 2, 2, 2, 2], False),
        ([1, 2], [1, 2, 2], True),  # the same last term: the longer log
        ([1, 2, 2], [1, 2], False),
        ([1, 2], [1, 2], True),
        ([1, 1, 2], [1, 2, 2], True),  # only the last entry counts
        ([], [], True),
        ([1], [], False),
    ],
)
def test_5_4_1_a_voter_denies_its_vote_when_its_own_log_is_more_up_to_date(
    voter: list[int], candidate: list[int], granted: bool
) -> None:
    server = Server(voter, term=3)
    (answer,) = server.vote(4, len(candidate), candidate[-1] if candidate else 0)
    assert answer.reject is not granted


def test_5_4_1_a_candidate_without_all_committed_entries_cannot_win() -> None:
    net = Network(5)
    net.campaign(1)
    net.isolate(4)
    net.isolate(5)
    net.propose(1, b"x")  # committed by 1, 2, 3
    net.heal()
    net.isolate(1)
    for behind in (4, 5):
        net.campaign(behind)
        assert net[behind].role != StateType.StateLeader
    net.campaign(2)
    assert net[2].role == StateType.StateLeader
    assert [command for _, _, command in net[5].applied] == [b"x"]


def test_5_4_1_entries_flow_only_from_leaders_to_followers() -> None:
    net = with_logs({1: [1, 2], 2: [1], 3: [1, 1]})
    net.campaign(1)
    assert net[1].log()[:2] == [(1, 1), (2, 2)]


def test_5_4_2_an_entry_of_a_former_term_is_never_committed_by_counting() -> None:
    server = Server([1, 2, 2], voters=range(1, 6))
    server.campaign()
    for peer in (2, 3, 4, 5):
        server.step(MessageType.MsgVoteResp, 3, peer)
    for peer in (2, 3, 4, 5):
        server.acknowledge(peer, 3)
    assert server.raw.commit_index == 0
    server.acknowledge(2)
    server.acknowledge(3)
    assert server.raw.commit_index == 4


def test_5_4_2_entries_keep_their_term_when_a_later_leader_replicates_them() -> None:
    net = with_logs({1: [1, 2, 2], 2: [1], 3: [1]})
    net.campaign(1)
    assert net[3].log() == [(1, 1), (2, 2), (3, 2), (4, 3)]


def test_5_4_3_leader_completeness_and_state_machine_safety(seed: int) -> None:
    """Random losses, crashes, elections and proposals: every leader holds all that was ever applied anywhere, and
    nobody applies another command at the same index."""
    rng = random.Random(seed)
    net = Network(5)
    net.lose = lambda message: rng.random() < 0.1
    applied: dict[int, tuple[int, bytes]] = {}
    led: set[tuple[int, int]] = set()
    for step in range(400):
        chance = rng.random()
        victim = rng.randint(1, 5)
        if chance < 0.04:
            net[victim].raw.campaign()
        elif chance < 0.08:
            net.crash(victim)
        elif chance < 0.12:
            net.isolate(victim)
        elif chance < 0.2:
            net.heal()
        for member in net.members.values():
            if member.role == StateType.StateLeader:
                member.raw.propose([b"%d" % step])
        net.tick_all()
        for member in net.members.values():
            for index, term, command in member.applied:
                assert applied.setdefault(index, (term, command)) == (term, command)
            raw = member.raw
            if member.role == StateType.StateLeader and (raw.term, raw.id) not in led:
                led.add((raw.term, raw.id))
                assert [i for i, (term, _) in applied.items() if term < raw.term and raw.term_at(i) != term] == []
    assert len(led) > 2
    assert len(applied) > 20


def test_5_5_followers_and_candidates_that_crash_and_repeated_requests_do_no_harm() -> None:
    net = Network(3)
    net.campaign(1)
    net.propose(1, b"x")
    net.tick_all(1)
    for message in list(net.sent):  # everything that was ever sent, once more
        net.deliver(message)
    net.crash(2)
    net.settle()
    net.tick_all(2)
    assert [command for _, _, command in net[1].applied] == [b"x"]
    assert net[2].log() == net[1].log()


def test_5_6_safety_does_not_depend_on_timing(seed: int) -> None:
    """All messages in a random order: still one leader a term, and logs that agree where they are committed."""
    rng = random.Random(seed)
    net = Network(3)
    leaders: dict[int, int] = {}
    for step in range(600):
        if rng.random() < 0.05:
            member = net[rng.randint(1, 3)]
            member.raw.campaign()
            net.collect(member)
        for member in net.members.values():
            if member.role == StateType.StateLeader and rng.random() < 0.2:
                member.raw.propose([b"%d" % step])
                net.collect(member)
        for _ in range(min(len(net.flying), rng.randint(0, 4))):
            net.deliver(net.flying.pop(rng.randrange(len(net.flying))))
        for member in net.members.values():
            if member.role == StateType.StateLeader:
                assert leaders.setdefault(member.raw.term, member.id) == member.id
    net.settle()
    logs = [member.applied for member in net.members.values()]
    shortest = min(map(len, logs))
    assert logs[0][:shortest] == logs[1][:shortest] == logs[2][:shortest]
    assert not [error for member in net.members.values() for error in member.errors]
