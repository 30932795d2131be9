"""To whom a leader that stops may hand over: voters that have all that is committed, the preferred one first."""

from __future__ import annotations

from tests.core.network import ELECTION_TICK, Network


def test_only_a_leader_knows() -> None:
    net = Network(3)
    net.campaign(1)
    assert net[1].raw.successors() == [2, 3]
    assert net[2].raw.successors() == []


def test_alone_there_is_nobody() -> None:
    net = Network(1)
    net.campaign(1)
    assert net[1].raw.successors() == []


def test_one_that_lacks_what_is_committed_is_none() -> None:
    net = Network(3)
    net.campaign(1)
    net.isolate(2)
    net.propose(1, b"x")
    assert net[1].raw.successors() == [3]
    net.heal()
    net.tick_all(ELECTION_TICK)
    assert net[1].raw.successors() == [2, 3]


def test_the_longest_log_comes_first() -> None:
    """Entry b is on 1 and 4 only, so that it is not committed and 2, 3 and 5 are caught up as well."""
    net = Network(5)
    net.campaign(1)
    net.propose(1, b"a")
    net.isolate(2)
    net.isolate(3)
    net.isolate(5)
    net.propose(1, b"b")
    assert net[1].raw.successors() == [4, 2, 3, 5]


def test_priority_comes_before_the_log_and_witnesses_do_not_come() -> None:
    net = Network(5, priorities={5: 2, 3: 1}, witnesses=[2])
    net.campaign(1)
    net.propose(1, b"a")
    for node_id in (2, 3, 5):
        net.isolate(node_id)
    net.propose(1, b"b")
    assert net[1].raw.successors() == [5, 3, 4]
