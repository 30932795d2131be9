"""A lease ends where another leader may begin (thesis 6.4.1). Of cores: nodes do not read by leases.

Seen in etcd, issue 12704, and in openraft, pull request 1749: a leader that had told another to stand went on reading
by its lease, though that one is voted for in spite of it. sofa-jraft, pull request 34, and tikv, issue 964: the lease
was longer than the others' patience, by the way it was counted, or by a clock that was slow.
"""

from __future__ import annotations

from raftcore import MessageType, StateType
from tests.core.network import ELECTION_TICK
from tests.core.test_lease import leased, read

CAUGHT = ("lease-survives-a-transfer",)


def test_no_read_by_the_lease_once_another_was_told_to_stand() -> None:
    net = leased()
    net.lose = lambda message: message.to == 1 or (message.from_ == 1 and message.type != MessageType.MsgTimeoutNow)
    net[1].raw.transfer_leader(2)
    net.collect(net[1])
    net.settle()
    assert net[2].role == net[1].role == StateType.StateLeader, "two leaders, and the first does not know it"
    net.propose(2, b"new")
    assert net[2].raw.commit_index > net[1].raw.commit_index
    assert not read(net, 1, b"r", net.now_ms + 1)


def test_within_the_bound_of_drift_no_read_is_old() -> None:
    """The bound: LEASE_MS is an election timeout, less a tick, less a tenth. A clock that is slow by a tenth is in."""
    net = leased()
    begun_ms = net.now_ms
    net.isolate(1)
    net[2].raw.set_randomized_election_timeout(ELECTION_TICK)  # as early as it may be
    own_ms = float(begun_ms)
    for tick in range(1, 3 * ELECTION_TICK):
        for node in (2, 3):
            net[node].raw.tick(begun_ms + 10 * tick)
            net.collect(net[node])
        net.settle()
        own_ms = begun_ms + 10 * tick * 0.9
        if net[2].role == StateType.StateLeader:
            break
    assert net[2].role == StateType.StateLeader
    assert not read(net, 1, b"r", int(own_ms))


def test_beyond_the_bound_it_can_be() -> None:
    """The stated limit: whose clock stands still takes its lease for good while others elect a leader."""
    net = leased()
    begun_ms = net.now_ms
    net.isolate(1)
    net[2].raw.set_randomized_election_timeout(ELECTION_TICK)
    for tick in range(1, 3 * ELECTION_TICK):
        for node in (2, 3):
            net[node].raw.tick(begun_ms + 10 * tick)
            net.collect(net[node])
        net.settle()
    assert net[2].role == StateType.StateLeader
    assert read(net, 1, b"r", begun_ms + 1)
