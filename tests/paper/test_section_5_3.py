"""Section 5.3, log replication."""

from __future__ import annotations

import random

import pytest

from raftcore import MessageType, StateType
from tests.core.network import ELECTION_TICK, Network
from tests.core.server import Server, entries, of, with_logs


def test_5_3_the_leader_appends_a_command_and_sends_it_to_all_in_parallel() -> None:
    server = Server(voters=range(1, 6))
    server.lead()
    server.raw.propose([b"x"])
    sent = server.does(lambda: None)
    assert [m.to for m in of(MessageType.MsgApp, sent)] == [2, 3, 4, 5]
    assert {(m.entries or entries(1, [1])).commands()[0] for m in sent} == {b"x"}


def test_5_3_a_command_is_applied_once_it_is_safely_replicated() -> None:
    net = Network(3)
    net.campaign(1)
    net.isolate(1)
    net.propose(1, b"x")
    assert net[1].applied == []
    net.heal()
    net.tick_all(2)
    assert [command for _, _, command in net[1].applied] == [b"x"]


def test_5_3_the_leader_retries_until_all_followers_store_all_entries_also_after_it_answered() -> None:
    net = Network(3)
    net.campaign(1)
    net.isolate(3)
    index = net.propose(1, b"x")
    assert net[1].raw.commit_index == index
    net.tick_all(5 * ELECTION_TICK)
    net.heal()
    net.tick_all(4 * ELECTION_TICK)
    assert net[3].log() == net[net.leader].log()
    assert b"x" in [command for _, _, command in net[3].applied]


def test_5_3_a_follower_that_crashed_catches_up() -> None:
    net = Network(3)
    net.campaign(1)
    net.isolate(3)
    net.propose(1, b"x", b"y")
    net.crash(3)
    net.heal()
    net.tick_all(4 * ELECTION_TICK)
    assert [command for _, _, command in net[3].applied] == [b"x", b"y"]


def test_5_3_each_entry_has_the_term_in_which_its_leader_received_it_and_its_index() -> None:
    net = Network(3)
    net.campaign(1)
    net.propose(1, b"a")
    net.campaign(2)
    net.propose(2, b"b")
    assert net[3].log() == [(1, 1), (2, 1), (3, 2), (4, 2)]


def test_5_3_an_entry_is_committed_once_its_leader_has_it_on_a_majority() -> None:
    server = Server(voters=range(1, 6))
    server.lead()
    index = server.raw.propose([b"x"])
    server.net.collect(server.member)
    server.acknowledge(2)
    assert server.raw.commit_index == index - 1
    server.acknowledge(4)
    assert server.raw.commit_index == index


def test_5_3_committing_an_entry_commits_all_before_it_also_those_of_former_leaders() -> None:
    net = with_logs({1: [1, 2, 2], 2: [1], 3: [1, 2]})
    net.campaign(1)
    assert net[1].raw.commit_index == 4
    assert [(index, term) for index, term, _ in net[2].applied] == [(1, 1), (2, 2), (3, 2)]


def test_5_3_followers_learn_the_commit_index_from_later_messages_and_apply_in_log_order() -> None:
    net = Network(3)
    net.campaign(1)
    net.propose(1, *[b"%d" % i for i in range(20)])
    net.tick_all(2)
    for member in net.members.values():
        assert [command for _, _, command in member.applied] == [b"%d" % i for i in range(20)]


def test_5_3_a_leader_makes_at_most_one_entry_with_an_index_in_its_term() -> None:
    net = Network(3)
    net.campaign(1)
    indexes = [net[1].raw.propose([b"a", b"b"]), net[1].raw.propose([b"c"])]
    assert indexes == [2, 4]
    net.settle()
    assert [index for index, _ in net[1].log()] == [1, 2, 3, 4]


def test_5_3_log_matching_entries_with_the_same_index_and_term_are_equal_with_all_before_them(seed: int) -> None:
    """Random proposals, losses and elections: wherever two logs share (index, term), they are equal up to there."""
    rng = random.Random(seed)
    net = Network(5)
    net.lose = lambda message: rng.random() < 0.1
    for step in range(250):
        if step % 20 == 0:
            net[rng.randint(1, 5)].raw.campaign()
        for member in net.members.values():
            if member.role == StateType.StateLeader:
                member.raw.propose([b"%d" % step])
        net.tick_all()
        if step % 25 == 0:
            check_log_matching(net)
    check_log_matching(net)
    assert max(member.raw.commit_index for member in net.members.values()) > 10


def check_log_matching(net: Network) -> None:
    members = list(net.members.values())
    for one in members:
        for other in members:
            last = min(one.raw.last_index, other.raw.last_index)
            while last > 0 and one.raw.term_at(last) != other.raw.term_at(last):
                last -= 1
            if last > 0:
                assert one.storage.entries(1, last + 1) == other.storage.entries(1, last + 1)


@pytest.mark.parametrize(("index", "log_term", "accepted"), [(2, 1, True), (2, 2, False), (3, 1, False), (0, 0, True)])
def test_5_3_a_follower_refuses_entries_unless_it_has_the_one_before_them(
    index: int, log_term: int, accepted: bool
) -> None:
    server = Server([1, 1], term=3)
    (answer,) = server.append(3, index, log_term, [3])
    assert answer.reject is not accepted


def test_5_3_conflicting_entries_in_followers_are_overwritten_with_the_leaders() -> None:
    net = with_logs({1: [1, 1, 3], 2: [1, 2, 2, 2, 2], 3: [1, 1, 3]})
    net.campaign(1)
    net.tick_all(1)
    assert net[2].log() == net[1].log()


def test_5_3_a_rejection_moves_next_index_back_and_appends_are_tried_again() -> None:
    net = with_logs({1: [1, 2, 3, 4, 5], 2: [1], 3: [1, 2, 3, 4, 5]})
    net.campaign(1)
    rejected = [m for m in of(MessageType.MsgAppResp, net.sent) if m.reject]
    assert [m.index for m in rejected] == [5]
    assert net[2].log() == net[1].log()


def test_5_3_with_conflicts_over_many_entries_each_term_costs_one_rejection_not_each_entry() -> None:
    net = with_logs({1: [1] + [4] * 50, 2: [1] + [2] * 30 + [3] * 30, 3: [1] + [4] * 50})
    net.campaign(1)
    net.tick_all(1)
    assert net[2].log() == net[1].log()
    assert len([m for m in of(MessageType.MsgAppResp, net.sent) if m.reject]) <= 3


def test_5_3_a_leader_never_overwrites_or_deletes_entries_of_its_own_log() -> None:
    net = with_logs({1: [1, 1, 2], 2: [1, 1, 2, 2], 3: [1, 1]})
    net.isolate(2)
    net.campaign(1)
    before = net[1].log()
    net.heal()
    net.tick_all(3)
    assert net[1].log()[: len(before)] == before


def test_5_3_one_slow_follower_does_not_slow_the_others() -> None:
    net = Network(3)
    net.campaign(1)
    net.isolate(3)
    indexes = [net.propose(1, b"x") for _ in range(50)]
    assert net[1].raw.commit_index == indexes[-1]
    assert net[2].raw.last_index == indexes[-1]
