"""Answers to the heartbeats of an earlier read do not confirm a later one (thesis 6.4).

Seen in etcd, issue 20418, and mended in etcd-io/raft, pull request 397 (as antfly, pull request 599, tells): a leader
that was deposed without noticing took delayed heartbeat answers for a confirmation of a read that came in later.
"""

from __future__ import annotations

from raftcore import MessageType
from tests.sim.scenarios.stage import stage

CAUGHT = ("later-reads-answered-by-an-earlier-round",)


def test_old_answers_confirm_nothing_new() -> None:
    with stage(check_quorum=False) as world:
        world.written(1, "a", "old")
        answers = world.keep(MessageType.MsgHeartbeatResp, to=1, copies=True)
        first = world.read(1, "a")
        world.until(lambda: first.ended, "the first read is answered")
        assert first.value == "old"
        assert answers.kept

        world.split(1)
        world.elect(2, known_to=[3])
        world.written(2, "a", "new")
        assert world.leads(1), "node 1 still takes itself for the leader"
        world.join()
        world.keep(*MessageType, from_=2, to=1)
        world.keep(*MessageType, from_=3, to=1)
        world.keep(*MessageType, from_=1)
        late = world.read(1, "a", timeout=0.5)
        world.pass_(0.01)
        answers.release()
        world.until(lambda: late.ended, "the late read ends")

        assert not late.answered
        world.finish(a="new")
