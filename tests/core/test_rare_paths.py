"""Decisions that few histories come to: each a rule of the paper or the thesis at its edge."""

from __future__ import annotations

from typing import Any

import pytest

from raftcore import (
    LOCAL_APPLY_THREAD,
    ConfChange,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    ConfState,
    EntryKind,
    Message,
    MessageType,
    Outbox,
    Snapshot,
    StateType,
)
from raftcore.base.errors import ConfigError, InvariantViolation
from raftcore.values.entries import Entries, Entry
from raftcore.wire.codec import DatagramBuilder, Header
from tests.core.network import Member, Network
from tests.core.server import Server

MEMBERS = ConfState(voters=(1, 2, 3))


def test_a_candidate_yields_to_the_snapshot_of_its_terms_leader() -> None:
    """Paper 5.2: a candidate that hears from a leader of its term follows it; paper 7: and takes its snapshot."""
    server = Server()
    server.raw.campaign()
    server.net.collect(server.member)
    assert (server.member.role, server.raw.term) == (StateType.StateCandidate, 1)
    server.raw.step(Message(MessageType.MsgSnap, from_=2, to=1, term=1, snapshot=Snapshot(7, 1, MEMBERS)))
    server.net.collect(server.member)
    assert (server.member.role, server.raw.term, server.raw.leader) == (StateType.StateFollower, 1, 2)
    assert (server.raw.first_index, server.raw.commit_index) == (8, 7)
    answer = server.net.of_type(MessageType.MsgAppResp)[-1]
    assert (answer.to, answer.index, answer.reject) == (2, 7, False)


def test_a_snapshot_written_when_the_term_has_moved_on_is_written_all_the_same() -> None:
    """What a snapshot holds is committed, in any term: its write counts though the message names a former one."""
    server = Server()
    server.net.writes_held.add(1)
    server.raw.step(Message(MessageType.MsgSnap, from_=2, to=1, term=1, snapshot=Snapshot(7, 1, MEMBERS)))
    server.net.collect(server.member)
    server.raw.step(Message(MessageType.MsgHeartbeat, from_=3, to=1, term=2))
    server.net.collect(server.member)
    server.raw.campaign()
    assert server.member.role == StateType.StateFollower, "nobody stands with half a snapshot"
    server.net.writes_held.clear()
    server.net.write(server.member)
    server.net.collect(server.member)
    assert server.raw.applied_index == 7
    server.raw.campaign()
    assert server.member.role == StateType.StateCandidate


def test_frames_of_other_groups_and_kinds_are_passed_over() -> None:
    """One socket serves many groups (decision 4): a frame of another one is neither stepped nor a fault."""
    raw = Network(3)[1].raw
    builder = DatagramBuilder(Header(from_=2, to=1), 60_000)
    heartbeat = Message(MessageType.MsgHeartbeat, term=4)
    assert builder.add(heartbeat, 9)
    assert builder.add_frame(200, b"a transport's own")
    datagram = builder.finish()
    assert raw.step_frames(datagram) == 0
    assert (raw.faults, raw.ignored, raw.term) == (0, 0, 0)
    assert raw.step_frames(datagram, group=9) == 1
    assert (raw.faults, raw.ignored, raw.term) == (0, 0, 4)


@pytest.mark.parametrize("form", [bytes, bytearray, memoryview])
def test_a_datagram_in_any_buffer_and_none_that_is_too_short(form: type) -> None:
    builder = DatagramBuilder(Header(from_=2, to=1), 60_000)
    assert builder.add(Message(MessageType.MsgHeartbeat, term=4))
    raw = Network(3)[1].raw
    assert raw.step_frames(form(builder.finish())) == 1
    assert raw.term == 4
    with pytest.raises(ValueError, match="a datagram has at least [0-9]+ bytes, not 3"):
        raw.step_frames(form(b"abc"))


def test_an_outbox_has_builders_and_only_messages_are_written() -> None:
    group = Network(1)
    with pytest.raises(TypeError, match="a DatagramBuilder expected, got None"):
        Outbox([None])  # type: ignore[list-item]
    outbox = Outbox([])
    raw = group[1].raw
    assert raw.collect(outbox) is False
    with pytest.raises(TypeError, match="a Message expected, got None"):
        raw.written([None], outbox)  # type: ignore[list-item]
    with pytest.raises(ConfigError, match="write 0 reported as done, but 1 of 0 is next"):
        raw.written([Message(MessageType.MsgStorageAppend)], outbox)


