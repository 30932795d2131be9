"""A candidate that is refused holds up nobody else's election (Figure 2, followers).

Seen in raft-rs, issue 14, and in MIT6.824-2021, issue 27: a request for a vote started the election timeout anew even
where it was refused, so that a node with an outdated log, which cannot win, kept those that can from standing.
miniraft-cpp, issue 28: so did an append of a leader of a former term.
"""

from __future__ import annotations

from raftcore import MessageType, StateType
from tests.seeded_bugs.bug import Bug
from tests.sim.scenarios.stage import stage

CAUGHT = (
    "refused-vote-resets-the-timer",
    Bug(
        name="stale-append-resets-the-timer",
        breaks="a follower waits anew for its current leader's word (Figure 2), not for that of a former one",
        file="raftcore/algorithm/step.pyx",
        old="    if (r.options.check_quorum or r.options.pre_vote) and (type == MsgHeartbeat or type == MsgApp):\n",
        new="    if type == MsgHeartbeat or type == MsgApp:\n"
        "        r.election_elapsed = 0\n"
        "    if (r.options.check_quorum or r.options.pre_vote) and (type == MsgHeartbeat or type == MsgApp):\n",
    ),
)


def test_a_refused_candidate_asks_again_and_again() -> None:
    with stage(pre_vote=False, check_quorum=False) as world:
        world.cut_off(3)
        world.written(1, "a", "1")
        world.kill(1)
        world.join()
        asked = world.keep(MessageType.MsgVote, from_=3, to=2)
        world.keep(MessageType.MsgVote, from_=2)
        world.until(lambda: bool(asked.kept), "node 3, which lacks an entry, stands")
        request = asked.kept[0]
        refusals = world.keep(MessageType.MsgVoteResp, from_=2, to=3, when=lambda m: m.reject)
        elections = world.raw(2).term
        for _ in range(30):
            world.cluster.network.send_on(*request)
            world.pass_(0.05)

        assert refusals.kept
        assert world.raw(2).term > elections + 3, "node 2 has hardly ever stood within five election timeouts"
        world.finish(a="1")


def test_a_former_leader_speaks_again_and_again() -> None:
    with stage(pre_vote=False, check_quorum=False) as world:
        beats = world.keep(MessageType.MsgHeartbeat, from_=1, to=2, copies=True)
        world.until(lambda: bool(beats.kept), "a heartbeat of the first term")
        beats.end()
        world.kill(1)
        world.elect(3, known_to=[2])
        world.cut_off(3)
        term = world.raw(2).term
        for _ in range(30):
            world.cluster.network.send_on(*beats.kept[0])
            world.pass_(0.05)
        assert world.raw(2).state == StateType.StateCandidate
        assert world.raw(2).term > term + 3, "node 2 has hardly ever stood within five election timeouts"
        world.finish()
