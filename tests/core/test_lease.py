"""The lease (thesis 6.4.1): reads at once while nobody else can have been elected, never a moment longer."""

from __future__ import annotations

from typing import Any

from raftcore import ConfChange, ConfChangeType, Message, MessageType, StateType
from tests.core.network import ELECTION_TICK, Network

LEASE_MS = 80  # below ELECTION_TICK ticks of 10 ms, less one tick and 10 % of drift


def started(ids: int, **options: Any) -> Network:
    """Past the promise that every node makes when it starts, and nobody has stood for election yet."""
    net = Network(ids, check_quorum=True, read_only="lease", lease_ms=LEASE_MS, **options)
    for member in net.members.values():
        member.raw.set_randomized_election_timeout(2 * ELECTION_TICK)
    net.tick_all(ELECTION_TICK)
    return net


def leased(ids: int = 3, **options: Any) -> Network:
    net = started(ids, **options)
    net.campaign(1)
    assert net.leader == 1
    net.tick_all(1)  # a heartbeat, which a quorum answers: the lease begins
    net.sent.clear()
    return net


def read(net: Network, node_id: int, name: bytes, at_ms: int) -> bool:
    """Asks for a read at this time, delivering nothing: is it answered at once?"""
    net.now_ms = at_ms
    assert net[node_id].raw.read_index(name, at_ms)
    net.collect(net[node_id])
    return any(context == name for _, context in net[node_id].reads)


def test_reads_under_the_lease_send_nothing() -> None:
    net = leased()
    assert read(net, 1, b"r", net.now_ms + LEASE_MS - 1)
    assert net.sent == []
    assert net[1].reads == [(net[1].raw.commit_index, b"r")]


def test_the_lease_ends_lease_ms_after_the_round_was_sent() -> None:
    net = leased()
    assert not read(net, 1, b"late", net.now_ms + LEASE_MS)
    net.settle()  # a quorum confirms it instead
    assert (net[1].raw.commit_index, b"late") in net[1].reads


def test_the_lease_is_dated_from_the_sending_not_from_the_answer() -> None:
    net = leased()
    sent_at = net.now_ms + 10
    net.tick(1, 1)  # the heartbeats leave now ...
    net.now_ms = sent_at + 60
    net[1].raw.tick(net.now_ms)
    for message in [m for m in net.flying if m.type == MessageType.MsgHeartbeat]:
        net.flying.remove(message)
        net.deliver(message)
    for message in [m for m in net.flying if m.type == MessageType.MsgHeartbeatResp]:
        net.flying.remove(message)
        net.deliver(message)  # ... and are answered 60 ms later
    assert read(net, 1, b"a", sent_at + LEASE_MS - 1)
    assert not read(net, 1, b"b", sent_at + LEASE_MS + 60 - 1)


def test_one_answer_of_five_makes_no_lease() -> None:
    net = started(5)
    net.campaign(1)
    for other in (3, 4, 5):
        net.cut |= {(1, other), (other, 1)}
    net.tick(1, 1)
    net.settle()
    assert not read(net, 1, b"r", net.now_ms + 1)


def test_a_repeated_answer_of_an_old_round_does_not_prolong_the_lease() -> None:
    net = leased()
    net.tick(1, 1)
    net.settle()
    sent_at = net.now_ms
    old = net.of_type(MessageType.MsgHeartbeatResp)
    net.tick(1, 1)
    net.flying.clear()  # this round is answered by nobody
    for message in old:
        net.deliver(message)
    assert not read(net, 1, b"r", sent_at + LEASE_MS)


def test_the_lease_goes_on_while_the_target_of_a_transfer_catches_up() -> None:
    net = leased()
    net[1].raw.propose([b"x"])
    net.collect(net[1])
    net.flying.clear()  # the target lacks it
    net[1].raw.transfer_leader(2)
    net.collect(net[1])
    assert net.of_type(MessageType.MsgTimeoutNow) == []
    assert read(net, 1, b"a", net.now_ms + 1)


