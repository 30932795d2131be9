"""A snapshot replaces a log that differs from it, and takes nothing back from one that goes on (Figure 13). Of cores.

Seen in hashicorp/raft, pull request 704: an entry that differs at the snapshot's last index stayed, every append after
it was refused, and the same snapshot was sent for ever; in camunda, issue 10202, much the same. In atomix, pull request
1040, what a deposed leader had alone was committed once its followers had compacted their logs.
"""

from __future__ import annotations

from raftcore import MessageType
from tests.core.network import Network
from tests.core.test_added_members import compact

CAUGHT = ("snapshot-by-index-alone",)


def forked() -> Network:
    """Node 3 has entries of its own where the others have compacted their logs."""
    net = Network(3)
    net.campaign(3)
    net.tick_all(2)
    net.isolate(3)
    net.propose(3, b"lost 1", b"lost 2", b"lost 3")
    net.campaign(1)
    net.propose(1, b"kept 1", b"kept 2")
    net.tick_all(2)
    for node in (1, 2):
        compact(net, node, net[node].applied_index)
    snapshot_index = net[1].applied_index
    assert net[3].raw.term_at(snapshot_index) != net[1].raw.last_term
    assert net[3].raw.last_index >= snapshot_index
    return net


def test_a_fork_at_the_last_index_of_the_snapshot() -> None:
    net = forked()
    net.heal()
    net.tick_all(20)
    index = net.propose(1, b"after")
    net.tick_all(5)
    assert net[3].raw.commit_index == net[1].raw.commit_index >= index
    assert net[3].log()[-1] == net[1].log()[-1]
    assert [command for _, _, command in net[3].applied][-1:] == [b"after"]
    assert len(net.of_type(MessageType.MsgSnap)) < 5


def test_the_snapshot_once_more_takes_nothing_back() -> None:
    net = forked()
    net.heal()
    net.tick_all(20)
    snapshot = net.of_type(MessageType.MsgSnap)[0]
    net.propose(1, b"after 1", b"after 2")
    net.tick_all(5)
    log, commit = net[3].log(), net[3].raw.commit_index
    for _ in range(3):
        net.deliver(snapshot)
        net.settle()
    assert (net[3].log(), net[3].raw.commit_index) == (log, commit)
