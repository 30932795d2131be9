"""A follower commits no further than what the leader has matched with its own log (Figure 2, AppendEntries 5).

Seen in copycat, issue 265: a deposed leader took the commit index of an empty append for its own, unreplicated entry.
CCF, pull request 8172, and etcd, pull request 1203, the same with an append that covers less than the log holds.
"""

from __future__ import annotations

from raftcore import MessageType
from tests.sim.scenarios.stage import stage

CAUGHT = ("heartbeat-commits-what-may-differ",)


def test_a_deposed_leader_does_not_commit_its_own_entry() -> None:
    with stage() as world:
        index = world.raw(1).last_index + 1
        world.cut_off(1)
        lost = world.write(1, "a", "lost")
        world.until(lambda: world.raw(1).last_index == index, "node 1 has an entry of its own")
        world.elect(2, known_to=[3])
        world.written(2, "b", "kept")
        assert world.raw(2).commit_index >= index

        # It hears of the commit index, by heartbeats and by appends without entries.
        full = world.keep(MessageType.MsgApp, to=1, when=lambda m: m.entries is not None)
        world.join()
        world.until(lambda: world.raw(1).leader == 2, "node 1 follows node 2")
        world.pass_(1.0)

        assert world.raw(1).commit_index < index
        assert world.value(1, "a") is None
        assert not lost.answered
        full.end()
        world.finish(a=None, b="kept")
