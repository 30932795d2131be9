"""Figure 2: volatile state on leaders and the rules for leaders."""

from __future__ import annotations

import pytest

from raftcore import MessageType, StateType
from tests.core.server import Server, of, with_logs


def elected(terms: list[int], voters: int = 3) -> Server:
    """A leader that has only just won: nobody has said anything about its log."""
    server = Server(terms, voters=range(1, voters + 1))
    server.campaign()
    for peer in server.peers:
        server.step(MessageType.MsgVoteResp, server.raw.term, peer)
    assert server.member.role == StateType.StateLeader
    return server


def test_figure_2_leader_state_next_index_begins_after_the_last_entry_and_match_index_at_zero() -> None:
    progress = elected([1, 1, 2]).raw.status().progress
    # The first append, already sent, begins right behind the log as it was at the election.
    assert [(p.match, p.next) for p in progress.values() if p.id != 1] == [(0, 4), (0, 4)]


def test_figure_2_leader_state_is_made_anew_after_each_election() -> None:
    server = Server([1])
    server.lead()
    assert server.raw.status().progress[2].match == 2
    server.step(MessageType.MsgHeartbeat, 5)
    server.campaign()
    server.step(MessageType.MsgVoteResp, server.raw.term, 2)
    assert server.raw.status().progress[2].match == 0


def test_figure_2_leaders_send_to_each_server_at_once_upon_election() -> None:
    server = Server()
    server.campaign()
    sent = server.step(MessageType.MsgVoteResp, 1, 2)
    assert [m.to for m in of(MessageType.MsgApp, sent)] == [2, 3]


def test_figure_2_leaders_repeat_it_in_idle_times() -> None:
    server = Server()
    server.lead()
    for _ in range(3):
        assert [m.to for m in of(MessageType.MsgHeartbeat, server.tick())] == [2, 3]


def test_figure_2_leaders_append_a_command_and_answer_after_it_is_applied() -> None:
    server = Server()
    server.lead()
    index = server.raw.propose([b"x"])
    server.net.collect(server.member)
    assert server.raw.last_index == index
    assert server.member.applied == []
    server.acknowledge(2)
    assert server.member.applied == [(index, 1, b"x")]


def test_figure_2_leaders_send_everything_from_next_index_on() -> None:
    server = Server([1, 1])
    server.lead()
    server.raw.propose([b"a", b"b"])
    sent = of(MessageType.MsgApp, server.does(lambda: None))
    assert [(m.to, m.index, len(m.entries or ())) for m in sent] == [(2, 3, 2), (3, 3, 2)]


def test_figure_2_leaders_advance_next_and_match_index_on_success() -> None:
    server = elected([1, 1])
    server.acknowledge(2, 3)
    peer = server.raw.status().progress[2]
    assert (peer.match, peer.next) == (3, 4)


def test_figure_2_leaders_retry_further_back_after_an_inconsistency() -> None:
    server = elected([1, 1, 1, 1])
    sent = server.step(MessageType.MsgAppResp, 2, 2, reject=True, index=4, reject_hint=2, log_term=1)
    assert [(m.to, m.index, m.log_term) for m in of(MessageType.MsgApp, sent)] == [(2, 2, 1)]


@pytest.mark.parametrize(
    ("terms", "matches", "commit"),
    [
        # majority holds an entry of the leader's own term (3, at index 4)
        ([1, 2, 2], {2: 4, 3: 4}, 4),
        ([1, 2, 2], {2: 4}, 0),  # two of five are no majority
        # a majority holds only what former leaders left
        ([1, 2, 2], {2: 3, 3: 3}, 0),
        ([1, 2, 2], {2: 3, 3: 3, 4: 3, 5: 3}, 0),
        ([1, 2, 2], {2: 3, 3: 4, 4: 3, 5: 3}, 0),
        ([1, 2, 2], {2: 3, 3: 4, 4: 4, 5: 3}, 4),
    ],
)
def test_figure_2_leaders_commit_what_a_majority_holds_if_its_term_is_their_own(
    terms: list[int], matches: dict[int, int], commit: int
) -> None:
    server = elected(terms, voters=5)
    for peer, match in matches.items():
        server.acknowledge(peer, match)
    assert server.raw.commit_index == commit


def test_figure_2_leaders_bring_every_follower_to_their_own_log() -> None:
    net = with_logs({1: [1, 1, 4, 4], 2: [1], 3: [1, 1, 2, 2, 2, 2]})
    net.campaign(1)
    net.tick_all(2)
    assert net[2].log() == net[3].log() == net[1].log()
