"""A member that was removed, and does not know it, unseats nobody (thesis 4.2.3, 9.6). Of cores, for now.

Seen in hashicorp/raft, issue 524, and in canonical/raft, pull request 137: it hears no leader any more, stands for
election in ever higher terms, and each of its requests made the leader step down.
"""

from __future__ import annotations

import pytest

from raftcore import ConfChange, ConfChangeType, MessageType
from tests.core.network import ELECTION_TICK, Network

CAUGHT = ("voter-forgets-its-leader-under-check-quorum",)


@pytest.mark.parametrize(
    "options",
    [
        {"pre_vote": True, "check_quorum": True},
        {"pre_vote": True, "check_quorum": False},
        {"pre_vote": False, "check_quorum": True},
    ],
    ids=["both", "pre-vote", "check-quorum"],
)
def test_it_stands_again_and_again(options: dict[str, bool]) -> None:
    net = Network(4, **options)
    net.tick_all(ELECTION_TICK - 1)
    net.campaign(1)
    net.tick_all(2)
    assert net.leader == 1
    net.isolate(4)
    net[1].raw.propose_conf_change(ConfChange(ConfChangeType.RemoveNode, 4))
    net.settle()
    assert net[1].raw.conf_state.voters == (1, 2, 3)
    assert net[4].raw.conf_state.voters == (1, 2, 3, 4)
    term = net[1].raw.term
    net.heal()
    net.sent.clear()
    for number in range(10):
        net.tick_all(ELECTION_TICK)
        net.propose(1, b"%d" % number)

    assert [m for m in net.sent if m.from_ == 4 and m.type in (MessageType.MsgVote, MessageType.MsgPreVote)]
    assert (net.leader, net[1].raw.term) == (1, term)
    assert [command for _, _, command in net[2].applied if command][-1] == b"9"
