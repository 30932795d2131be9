"""Section 8, client interaction: finding the leader, and linearizable reads."""

from __future__ import annotations

import pytest

from raftcore import EntryKind
from raftcore.base.errors import ProposalDropped
from tests.core.network import Network
from tests.core.server import with_logs


def test_8_a_follower_knows_the_leader_it_last_heard_from_and_passes_the_request_on() -> None:
    net = Network(3)
    net.campaign(1)
    assert net[3].raw.leader == 1
    assert net.propose(3, b"x") == 0
    net.tick_all(1)
    assert [command for _, _, command in net[3].applied] == [b"x"]


def test_8_a_follower_that_may_not_pass_it_on_rejects_the_request() -> None:
    net = Network(3, disable_proposal_forwarding=True)
    net.campaign(1)
    with pytest.raises(ProposalDropped) as dropped:
        net[3].raw.propose([b"x"])
    assert dropped.value.reason == "not_leader"


def test_8_without_a_leader_a_request_is_rejected_and_the_client_tries_again() -> None:
    net = Network(3)
    with pytest.raises(ProposalDropped) as dropped:
        net[3].raw.propose([b"x"])
    assert dropped.value.reason == "no_leader"


def test_8_a_leader_commits_an_empty_entry_at_the_start_of_its_term() -> None:
    net = with_logs({1: [1, 2], 2: [1], 3: [1]})
    net.campaign(1)
    assert net[1].raw.commit_index == 3
    (entry,) = net[1].storage.entries(3, 4)
    assert (entry.term, entry.kind, entry.data) == (3, EntryKind.EntryNoop, b"")


def test_8_a_read_leaves_no_entry_and_names_the_commit_index() -> None:
    net = Network(3)
    net.campaign(1)
    index = net.propose(1, b"x")
    assert net[1].raw.read_index(b"r")
    net.settle()
    assert net[1].reads == [(index, b"r")]
    assert net[1].raw.last_index == index


def test_8_a_new_leader_answers_no_read_before_it_has_committed_in_its_term() -> None:
    """Until then it does not know which entries are committed: here index 2, which it holds, is."""
    net = with_logs({1: [1, 1], 2: [1, 1], 3: [1, 1]})
    net.isolate(3)
    net.lose = lambda m: m.entries is not None
    net.campaign(1)
    net[1].raw.read_index(b"early")
    net.settle()
    net.tick_all(2)
    assert net[1].reads == []
    net.lose = lambda m: False
    net.tick_all(2)
    assert net[1].reads == [(3, b"early")]


def test_8_a_deposed_leader_that_does_not_know_it_yet_answers_no_read() -> None:
    net = Network(3)
    net.campaign(1)
    net.isolate(1)
    net.campaign(2)
    net.propose(2, b"new")
    assert net[1].raw.read_index(b"stale")
    net.settle()
    net.tick(1, 5)
    assert net[1].reads == []
    net.heal()
    net.tick_all(3)
    assert net[1].reads == []


def test_8_a_leader_exchanges_heartbeats_with_a_majority_before_it_answers() -> None:
    net = Network(5)
    net.campaign(1)
    net.tick_all(1)
    for silent in (3, 4, 5):
        net.isolate(silent)
    net[1].raw.read_index(b"r")
    net.settle()
    assert net[1].reads == []  # one answer of the two that are needed
    net.heal()
    net.tick_all(1)
    assert [context for _, context in net[1].reads] == [b"r"]