def test_a_payload_that_no_length_word_holds() -> None:
    """Lengths share their word with the kind (raftcore.values.block): 2**30 - 1 bytes at most."""
    huge = bytes(1 << 30)  # zeros that nobody touches: no memory is used
    with pytest.raises(ValueError, match="an entry of 1073741824 bytes, at most 1073741823 allowed"):
        Entries.build([Entry(1, 1, EntryKind.EntryNormal, huge)])
    group = Network(1)
    group.campaign(1)
    before = group[1].raw.fingerprint()
    with pytest.raises(ValueError, match="command 1 has 1073741824 bytes, at most 1073741823 allowed"):
        group[1].raw.propose([b"a", huge])
    assert group[1].raw.fingerprint() == before


def test_a_leader_that_hears_nothing_forgets_when_its_oldest_rounds_were_sent() -> None:
    """A round whose sending is forgotten confirms reads but begins no lease (raftcore.algorithm.options.lease keeps 256
    of them)."""
    group = Network(3, check_quorum=True, read_only="lease", lease_ms=80, election_tick=1000, heartbeat_tick=1)
    for member in group.members.values():
        member.raw.set_randomized_election_timeout(1999)
    group.tick_all(1000)
    group.campaign(1)
    group.tick(1, 1)
    late = next(m for m in group.flying if m.type == MessageType.MsgHeartbeat and m.to == 2)
    group.flying.clear()
    group.isolate(1)
    group.tick(1, 300, ms=0)
    group.heal()
    group.flying.clear()
    group.deliver(late)
    group.settle()
    assert group[1].raw.read_index(b"r", group.now_ms)
    group.collect(group[1])
    assert group[1].reads == [], "300 rounds ago: too long to be remembered, so no lease"
    group.settle()
    assert [name for _, name in group[1].reads] == [b"r"]


def test_a_snapshot_is_taken_with_and_without_a_place_for_this_node() -> None:
    """A server uses the latest configuration that it knows of, whether or not it is part of it (thesis 4.1)."""
    for state in [
        ConfState(voters=(2, 3)),
        ConfState(voters=(2, 3), learners=(1,)),
        ConfState(voters=(2, 3), voters_outgoing=(1, 2, 3)),
    ]:
        server = Server()
        server.raw.step(Message(MessageType.MsgSnap, from_=2, to=1, term=1, snapshot=Snapshot(7, 1, state)))
        server.net.collect(server.member)
        assert (server.raw.commit_index, server.raw.conf_state) == (7, state)
        assert server.net.of_type(MessageType.MsgAppResp)[-1].index == 7


def test_a_store_that_is_compacted_beyond_its_snapshot() -> None:
    """Nobody could ever catch that follower up: the store has lost what it must keep (paper 7)."""
    group = Network(3)
    group.campaign(1)
    group.isolate(3)
    last = group.propose(1, b"a", b"b")
    group.tick_all(2)
    member = group[1]
    member.raw.compact(last)
    group.heal()
    answer = Message(MessageType.MsgAppResp, from_=3, to=1, term=1, index=last, reject=True, log_term=1, reject_hint=1)
    for newest, complaint in (
        (Snapshot(), "compacted, but there is no snapshot to send"),
        (
            Snapshot(last - 1, 1, ConfState(voters=(1, 2, 3))),
            f"compacted up to {last}, but the newest snapshot ends at {last - 1}",
        ),
    ):
        member.storage.snapshot = lambda newest=newest: newest  # type: ignore[method-assign, misc]
        with pytest.raises(InvariantViolation, match=complaint):
            member.raw.clone(member.storage).step(answer)


class HeldApply(Network):
    """A network in which what one member has to apply waits."""

    def __init__(self, ids: int, held: int, **options: Any) -> None:
        self.held = held
        self.waiting: list[Message] = []
        super().__init__(ids, **options)

    def _apply(self, member: Member, message: Message) -> None:
        if member.id == self.held:
            self.waiting.append(message)
        else:
            super()._apply(member, message)

    def release(self, upto: int) -> None:
        """Applies what waits and ends at or before this index."""
        member, self.held = self[self.held], 0
        while self.waiting and self.waiting[0].entries is not None and self.waiting[0].entries.last <= upto:
            self._apply(member, self.waiting.pop(0))
        self.held = member.id


