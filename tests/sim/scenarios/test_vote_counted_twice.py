"""One voter's answer that arrives several times is one vote (paper 5.2).

Seen in xraft, issue 27: of five nodes one voted, the network repeated its answer, and the candidate led without a
majority. akka-raft, issue 45, the same with answers to two requests.
"""

from __future__ import annotations

from raftcore import MessageType
from tests.sim.scenarios.stage import VOTES, stage

CAUGHT = ("vote-counted-twice",)


def test_the_same_vote_four_times_elects_nobody() -> None:
    with stage(5, leader=None, pre_vote=False) as world:
        world.ready()
        others = [world.keep(*VOTES, from_=node) for node in (2, 3, 4, 5)]
        elsewhere = [world.keep(MessageType.MsgVote, from_=1, to=node) for node in (3, 4, 5)]
        vote = world.keep(MessageType.MsgVoteResp, from_=2, to=1, when=lambda m: not m.reject)
        world.until(lambda: bool(vote.kept), "node 2 votes for node 1")

        vote.release(times=4)
        world.pass_(0.01)

        assert not world.leads(1)
        assert vote.messages()[0].term == world.raw(1).term
        for rule in others + elsewhere:
            rule.end()
        world.finish()
