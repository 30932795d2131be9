"""Read index (thesis 6.4): which answers confirm which read, and what never does."""

from __future__ import annotations

import pytest

from raftcore import ConfChange, ConfChangeType, ConfChangeV2, Message, MessageType, StateType
from raftcore.base.errors import RaftError
from raftcore.membership.confchange import ConfChangeTransition, parse
from tests.core.network import Network
from tests.core.server import Server, of


def leader(voters: int = 5, **options: object) -> Server:
    """A leader that has committed in its own term."""
    server = Server(voters=range(1, voters + 1), **options)
    server.lead()
    assert server.raw.commit_index == 1
    return server


def ask(server: Server, name: bytes) -> bytes:
    """Asks for a read; the context of the heartbeats that go out for it."""
    sent = of(MessageType.MsgHeartbeat, server.does(lambda: server.raw.read_index(name)))
    assert [m.to for m in sent] == server.peers
    (context,) = {m.context for m in sent}
    assert context is not None
    return context


def confirm(server: Server, peer: int, context: bytes | None, term: int | None = None) -> list[bytes]:
    """A heartbeat's answer; the reads that are answered by now."""
    progress = server.raw.status().progress.get(peer)
    server.step(
        MessageType.MsgHeartbeatResp,
        server.raw.term if term is None else term,
        peer,
        context=context,
        conf_index=progress.conf_index if progress else 0,
    )
    return names(server)


def names(server: Server) -> list[bytes]:
    return [name for _, name in server.member.reads]


def test_a_quorum_of_answers_confirms() -> None:
    server = leader()
    context = ask(server, b"r")
    assert confirm(server, 2, context) == []
    assert confirm(server, 3, context) == [b"r"]
    assert server.member.reads == [(1, b"r")]


def test_the_index_is_the_commit_index_at_the_time_of_the_question() -> None:
    server = leader()
    context = ask(server, b"r")
    server.raw.propose([b"x"])
    server.net.collect(server.member)
    for peer in (2, 3):
        server.acknowledge(peer)
    assert server.raw.commit_index == 2
    confirm(server, 2, context)
    confirm(server, 3, context)
    assert server.member.reads == [(1, b"r")]


def test_a_repeated_answer_counts_once() -> None:
    server = leader()
    context = ask(server, b"r")
    for _ in range(5):
        assert confirm(server, 2, context) == []


def test_a_late_or_repeated_answer_confirms_no_later_read() -> None:
    server = leader()
    first = ask(server, b"first")
    confirm(server, 2, first)
    confirm(server, 3, first)
    second = ask(server, b"second")
    for peer in (2, 3, 4, 5, 2, 3):
        assert confirm(server, peer, first) == [b"first"]
    confirm(server, 4, second)
    assert confirm(server, 5, second) == [b"first", b"second"]


def test_a_later_answer_confirms_all_earlier_reads_in_order() -> None:
    server = leader()
    ask(server, b"a")
    ask(server, b"b")
    last = ask(server, b"c")
    confirm(server, 2, last)
    assert confirm(server, 3, last) == [b"a", b"b", b"c"]


def test_answers_to_different_rounds_confirm_the_older_one() -> None:
    server = leader()
    first = ask(server, b"a")
    second = ask(server, b"b")
    confirm(server, 2, first)
    assert confirm(server, 3, second) == [b"a"]
    assert confirm(server, 2, second) == [b"a", b"b"]


def test_reads_asked_for_before_the_heartbeats_go_out_share_them() -> None:
    server = leader()

    def many() -> None:
        for name in (b"a", b"b", b"c"):
            server.raw.read_index(name)

    sent = of(MessageType.MsgHeartbeat, server.does(many))
    assert [m.to for m in sent] == [2, 3, 4, 5]
    confirm(server, 2, sent[0].context)
    assert confirm(server, 3, sent[0].context) == [b"a", b"b", b"c"]


def test_a_lost_round_is_repeated_by_the_next_heartbeat() -> None:
    server = leader()
    ask(server, b"r")
    sent = of(MessageType.MsgHeartbeat, server.tick())
    confirm(server, 2, sent[0].context)
    assert confirm(server, 3, sent[0].context) == [b"r"]


@pytest.mark.parametrize("context", [None, b"", b"\x01", b"\x00" * 8, b"\xff" * 8, b"\x01" + b"\x00" * 8])
def test_an_answer_without_a_round_of_this_leadership_confirms_nothing(context: bytes | None) -> None:
    server = leader()
    ask(server, b"r")
    for peer in server.peers:
        assert confirm(server, peer, context) == []


def test_an_answer_of_a_former_term_confirms_nothing() -> None:
    server = leader()
    context = ask(server, b"old")
    server.step(MessageType.MsgHeartbeat, 2, 2)  # deposed
    server.lead()
    assert server.raw.term == 3
    assert ask(server, b"new") == context  # rounds are counted anew
    for peer in server.peers:
        assert confirm(server, peer, context, term=1) == []
    confirm(server, 2, context)
    assert confirm(server, 3, context) == [b"new"]  # the old one went with its leadership