def test_no_lease_for_the_rest_of_the_term_once_a_target_was_told_to_stand() -> None:
    net = leased()
    net[1].raw.transfer_leader(2)
    net.collect(net[1])
    assert [m.type for m in net.flying] == [MessageType.MsgTimeoutNow]
    net.flying.clear()  # lost, as far as the leader can know
    assert not read(net, 1, b"a", net.now_ms + 1)
    net.settle()
    net.tick_all(2 * ELECTION_TICK)  # the transfer is given up, heartbeats are answered again
    assert net[1].role == StateType.StateLeader
    assert not read(net, 1, b"b", net.now_ms + 1)


def test_voters_refuse_while_a_lease_may_be_out() -> None:
    net = leased()
    net[2].raw.step(vote_request(net, 3, 2))
    net.collect(net[2])
    assert net.of_type(MessageType.MsgVoteResp) == []
    assert net[2].raw.term == net[1].raw.term


def test_voters_refuse_also_in_a_term_they_came_to_without_an_election() -> None:
    net = leased()
    stray = net[2].raw.term + 3
    net[2].raw.step(Message(type=MessageType.MsgAppResp, from_=3, to=2, term=stray))  # late news of a higher term
    assert net[2].raw.term == stray
    net[2].raw.step(vote_request(net, 3, 2, term=stray))
    net.collect(net[2])
    assert net[2].raw.vote == 0


def test_voters_refuse_after_their_own_restart() -> None:
    net = leased()
    net.crash(2)
    net[2].raw.step(vote_request(net, 3, 2))
    net.collect(net[2])
    assert net[2].raw.vote != 3
    net.tick(2, ELECTION_TICK)  # as long as a lease it may have confirmed can last
    net[2].raw.step(vote_request(net, 3, 2))
    net.collect(net[2])
    assert net[2].raw.vote == 3


def test_nobody_stands_while_it_has_promised_not_to_vote() -> None:
    net = leased()
    net.campaign(2)
    assert net[2].role == StateType.StateFollower


def test_a_transfer_is_voted_for_in_spite_of_the_lease() -> None:
    net = leased()
    net[1].raw.transfer_leader(2)
    net.settle()
    assert net.leader == 2
    assert net[2].raw.term == 2


def test_a_new_leader_has_no_lease_before_its_own_round_is_answered() -> None:
    net = leased()
    net[1].raw.transfer_leader(2)
    net.settle()
    net.sent.clear()
    assert not read(net, 2, b"r", net.now_ms + 1)
    net.settle()
    assert (net[2].raw.commit_index, b"r") in net[2].reads


def test_a_changed_configuration_ends_the_lease() -> None:
    net = leased()
    net[1].raw.propose_conf_change(ConfChange(ConfChangeType.AddLearner, 4))
    net.lose = lambda message: message.to == 4 or message.type == MessageType.MsgHeartbeatResp
    net.settle()
    assert net[1].raw.conf_state.learners == (4,)
    assert not read(net, 1, b"r", net.now_ms + 1)


def vote_request(net: Network, candidate: int, to: int, term: int | None = None) -> Message:
    voter = net[to].raw
    return Message(
        type=MessageType.MsgVote,
        from_=candidate,
        to=to,
        term=voter.term + 1 if term is None else term,
        index=voter.last_index + 100,
        log_term=voter.last_term + 1,
    )


def test_an_update_of_a_member_leaves_the_lease_alone() -> None:
    net = leased()
    before = net.now_ms
    net[1].raw.propose_conf_change(ConfChange(ConfChangeType.UpdateNode, 2, b"about it"), net.now_ms)
    net.settle()
    assert net[1].raw.conf_index == net[1].raw.last_index
    assert read(net, 1, b"r", before + LEASE_MS - 1)


def test_a_read_from_elsewhere_is_confirmed_by_a_round_though_the_lease_holds() -> None:
    """The leader's clock was last read before the request came in; a round that is sent after it proves more."""
    net = leased()
    assert net[2].raw.read_index(b"far", net.now_ms)
    net.collect(net[2])
    (request,) = net.flying
    net.flying.clear()
    net.deliver(request)
    assert {message.type for message in net.flying} == {MessageType.MsgHeartbeat}
    net.settle()
    assert net[2].reads == [(net[1].raw.commit_index, b"far")]
