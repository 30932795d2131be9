"""What a leader commits, by match indexes, the entries' terms and its own term (Figure 2, leaders; paper 5.4.2)."""

from __future__ import annotations

import random

import pytest

from raftcore import ConfChange, ConfChangeType, MessageType
from tests.core.server import Server


def leader(old: list[int], own: int, voters: int, learners: tuple[int, ...] = ()) -> Server:
    """A leader with ``old`` entries of former terms and ``own`` of its term; nobody has acknowledged anything."""
    server = Server(old, voters=range(1, voters + 1), learners=learners)
    server.campaign()
    for peer in server.peers:
        server.step(MessageType.MsgVoteResp, server.raw.term, peer)
    if own > 1:
        server.raw.propose([b"x"] * (own - 1))  # the first is the empty one
        server.net.collect(server.member)
    assert server.raw.last_index == len(old) + own
    return server


def commit_of(server: Server, matches: dict[int, int]) -> int:
    for peer, match in matches.items():
        server.acknowledge(peer, match)
    return server.raw.commit_index


@pytest.mark.parametrize(
    ("old", "own", "voters", "matches", "commit"),
    [
        ([], 1, 1, {}, 1),
        ([1, 1], 2, 1, {}, 4),
        # two: both must have it
        ([], 3, 2, {}, 0),
        ([], 3, 2, {2: 2}, 2),
        ([1, 2], 1, 2, {2: 2}, 0),
        ([1, 2], 1, 2, {2: 3}, 3),
        # three: one other
        ([], 3, 3, {2: 1}, 1),
        ([], 3, 3, {2: 1, 3: 3}, 3),
        ([1, 1], 2, 3, {2: 2, 3: 2}, 0),
        ([1, 1], 2, 3, {2: 2, 3: 3}, 3),
        # four: two others
        ([], 4, 4, {2: 4}, 0),
        ([], 4, 4, {2: 4, 3: 2}, 2),
        ([], 4, 4, {2: 4, 3: 2, 4: 3}, 3),
        ([1, 2, 3], 1, 4, {2: 4, 3: 3, 4: 3}, 0),
        # five: two others
        ([], 9, 5, {2: 1, 3: 2, 4: 3, 5: 4}, 3),
        ([1, 1, 1], 6, 5, {2: 1, 3: 2, 4: 3, 5: 4}, 0),
        ([1, 1], 6, 5, {2: 1, 3: 2, 4: 3, 5: 4}, 3),
        ([1, 1], 6, 5, {2: 8, 3: 8}, 8),
    ],
)
def test_table(old: list[int], own: int, voters: int, matches: dict[int, int], commit: int) -> None:
    assert commit_of(leader(old, own, voters), matches) == commit


def test_learners_do_not_count() -> None:
    assert commit_of(leader([], 3, 3, learners=(4, 5, 6)), {4: 3, 5: 3, 6: 3}) == 0


def test_the_leaders_own_entry_counts_once_it_is_durable() -> None:
    server = leader([], 1, 3)
    server.net.writes_held.add(1)
    server.raw.propose([b"x"])
    server.net.collect(server.member)
    assert commit_of(server, {2: 2}) == 1
    server.net.write(server.member)
    assert server.raw.commit_index == 2


def test_entries_may_be_committed_before_the_leader_has_written_them() -> None:
    """A majority without the leader is a majority (thesis 10.2.1)."""
    server = leader([], 1, 3)
    server.net.writes_held.add(1)
    server.raw.propose([b"x"])
    server.net.collect(server.member)
    assert commit_of(server, {2: 2, 3: 2}) == 2


def test_old_and_repeated_acknowledgements_move_nothing_back() -> None:
    server = leader([], 5, 3)
    assert commit_of(server, {2: 4}) == 4
    assert commit_of(server, {2: 1}) == 4
    assert server.raw.status().progress[2].match == 4


def test_against_the_definition(seed: int) -> None:
    """The largest N of the leader's own term that a majority holds, whatever the order of acknowledgements."""
    rng = random.Random(seed)
    for _ in range(60):
        voters = rng.randint(1, 7)
        old = sorted(rng.randint(1, 4) for _ in range(rng.randint(0, 6)))
        own = rng.randint(1, 6)
        server = leader(old, own, voters)
        last, term = server.raw.last_index, server.raw.term
        match = {1: last} | dict.fromkeys(range(2, voters + 1), 0)
        for _ in range(10 if voters > 1 else 0):
            peer = rng.randint(2, voters)
            acknowledged = rng.randint(1, last)
            server.acknowledge(peer, acknowledged)
            match[peer] = max(match[peer], acknowledged)
        holds = [n for n in range(1, last + 1) if 2 * sum(m >= n for m in match.values()) > voters]
        assert server.raw.commit_index == max((n for n in holds if server.raw.term_at(n) == term), default=0)


def test_a_smaller_quorum_commits_at_once_what_it_has() -> None:
    """A leader commits what a majority of the new configuration has (paper 6), without waiting for another answer."""
    server = leader([], 1, voters=4)
    assert commit_of(server, {2: 1, 3: 1}) == 1
    removal = server.raw.propose_conf_change(ConfChange(ConfChangeType.RemoveNode, 4)).index
    last = server.raw.propose([b"a"])
    server.net.collect(server.member)
    server.net.sent.clear()
    # Three of four have the removal; two of four have what follows it, and two of three are enough once 4 is gone.
    assert commit_of(server, {2: last, 3: removal}) == last
    assert server.raw.conf_state.voters == (1, 2, 3)
    told = [message for message in server.net.sent if message.type == MessageType.MsgApp and message.to in (2, 3)]
    assert {message.to for message in told if message.commit == last} == {2, 3}, "and says so at once"
