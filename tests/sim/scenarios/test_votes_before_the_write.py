"""A candidate asks for votes only once its new term and its vote for itself are durable (Figure 2, persistent state).

Seen in etcd/raft with asynchronous storage writes (this core's option ``votes_before_write`` is for replaying it), and
in valkey, pull request 3887, in review: whoever is elected without, and loses power, may lead the same term again.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from raftcore import MessageType
from tests.sim.scenarios.stage import STEADY_DISK, stage

CAUGHT = ("votes-asked-for-before-the-disk",)

SLOW = replace(STEADY_DISK, sync_s=(0.02, 0.02))


@pytest.mark.parametrize("seed", range(1, 5))
def test_the_power_fails_as_the_votes_are_asked_for(seed: int) -> None:
    with stage(seed=seed, disk=SLOW, write_mode="thread") as world:
        world.kill(3)
        asked = world.keep(MessageType.MsgVote, from_=2, copies=True)
        world.kill(1)
        world.start(3)
        world.keep(MessageType.MsgPreVote, MessageType.MsgVote, from_=3)
        world.until(lambda: bool(asked.kept), "node 2 asks for votes")
        term = asked.messages()[0].term
        world.kill(2, "power")
        world.start(2)
        world.until(lambda: world.up(2), "node 2 is up again")

        assert world.raw(2).term >= term
        assert world.raw(2).term > term or world.raw(2).vote == 2
        world.start(1)
        world.finish()
