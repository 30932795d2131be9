"""Nodes whose terms have drifted apart still elect a leader, though a pre-vote changes nobody's term (thesis 9.6).

Seen in etcd, issue 8243: of three nodes one was cut off at a low term; when it came back as the leader died, each of
the two that were left ignored the other's questions for ever. canonical/raft, issue 279, the same; openraft, issue
1796, and etcd, issue 8501: the longer log has the lower term, so that only one of the two can win, and it never hears
of the term that it needs.
"""

from __future__ import annotations

from raftcore import MessageType
from tests.seeded_bugs.bug import Bug
from tests.sim.scenarios.stage import VOTES, Stage, stage

CAUGHT = (
    Bug(
        name="pre-vote-of-a-lower-term-ignored",
        breaks="a pre-candidate of a former term is told of the present one (thesis 9.6): it has to stand above it",
        file="raftcore/algorithm/step.pyx",
        old="        answer = new_message(MsgPreVoteResp, m.from_)\n"
        "        answer.term = r.term\n"
        "        answer.reject = True\n"
        "        send(r, answer)\n"
        "    elif type == MsgVoteResp:\n",
        new="        pass\n    elif type == MsgVoteResp:\n",
    ),
)


def raise_terms(world: Stage, node: int, by: int) -> None:
    """The node wins pre-votes and loses elections, until its term has risen so far."""
    goal = world.raw(node).term + by
    answers = world.keep(MessageType.MsgVoteResp, to=node)
    others = [world.keep(*VOTES, from_=other) for other in world.cluster.ids if other != node]
    world.until(lambda: world.raw(node).term >= goal, f"node {node} has stood {by} times", 20.0)
    for rule in [answers, *others]:
        rule.end()


def test_the_one_that_comes_back_at_a_low_term() -> None:
    with stage() as world:
        world.cut_off(3)
        world.kill(1)
        world.start(1)
        world.elect(2, known_to=[1])
        world.kill(2)
        world.start(2)
        world.elect(1, known_to=[2])
        assert world.raw(2).term > world.raw(3).term
        # The leader dies as the node comes back. Nothing was written meanwhile but what leaders write.
        world.kill(1)
        world.join()
        world.until(lambda: world.leads(2) or world.leads(3), "one of the two leads")
        world.finish()


def test_the_longer_log_at_the_lower_term() -> None:
    with stage() as world:
        # Node 1 leads on alone for a while, with an entry that nobody else has; nodes 2 and 3 stand in vain.
        index = world.raw(1).last_index + 1
        appends = world.keep(MessageType.MsgApp, from_=1)
        world.write(1, "a", "1", timeout=None)
        world.until(lambda: world.raw(1).last_index == index, "node 1 has one more entry")
        world.cut_off(1)
        appends.end()
        raise_terms(world, 2, 3)
        world.kill(3)
        assert world.raw(1).term < world.raw(2).term
        assert world.raw(1).last_index > world.raw(2).last_index

        world.join()
        world.until(lambda: world.leads(1), "node 1 leads: only it can")
        world.finish(a="1")
