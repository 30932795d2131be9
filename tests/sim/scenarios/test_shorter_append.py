"""A delayed shorter append must not cut off entries that were acknowledged since (Figure 2, AppendEntries 3).

Seen in akka-raft, issue 66: a follower that had taken two entries got, late, an append with the first of them only, and
deleted the second, which its leader counted as stored there.
"""

from __future__ import annotations

from raftcore import MessageType
from tests.sim.scenarios.stage import stage

CAUGHT = ("truncate-on-a-shorter-append",)


def test_a_delayed_shorter_append_takes_nothing_back() -> None:
    with stage() as world:
        world.cut_off(3)  # so that every acknowledgement counts
        index = world.raw(1).last_index + 1
        appends = world.keep(MessageType.MsgApp, to=2, copies=True, when=lambda m: m.entries is not None)
        # Nothing is committed meanwhile: a follower would not look at what is below its commit index.
        stored = world.keep(MessageType.MsgAppResp, from_=2)
        first = world.write(1, "a", "1")
        world.until(lambda: world.raw(2).last_index == index, "node 2 has the first entry")
        shorter = appends.kept[0]
        second = world.write(1, "b", "2")
        world.until(lambda: world.raw(2).last_index == index + 1, "node 2 has both")
        world.until(lambda: any(m.index == index + 1 for m in stored.messages()), "node 2 has acknowledged both")

        world.cluster.network.send_on(*shorter)
        world.pass_(0.01)
        assert world.raw(2).last_index == index + 1
        stored.release()
        world.until(lambda: first.ended and second.ended, "both are answered")
        assert first.answered
        assert second.answered

        # Whoever has lost the leader finds both on node 2, which is in every majority of those that are left.
        world.kill(1)
        world.join()
        world.elect(2, known_to=[3])
        world.finish(a="1", b="2")
