"""The answer to a question that a node asked before it was started again is none to what it asks now.

A leader answers a read once a quorum has confirmed it (thesis 6.4), and that may be when whoever asked has a new life
already. The leader knows that life by then, so the answer is not among the datagrams that are dropped because they were
meant for the one before. Were the questions of each life numbered from 1 without a word of the life, the answer would
be taken for that to the new life's first one, with an index from before all that was committed meanwhile.
"""

from __future__ import annotations

from raftcore import MessageType
from tests.sim.scenarios.stage import stage

CAUGHT = ("read-answered-from-an-earlier-life",)


def test_an_answer_to_an_earlier_life_is_not_taken_for_one_to_this() -> None:
    with stage() as world:
        world.written(1, "a", "old")
        world.quiet()
        confirmations = world.keep(MessageType.MsgHeartbeatResp, to=1)
        world.read(2, "a")
        world.pass_(0.01)
        assert confirmations.kept, "the leader asks whether it leads"

        world.restart(2)
        world.until(lambda: world.value(2, "a") == "old", "node 2 has applied what it holds")
        world.keep(MessageType.MsgApp, to=2)
        world.written(1, "a", "new")
        questions = world.keep(MessageType.MsgReadIndex, from_=2)
        answers = world.keep(MessageType.MsgReadIndexResp, to=2, copies=True)
        late = world.read(2, "a", timeout=0.3)
        world.until(lambda: bool(questions.kept), "node 2 asks")
        assert not answers.kept
        confirmations.release()
        world.until(lambda: bool(answers.kept), "the question of the earlier life is answered")
        world.pass_(0.01)

        assert not late.answered, "by an answer from before the new value"
        world.finish(a="new")
