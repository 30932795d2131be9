"""A candidate that gives way to the leader of its own term keeps its vote: it has voted in that term (Figure 2).

Seen in CCF, issue 5891, mended after a run with two leaders in pull request 8094; in redpanda, pull request 19, in
camunda, pull request 5368, and in eliben/raft, pull request 27: stepping down cleared the vote though the term stayed.
"""

from __future__ import annotations

from raftcore import MessageType, StateType
from tests.sim.scenarios.stage import VOTES, stage

CAUGHT = ("vote-forgotten-in-its-term",)


def test_a_beaten_candidate_does_not_vote_again_in_its_term() -> None:
    with stage(3, leader=None, pre_vote=False) as world:
        world.ready()
        world.keep(*VOTES, from_=2)
        world.keep(*VOTES, from_=3)
        asked = world.keep(MessageType.MsgVote, from_=1, to=3)
        told = world.keep(MessageType.MsgApp, MessageType.MsgHeartbeat, from_=1, to=3)
        world.until(
            lambda: (
                world.leads(1)
                and world.raw(3).state == StateType.StateCandidate
                and world.raw(3).term == world.raw(1).term
            ),
            "node 1 leads the term in which node 3 stands, too",
        )
        term = world.raw(1).term
        told.release()
        world.until(lambda: world.raw(3).state == StateType.StateFollower, "node 3 gives way")
        assert (world.raw(3).term, world.raw(3).vote) == (term, 3)

        answers = world.keep(MessageType.MsgVoteResp, from_=3, to=1, copies=True, when=lambda m: m.term == term)
        asked.release()
        world.until(lambda: bool(answers.kept), "node 3 has answered")

        assert all(answer.reject for answer in answers.messages() if answer.type == MessageType.MsgVoteResp)
        assert (world.raw(3).term, world.raw(3).vote) == (term, 3)
        world.finish()
