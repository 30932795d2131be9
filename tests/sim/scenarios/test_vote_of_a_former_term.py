"""A vote that was given in an earlier term, and arrives in a later one, elects nobody (paper 5.1).

Seen in little-raft, issue 44, and in eatonphil/raft-rs, issue 3: answers were counted without a look at their term.
"""

from __future__ import annotations

from raftcore import MessageType
from tests.sim.scenarios.stage import VOTES, stage

CAUGHT = ("vote-of-a-former-term-counts",)


def test_votes_of_the_term_before_are_not_counted() -> None:
    with stage(3, leader=None, pre_vote=False) as world:
        world.ready()
        for node in (2, 3):
            world.keep(*VOTES, from_=node)
        votes = world.keep(MessageType.MsgVoteResp, to=1, when=lambda m: not m.reject)
        world.until(lambda: len(votes.kept) >= 2, "nodes 2 and 3 vote for node 1")
        given_in = votes.messages()[-1].term
        world.keep(MessageType.MsgVote, from_=1)
        world.until(lambda: world.raw(1).term > given_in, "node 1 stands again")

        votes.release()
        world.pass_(0.01)

        assert not world.leads(1)
        world.finish()