def test_a_joint_configuration_is_not_left_before_the_new_leaders_own_commit() -> None:
    """Thesis 4 (the bug in single-server changes) with conf_change_after_own_commit: leaving waits as all changes do.

    Member 2 has applied the joint configuration, but not the command behind it, when it is elected.
    """
    group = HeldApply(3, 2, conf_change_after_own_commit=True, max_committed_size_per_ready=1)
    group.campaign(1)
    change = ConfChangeV2(
        transition=ConfChangeTransition.TransitionJointImplicit, changes=(ConfChange(ConfChangeType.AddLearner, 9),)
    )
    joint = group[1].raw.propose_conf_change(change).index
    command = group[1].raw.propose([b"a"])
    group.lose = lambda m: m.entries is not None and m.entries.last > command and m.from_ == 1
    group.settle()
    group.tick_all()  # a heartbeat tells member 2 what is committed
    while group[2].raw.applied_index < joint:
        group.release(joint)
        group.collect(group[2])
    assert group[2].conf_state.voters_outgoing == (1, 2, 3)
    group.isolate(1)
    group.writes_held.add(2)
    group[2].raw.campaign()
    group.settle()
    group.write(group[2])
    group.settle()
    assert group[2].role == StateType.StateLeader
    assert group[2].raw.last_index == command + 1, "its own entry, which it has not written yet"
    group.release(command)
    group.collect(group[2])
    assert group[2].raw.applied_index == command
    assert group[2].raw.last_index == command + 1, "the joint configuration is not left yet"
    group.writes_held.clear()
    for _ in range(4):
        group.tick_all()
        group.release(command + 9)
    assert group[3].conf_state.voters_outgoing == ()


def test_a_joint_configuration_is_left_once_also_when_changes_are_not_validated() -> None:
    """Thesis 4.3: what is applied between the entry that leaves it being proposed and being applied is no reason for
    a second one. With validation the second is refused as a change that follows an unapplied one."""
    group = HeldApply(3, 1, disable_conf_change_validation=True, max_committed_size_per_ready=1)
    group.campaign(1)
    change = ConfChangeV2(
        transition=ConfChangeTransition.TransitionJointImplicit, changes=(ConfChange(ConfChangeType.AddLearner, 9),)
    )
    joint = group[1].raw.propose_conf_change(change).index
    command = group[1].raw.propose([b"a"])
    group.settle()
    while group[1].raw.applied_index < joint:
        group.release(joint)
        group.collect(group[1])
    assert group[1].conf_state.voters_outgoing == (1, 2, 3)
    assert group[1].raw.last_index == command + 1, "the entry that leaves it"
    group.release(command)
    group.settle()
    assert group[1].raw.applied_index == command
    assert group[1].raw.last_index == command + 1, "and no other"


def test_a_follower_with_a_snapshot_on_its_way_goes_on_when_the_log_reaches_it_and_not_before() -> None:
    """What it acknowledges meanwhile may come from elsewhere (a store that was filled in); as etcd/raft."""
    group = Network(3)
    group.campaign(1)
    group.isolate(3)
    last = group.propose(1, *(b"%d" % number for number in range(10))) + 9
    leader = group[1]
    leader.storage.create_snapshot(8, leader.conf_state)
    leader.storage.compact(8)
    leader.raw.compact(8)
    group.heal()
    group.lose = lambda message: message.type == MessageType.MsgSnap
    group.tick_all(2)

    def state_after_acknowledging(index: int) -> str:
        leader.raw.step(Message(MessageType.MsgAppResp, from_=3, to=1, term=1, index=index))
        group.collect(leader)
        group.flying.clear()
        return leader.raw.status().progress[3].state

    assert leader.raw.status().progress[3].state == "StateSnapshot"
    assert state_after_acknowledging(5) == "StateSnapshot", "entry 6 is not in the log any more"
    assert state_after_acknowledging(8) == "StateReplicate"
    assert leader.raw.last_index == last


def test_a_report_that_nothing_was_applied() -> None:
    """MsgStorageApplyResp without entries, as a driver may send that answers each request with one."""
    group = Network(1)
    group.campaign(1)
    before = group[1].raw.fingerprint()
    group[1].raw.step(Message(MessageType.MsgStorageApplyResp, from_=LOCAL_APPLY_THREAD, to=1, term=1))
    assert group[1].raw.fingerprint() == before