def test_learners_and_strangers_confirm_nothing() -> None:
    server = leader(3, learners=(7, 8, 9))
    context = of(MessageType.MsgHeartbeat, server.does(lambda: server.raw.read_index(b"r")))[0].context
    for peer in (7, 8, 9):
        assert confirm(server, peer, context) == []
    with pytest.raises(RaftError):
        confirm(server, 6, context)
    assert names(server) == []
    assert confirm(server, 2, context) == [b"r"]


def test_a_joint_configuration_needs_both_majorities() -> None:
    server = leader(3)
    server.raw.propose_conf_change(
        ConfChangeV2(tuple(parse("v4 v5 v6 r2 r3")), ConfChangeTransition.TransitionJointExplicit)
    )
    server.net.collect(server.member)
    for peer in (2, 3):
        server.acknowledge(peer)
    assert server.raw.conf_state.voters == (1, 4, 5, 6)
    context = of(MessageType.MsgHeartbeat, server.does(lambda: server.raw.read_index(b"r")))[0].context
    assert confirm(server, 4, context) == []
    assert confirm(server, 5, context) == []
    assert confirm(server, 2, context) == [b"r"]


def test_a_single_node_answers_at_once() -> None:
    server = leader(1)
    server.does(lambda: server.raw.read_index(b"r"))
    assert server.member.reads == [(1, b"r")]


def test_before_the_first_commit_of_its_term_a_leader_begins_no_round() -> None:
    server = Server([1])
    server.campaign()
    server.step(MessageType.MsgVoteResp, 2, 2)
    assert of(MessageType.MsgHeartbeat, server.does(lambda: server.raw.read_index(b"r"))) == []
    sent = of(MessageType.MsgHeartbeat, server.acknowledge(2))
    assert [m.to for m in sent] == [2, 3]
    assert confirm(server, 2, sent[0].context) == [b"r"]
    assert server.member.reads == [(2, b"r")]


def test_a_follower_passes_it_on_and_gets_the_index() -> None:
    net = Network(3)
    net.campaign(1)
    index = net.propose(1, b"x")
    assert net[3].raw.read_index(b"r")
    net.settle()
    assert net[3].reads == [(index, b"r")]
    assert net[1].reads == net[2].reads == []


def test_followers_reads_of_the_same_name_do_not_mix() -> None:
    net = Network(3)
    net.campaign(1)
    for node_id in (1, 2, 3):
        net[node_id].raw.read_index(b"same")
    net.settle()
    assert [len(net[node_id].reads) for node_id in (1, 2, 3)] == [1, 1, 1]


def test_without_a_leader_there_is_nobody_to_ask() -> None:
    net = Network(3)
    assert not net[2].raw.read_index(b"r")
    net.cut = {(2, 1), (2, 3)}
    net.campaign(2)
    assert net[2].role == StateType.StateCandidate
    assert not net[2].raw.read_index(b"r")


def test_a_read_that_is_out_when_the_leader_changes_is_never_answered() -> None:
    net = Network(3)
    net.campaign(1)
    net.tick_all(1)
    net.lose = lambda m: m.type == MessageType.MsgHeartbeatResp
    net[1].raw.read_index(b"r")
    net.settle()
    net.lose = lambda m: False
    net.campaign(2)
    net.campaign(1)
    assert net.leader == 1
    net.tick_all(3)
    assert net[1].reads == []


def test_every_answer_delivered_twice_and_late_still_confirms_only_its_own() -> None:
    """All heartbeat answers of one round, held back and delivered again after the leader lost its majority."""
    net = Network(5)
    net.campaign(1)
    net[1].raw.read_index(b"a")
    net.settle()
    answers = of(MessageType.MsgHeartbeatResp, net.sent)
    net.isolate(1)
    net.campaign(2)
    net.propose(2, b"newer")
    net[1].raw.read_index(b"b")
    net.collect(net[1])
    for message in [*answers, *answers]:
        net.deliver(Message(message.type, 1, message.from_, message.term, context=message.context))
    assert [name for _, name in net[1].reads] == [b"a"]


def test_a_leader_that_was_removed_does_not_speak_for_the_only_voter_left() -> None:
    net = Network(2)
    net.campaign(1)
    net[1].raw.propose_conf_change(ConfChange(ConfChangeType.RemoveNode, 1))
    net.settle()
    assert net[1].role == StateType.StateLeader
    assert net[1].raw.conf_state.voters == (2,)
    net.isolate(1)
    net.campaign(2)
    net.propose(2, b"x")
    assert net[2].raw.commit_index > net[1].raw.commit_index
    net[1].raw.read_index(b"r")
    net.collect(net[1])
    assert net[1].reads == []
