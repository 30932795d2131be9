"""What a reading of the code found, each as a scenario that went wrong before."""

from __future__ import annotations

import random
from typing import Any

import pytest

from raftcore import (
    ConfChange,
    ConfChangeType,
    Config,
    ConfState,
    Entries,
    Entry,
    EntryKind,
    HardState,
    InitialState,
    Message,
    MessageType,
    RawNode,
    Snapshot,
)
from raftcore.base.errors import ConfChangeError, ConfigError, PeerFault
from raftcore.log.log import RaftLog
from raftcore.wire.codec import DatagramBuilder, Header
from tests.core.network import Network


class Nothing:
    """A storage view that is never asked."""

    def entries(self, lo: int, hi: int, max_bytes: int) -> Entries:
        raise AssertionError((lo, hi))

    def snapshot(self) -> Snapshot:
        return Snapshot()


def grown(log: RaftLog, count: int, time_ms: int) -> None:
    """Appends entries that name their own index, makes them durable, and has them applied."""
    first = log.last_index() + 1
    log.append_commands([b"%d" % index for index in range(first, first + count)], 1, EntryKind.EntryNormal, time_ms)
    log.accept_unstable()
    log.stable_to(log.last_index(), 1)
    log.commit_to(log.last_index())
    log.accept_applying(log.last_index(), 0, True)
    log.applied_to(log.last_index(), 0)


def all_there(log: RaftLog, window: int) -> None:
    log.check()
    lo = max(1, log.last_index() - window + 1)
    entries = log.slice(lo, log.last_index() + 1, 2**64 - 1)
    assert entries.commands() == [b"%d" % index for index in range(lo, lo + len(entries))]


def test_a_window_that_slides_and_grows_keeps_its_newest_entries() -> None:
    log = RaftLog(Nothing(), window_max_entries=64)
    for count in (80, 20, 12):
        grown(log, count, 0)
        all_there(log, 64)


@pytest.mark.parametrize("bound", [16, 64, 1000])
def test_windows_of_any_history_keep_their_newest_entries(bound: int, seed: int) -> None:
    dice = random.Random(seed)
    log = RaftLog(Nothing(), window_max_entries=bound)
    for step in range(400):
        grown(log, dice.randrange(1, bound), step)  # a time run with each batch
        all_there(log, min(bound, 16))


def test_what_goes_back_in_log_time_is_handed_to_the_storage_all_the_same() -> None:
    log = RaftLog(Nothing())
    log.append(Entries.build([Entry(1, 1, EntryKind.EntryNormal, b"a")], time_ms=1000))
    log.append(Entries.build([Entry(2, 2, EntryKind.EntryNormal, b"b")], time_ms=500))
    unstable = log.next_unstable()
    assert unstable is not None
    assert (unstable.first, unstable.last) == (1, 2)
    assert log.last_time() == 1000
    log.check()


def test_a_single_voter_reads_nothing_before_its_own_commit() -> None:
    net = Network(1)
    net.campaign(1)
    index = net.propose(1, b"acknowledged")
    storage = net[1].storage
    kept = storage.initial_state().hard_state
    storage.set_hard_state(HardState(kept.term, kept.vote, index - 1))
    net.crash(1)
    net.writes_held.add(1)
    net[1].raw.campaign()
    net.collect(net[1])
    net.write(net[1])  # the vote is durable, the new leader's own entry is not
    net.collect(net[1])
    net[1].raw.read_index(b"r")
    net.collect(net[1])
    assert net[1].reads == []
    net.writes_held.clear()
    net.write(net[1])
    net.settle()
    assert [context for _, context in net[1].reads] == [b"r"]
    assert net[1].reads[0][0] > index


def test_a_snapshot_is_durable_before_it_is_acknowledged() -> None:
    net = Network(3)
    net.campaign(1)
    net.tick_all(1)
    state = ConfState(voters=(1, 2, 3))
    leader = net[1].raw
    snapshot = Snapshot(index=100, term=1, conf_state=state)
    net[2].raw.step(Message(type=MessageType.MsgSnap, from_=1, to=2, term=leader.term, snapshot=snapshot))
    net.writes_held.add(2)
    net.collect(net[2])
    assert any(append.snapshot is not None and append.must_sync for append in net[2].appends)


