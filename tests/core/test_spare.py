"""Whom a leader feeds without haste: who is far behind, and whom no quorum needs (PagedStorageView, ``urgent``).

What a check of the quorum finds (thesis 6.2) holds until the next. Whoever the quorum needs, be it for commits or for a
leadership that is to be handed over to it, is urgent.
"""

from __future__ import annotations

from typing import Any

from tests.core.network import ELECTION_TICK, Network
from tests.core.test_entries_at_hand import Paged, commands, paged


def storage(net: Network, node_id: int = 1) -> Paged:
    found = net[node_id].storage
    assert isinstance(found, Paged)
    return found


def one_behind(ids: int = 3, behind: int = 3, **options: Any) -> Network:
    """Node 1 leads, and one node lacks entries which node 1 has to read."""
    net = paged(ids, check_quorum=True, pre_vote=True, **options)
    net.campaign(1)
    net.isolate(behind)
    for number in range(4):
        net.propose(1, b"%d" % number)
    return net


def until_checked(net: Network) -> None:
    """So long that node 1 has looked for its quorum at least once."""
    net.tick_all(ELECTION_TICK)


def asks_again(net: Network) -> bool:
    """Whether it is urgent what node 1 has to read now."""
    storage(net).urgent = None
    net[1].raw.report_entries()
    urgent = storage(net).urgent
    assert urgent is not None, "nobody waits for entries"
    return urgent


def test_who_is_far_behind_is_spare_once_a_quorum_was_heard_without_it() -> None:
    net = one_behind()
    net.heal()
    net.tick_all(3)
    assert storage(net).urgent is True, "before the first check nobody knows"
    until_checked(net)
    assert not asks_again(net)


def test_who_was_silent_when_the_quorum_was_checked_is_spare_when_it_comes_back() -> None:
    net = one_behind()
    until_checked(net)
    net.heal()
    net.tick_all(3)
    assert storage(net).urgent is False


def test_it_catches_up_all_the_same() -> None:
    net = one_behind()
    until_checked(net)
    storage(net).at_hand = True
    net.heal()
    net.tick_all(3)
    assert storage(net).urgent is False
    assert commands(net, 3) == [b"0", b"1", b"2", b"3"]


def test_whom_a_quorum_needs_is_urgent() -> None:
    net = one_behind()
    net.heal()
    until_checked(net)
    assert not asks_again(net)
    net.isolate(2)
    until_checked(net)
    until_checked(net)  # of the first, node 2 may have been heard for a while
    assert net.leader == 1
    assert asks_again(net)
    net.heal()
    until_checked(net)
    until_checked(net)
    assert not asks_again(net)


def test_of_two_that_are_behind_both_are_needed_where_only_one_would_do() -> None:
    """Of five, three are a quorum; of those that take part, nodes 1 and 2 hold all there is."""
    net = one_behind(5, 5)
    net.heal()
    net.isolate(3)
    net.isolate(4)
    until_checked(net)
    until_checked(net)
    assert asks_again(net)


def test_two_that_are_far_behind_do_not_make_each_other_spare() -> None:
    """Of five, with one that has failed: each commit needs one of both, and neither can acknowledge it yet."""
    net = one_behind(5, 5)
    net.isolate(4)
    for number in range(4, 8):
        net.propose(1, b"%d" % number)
    net.heal()
    until_checked(net)
    until_checked(net)
    assert not asks_again(net), "nodes 1, 2 and 3 are a quorum"
    net.isolate(3)
    until_checked(net)
    until_checked(net)
    assert net.leader == 1
    net.propose(1, b"waits")
    assert b"waits" not in commands(net, 1)
    assert asks_again(net)
    storage(net).at_hand = True
    net[1].raw.report_entries()
    net.settle()
    assert commands(net, 1)[-1] == b"waits"


def test_who_is_to_take_over_is_urgent() -> None:
    """It has an election timeout to catch up in (thesis 3.10)."""
    net = one_behind()
    net.heal()
    until_checked(net)
    assert not asks_again(net)
    net[1].raw.transfer_leader(3)
    assert asks_again(net)


def test_a_learner_is_needed_for_nothing() -> None:
    net = paged(1, check_quorum=True, learners=[2])
    net.campaign(1)
    net.isolate(2)
    for number in range(4):
        net.propose(1, b"%d" % number)
    net.heal()
    until_checked(net)
    net.tick_all(3)
    assert not asks_again(net)


def test_who_is_not_far_behind_is_not_spare() -> None:
    """What it lacks is in memory: it is sent that as it comes."""
    net = one_behind(max_window_entries=100)
    until_checked(net)
    net.heal()
    net.tick_all(3)
    assert storage(net).asked == []
    assert commands(net, 3) == [b"0", b"1", b"2", b"3"]


def test_without_checks_of_the_quorum_everything_is_urgent() -> None:
    """Nobody knows then who has been heard lately."""
    net = one_behind()
    for member in net.members.values():
        member.options["check_quorum"] = False
        member.start()
    net.campaign(1)
    net.heal()
    until_checked(net)
    until_checked(net)
    assert asks_again(net)


def test_a_new_leader_knows_nobody_to_be_spare() -> None:
    net = one_behind()
    net.heal()
    until_checked(net)
    assert not asks_again(net)
    for leader, next_leader in ((1, 2), (2, 1)):
        net[leader].raw.transfer_leader(next_leader)
        net.settle()
        assert net.leader == next_leader
    storage(net).urgent = None
    net.tick_all(2)
    assert asks_again(net)


def test_what_a_restart_applies_is_urgent() -> None:
    net = paged(1, check_quorum=True)
    net.campaign(1)
    net.propose(1, b"a")
    net.crash(1)
    net.settle()
    assert storage(net).urgent is True


def test_a_clone_knows_who_is_spare() -> None:
    net = one_behind()
    net.heal()
    until_checked(net)
    assert not asks_again(net)
    copy = net[1].raw.clone()
    assert copy.fingerprint() == net[1].raw.fingerprint()
    storage(net).urgent = None
    copy.report_entries()
    assert storage(net).urgent is False
