"""Witnesses: they vote and hold terms, never payloads; and a cluster that has lost its only full copy waits."""

from __future__ import annotations

from typing import Any

from raftcore import ConfChange, ConfChangeType, EntryKind, MessageType, StateType
from tests.core.network import ELECTION_TICK, Network


def two_and_a_witness(**options: Any) -> Network:
    net = Network(3, witnesses=(3,), check_quorum=True, pre_vote=True, **options)
    net.campaign(1)
    assert net.leader == 1
    return net


def stored(net: Network, node_id: int) -> list[tuple[int, int, bytes]]:
    storage = net[node_id].storage
    entries = storage.entries(storage.first_index, storage.last_index + 1)
    return [(e.index, e.kind, e.data) for e in entries]


def test_a_witness_gets_every_entry_without_its_payload() -> None:
    net = two_and_a_witness()
    net.propose(1, b"one", b"two")
    assert [e[2] for e in stored(net, 2)] == [b"", b"one", b"two"]
    assert [e[2] for e in stored(net, 3)] == [b"", b"", b""]
    assert net[3].log() == net[1].log()


def test_a_witness_gets_configuration_entries_whole() -> None:
    net = two_and_a_witness()
    net[1].raw.propose_conf_change(ConfChange(ConfChangeType.AddLearner, 9))
    net.lose = lambda message: message.to == 9
    net.settle()
    whole = [e for e in stored(net, 1) if e[1] == EntryKind.EntryConfChange]
    assert whole
    assert [e for e in stored(net, 3) if e[1] == EntryKind.EntryConfChange] == whole
    assert net[3].raw.conf_state == net[1].raw.conf_state


def test_a_witness_counts_for_the_commit() -> None:
    net = two_and_a_witness()
    net.isolate(2)
    index = net.propose(1, b"x")
    assert net[1].raw.commit_index == index


def test_a_witness_never_stands() -> None:
    net = two_and_a_witness()
    net.isolate(3)
    net.tick(3, 10 * ELECTION_TICK)
    assert net[3].role == StateType.StateFollower
    net.campaign(3)
    assert net[3].role == StateType.StateFollower
    assert net[3].raw.term == 1


def test_leadership_is_never_handed_to_a_witness() -> None:
    net = two_and_a_witness()
    net[1].raw.transfer_leader(3)
    net.settle()
    assert net.of_type(MessageType.MsgTimeoutNow) == []
    assert net[1].raw.status().transferee == 0


def test_the_cluster_waits_for_its_only_full_copy_and_loses_nothing() -> None:
    net = two_and_a_witness()
    net.isolate(2)
    net.propose(1, b"only on 1")  # committed by 1 and the witness
    net.heal()
    net.isolate(1)
    for _ in range(10):
        net.tick_all(ELECTION_TICK)
        assert net[2].role != StateType.StateLeader
    net.heal()
    net.tick_all(5 * ELECTION_TICK)
    assert net.leader == 1
    assert (3 - 1, 1, b"only on 1") in [(i, t, c) for i, t, c in net[2].applied]


def test_the_witness_elects_a_member_that_has_everything() -> None:
    net = two_and_a_witness()
    net.propose(1, b"on both")
    net.isolate(1)
    net.tick_all(4 * ELECTION_TICK)
    assert net[2].role == StateType.StateLeader


def test_a_witness_confirms_reads() -> None:
    net = two_and_a_witness()
    net.isolate(2)
    assert net[1].raw.read_index(b"r")
    net.settle()
    assert net[1].reads == [(net[1].raw.commit_index, b"r")]
