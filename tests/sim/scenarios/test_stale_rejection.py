"""A rejection that arrives late, or again, does not take back what is known of a follower (paper 5.3).

Seen in etcd, pull request 1207, and in little-raft, pull request 18: each repeated rejection moved the place from which
the leader sends back by one more, until it pointed before the log.
"""

from __future__ import annotations

from raftcore import MessageType
from tests.sim.scenarios.stage import stage

CAUGHT = ("stale-rejection-of-a-known-match",)


def test_a_repeated_rejection_is_no_news() -> None:
    with stage() as world:
        world.cut_off(3)
        for number in range(5):
            world.written(1, f"key {number}", "v")
        refusals = world.keep(MessageType.MsgAppResp, from_=3, to=1, copies=True, when=lambda m: m.reject)
        world.join()
        world.quiet()
        assert refusals.kept, "node 3 never refused an append: the scenario is not what it says"
        before = dict(world.raw(1).progress())

        appends = world.keep(MessageType.MsgApp, from_=1, to=3, copies=True, when=lambda m: m.entries is not None)
        refusals.release(times=3)
        for _ in range(100):
            world.pass_(0.0003)
            assert dict(world.raw(1).progress()) == before
        assert not appends.kept
        world.finish(**{"key 0": "v", "key 4": "v"})
