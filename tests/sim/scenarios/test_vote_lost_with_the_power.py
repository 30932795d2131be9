"""A vote, once given, is remembered with its term over a power failure (Figure 2, persistent state).

Seen in PySyncObj, issue 84, in NodeDB, issue 161, and in cornerstone, issue 65: votes were kept in memory, or answered
before they were written; in hashicorp/raft, issue 661: term and vote are written one after the other.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from raftcore import MessageType, StateType
from tests.seeded_bugs.bug import Bug
from tests.sim.scenarios.stage import STEADY_DISK, stage

CAUGHT = (
    Bug(
        name="vote-not-written",
        breaks="votedFor is on stable storage before the answer leaves (Figure 2, persistent state), by the node's way",
        file="raftcore/api/take_ready.pyx",
        old="        m.vote = r.vote\n        m.commit = commit\n",
        new="        m.commit = commit\n",
    ),
    "vote-answered-before-the-disk",
)

SLOW = replace(STEADY_DISK, sync_s=(0.02, 0.02))


@pytest.mark.parametrize("seed", range(1, 5))
def test_the_voter_loses_power_and_is_asked_again_in_the_same_term(seed: int) -> None:
    with stage(
        leader=None,
        seed=seed,
        disk=SLOW,
        write_mode="thread",
        pre_vote=False,
        check_quorum=False,
        rates={2: 0.1, 3: 0.1},
    ) as world:
        world.ready()
        # Node 3 hears nothing of the first election, and stands later, in the same term.
        world.keep(*MessageType, from_=1, to=3)
        world.keep(*MessageType, from_=3, to=1)
        vote = world.keep(MessageType.MsgVoteResp, from_=2, to=1, copies=True, when=lambda m: not m.reject)
        world.until(lambda: bool(vote.kept), "node 2 votes for node 1")
        term = vote.messages()[0].term
        world.kill(2, "power")
        world.start(2)
        world.until(lambda: world.leads(1), "node 1 leads")
        answer = world.keep(MessageType.MsgVoteResp, from_=2, to=3, copies=True, when=lambda m: m.term == term)
        world.until(
            lambda: world.raw(3).state == StateType.StateCandidate and world.raw(3).term == term, "node 3 stands"
        )
        world.until(lambda: bool(answer.kept), "node 2 answers node 3")
        world.pass_(0.01)

        assert (world.raw(2).term, world.raw(2).vote) == (term, 1)
        assert not world.leads(3)
        world.finish()
