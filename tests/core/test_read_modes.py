"""No way of reading that Config offers answers with old data while all clocks run alike (paper 8; thesis 6.4).

etcd/raft's lease-based reads do: a leader that has handed over and was cut off, or that was cut off and has not noticed
it, answers from a state that its successor has changed since. Everything here happens in lockstep, 10 ms a tick.
"""

from __future__ import annotations

from typing import Any

import pytest

from raftcore import Config, MessageType, StateType
from raftcore.base.config import READ_ONLY_MODES
from raftcore.base.errors import ConfigError
from tests.core.network import ELECTION_TICK, Network

LEASE_MS = 80  # below ELECTION_TICK ticks of 10 ms, less one tick


def options(mode: str) -> dict[str, Any]:
    return {"check_quorum": True, "read_only": mode, "lease_ms": LEASE_MS if mode == "lease" else 0}


def led_by_1(mode: str, seed: int) -> Network:
    """Node 1 leads and has been heard by all for long enough."""
    net = Network(3, seed=seed, **options(mode))
    for member in net.members.values():
        member.raw.set_randomized_election_timeout(3 * ELECTION_TICK)
    net.tick_all(ELECTION_TICK)
    net.campaign(1)
    net.propose(1, b"old")
    net.tick_all(ELECTION_TICK)
    assert net.leader == 1
    return net


def expect_no_old_answer(net: Network, ticks: int) -> None:
    """For so many ticks node 1 is asked to read; once another leader has committed, it must not answer any more."""
    newest = written = 0
    for tick in range(ticks):
        net.tick_all()
        for successor in (2, 3):
            if newest == 0 and net[successor].role == StateType.StateLeader:
                newest = net.propose(successor, b"new")
                assert net[successor].raw.commit_index == newest
        name = b"%d" % tick
        net[1].reads.clear()
        if net[1].raw.read_index(name, net.now_ms):
            net.settle()
        old = [index for index, context in net[1].reads if context == name and index < newest]
        assert old == [], f"tick {tick}: a read is answered with index {old}, {newest} is committed"
        written += newest > 0
    assert written > 0, "nobody took over"


@pytest.mark.parametrize("mode", READ_ONLY_MODES)
def test_a_leader_that_handed_over_and_was_cut_off_answers_nothing_old(mode: str, seed: int) -> None:
    net = led_by_1(mode, seed)
    net[1].raw.transfer_leader(2)
    net.collect(net[1])
    (order,) = net.flying
    assert order.type == MessageType.MsgTimeoutNow
    net.flying.clear()
    net.deliver(order)
    net.isolate(1)
    net.settle()
    assert net[2].role == StateType.StateLeader
    assert net[1].role == StateType.StateLeader, "it does not know yet"
    expect_no_old_answer(net, 3 * ELECTION_TICK)


@pytest.mark.parametrize("mode", READ_ONLY_MODES)
def test_a_leader_that_was_cut_off_answers_nothing_old(mode: str, seed: int) -> None:
    for offset in range(ELECTION_TICK):
        net = led_by_1(mode, seed + offset)
        net.tick_all(offset)
        net.isolate(1)
        for voter in (2, 3):
            net[voter].raw.set_randomized_election_timeout(ELECTION_TICK + voter)
        expect_no_old_answer(net, 3 * ELECTION_TICK)


def test_lease_based_reads_of_etcd_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="read_only must be one of safe, lease, not 'lease-based'"):
        Config(id=1, check_quorum=True, read_only="lease-based")


def test_a_leader_is_not_forgotten_where_that_is_to_be_ignored() -> None:
    for ignored in (False, True):
        net = Network(3, ignore_forget_leader=ignored)
        net.campaign(1)
        net[2].raw.forget_leader()
        assert net[2].raw.leader == (1 if ignored else 0)