@pytest.mark.parametrize(
    "state",
    [
        ConfState(voters=(1, 2, 3), learners=(3,)),
        ConfState(voters=(1, 2, 3), auto_leave=True),
        ConfState(voters=(1, 2, 3), learners_next=(4,)),
    ],
)
def test_a_snapshot_with_an_impossible_configuration_changes_nothing(state: ConfState) -> None:
    net = Network(3)
    net.campaign(1)
    follower = net[2].raw
    before = follower.status()
    snapshot = Snapshot(index=100, term=1, conf_state=state)
    with pytest.raises(PeerFault, match="no possible configuration"):
        follower.step(Message(type=MessageType.MsgSnap, from_=1, to=2, term=1, snapshot=snapshot))
    assert follower.status() == before


def datagram(sender: int, receiver: int, message: Message) -> bytes:
    header = Header(cluster_id=7, from_=sender, to=receiver, from_store=1, from_boot=1, to_store=1, to_boot=1)
    builder = DatagramBuilder(header, 1200)
    assert builder.add(message)
    return builder.finish()


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (MessageType.MsgHeartbeat, {"commit": 1}),
        (MessageType.MsgAppResp, {"index": 1}),
        (MessageType.MsgVoteResp, {}),
        (MessageType.MsgVote, {"index": 9, "log_term": 9}),
    ],
)
@pytest.mark.parametrize("name", [1, 2])
def test_nobody_speaks_in_the_name_of_another(kind: MessageType, fields: dict[str, Any], name: int) -> None:
    net = Network(3)
    net.campaign(1)
    target = net[1].raw
    before = target.status()
    forged = Message(type=kind, from_=name, to=1, term=target.term + (kind == MessageType.MsgVote), **fields)
    assert target.step_frames(datagram(3, 1, forged)) == 0
    assert target.faults == 1
    assert target.status() == before


def test_a_message_for_another_node_is_a_fault() -> None:
    net = Network(3)
    stray = Message(type=MessageType.MsgHeartbeat, from_=3, to=2, term=5)
    assert net[1].raw.step_frames(datagram(3, 1, stray)) == 0
    assert net[1].raw.faults == 1


def test_requests_are_passed_on_for_others() -> None:
    net = Network(3)
    net.campaign(1)
    assert net[1].raw.step_frames(datagram(2, 1, Message(type=MessageType.MsgReadIndex, from_=3, context=b"r"))) == 1
    assert net[1].raw.faults == 0


@pytest.mark.parametrize("node_id", [2**64 - 1, 2**64 - 2])
def test_the_storage_threads_are_no_members(node_id: int) -> None:
    with pytest.raises(ConfChangeError, match=str(node_id)):
        ConfChange(ConfChangeType.AddNode, node_id)


def test_a_removed_leaders_own_acknowledgement_is_let_go() -> None:
    net = Network(3)
    net.campaign(1)
    net[1].raw.propose_conf_change(ConfChange(ConfChangeType.RemoveNode, 1))
    net.settle()
    raw = net[1].raw
    raw.step(Message(type=MessageType.MsgAppResp, from_=1, to=1, term=raw.term, index=raw.last_index))


def test_a_repeated_rejection_does_not_move_a_snapshot() -> None:
    net = Network(3)
    net.campaign(1)
    progress = net[1].raw.clone()
    assert progress.fingerprint() == net[1].raw.fingerprint()
    from raftcore.membership.progress import Progress

    pr = Progress(2, 0, 101)
    pr.become_snapshot(100)
    assert not pr.maybe_decr_to(100, 50)
    assert pr.next == 101


def test_what_was_applied_counts_as_committed_at_a_restart() -> None:
    """A commit index alone is not written for its own sake; a state machine that keeps its place may be ahead of it."""
    net = Network(1)
    net.campaign(1)
    index = net.propose(1, b"applied")
    kept = net[1].storage.initial_state()
    hard = HardState(kept.hard_state.term, kept.hard_state.vote, 1)
    initial = InitialState(
        hard_state=hard, conf_state=ConfState(voters=(1,)), last_index=kept.last_index, term_runs=kept.term_runs
    )
    raw = RawNode(Config(id=1, applied=index), initial, net[1].storage)
    assert (raw.commit_index, raw.applied_index) == (index, index)
    with pytest.raises(ConfigError, match=f"applied {index + 1} lies beyond the last index {index}"):
        RawNode(Config(id=1, applied=index + 1), initial, net[1].storage)


@pytest.mark.parametrize("index", [0, 3])
def test_a_configuration_comes_from_an_entry_that_was_handed_out(index: int) -> None:
    net = Network(1)
    net.campaign(1)
    net.propose(1, b"x")
    with pytest.raises(ValueError, match=f"1 to 2, not {index}"):
        net[1].raw.apply_conf_change(ConfChange(ConfChangeType.AddNode, 2), index)
