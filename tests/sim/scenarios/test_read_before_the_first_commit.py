"""A new leader answers no read before it has committed an entry of its own term (paper 8, thesis 6.4).

Seen in etcd, issue 7331: a new leader's commit index may lie behind what its predecessor has acknowledged, and it
answered reads with that. tikv, pull request 9239, the same on a shorter way.
"""

from __future__ import annotations

from raftcore import MessageType
from tests.sim.scenarios.stage import stage

CAUGHT = ("read-before-an-own-commit",)


def test_a_new_leader_does_not_read_at_its_old_commit_index() -> None:
    with stage() as world:
        world.written(1, "a", "old")
        world.quiet()
        # Node 1 commits and acknowledges; that it is committed reaches nobody.
        index = world.raw(1).last_index + 1
        for other in (2, 3):
            world.keep(MessageType.MsgHeartbeat, from_=1, to=other)
            world.keep(MessageType.MsgApp, from_=1, to=other, when=lambda m: m.commit >= index)
        world.written(1, "a", "new")
        world.kill(1)
        assert max(world.raw(2).commit_index, world.raw(3).commit_index) < index
        # Node 2 leads, and is heard; that its own entry was stored is not.
        stored = world.keep(MessageType.MsgAppResp, to=2, when=lambda m: not m.reject)
        world.elect(2, known_to=[3])
        read = world.read(2, "a")
        world.pass_(0.2)

        assert world.leads(2)
        assert not read.ended
        stored.release()
        world.until(lambda: read.ended, "the read is answered")
        assert read.value == "new"
        world.finish(a="new")
