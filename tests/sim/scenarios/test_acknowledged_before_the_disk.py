"""What a client was told is written outlives the power of any machine, at that very moment (Figure 2; thesis 3.8).

Seen in PySyncObj, issue 84, in hiqlite, pull request 361, in robustmq, pull request 2039, and in d-engine, issue 446:
entries were acknowledged, or counted by the leader itself, before they were on a disk.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from raftcore import MessageType
from tests.sim.scenarios.stage import STEADY_DISK, stage

CAUGHT = ("append-acknowledged-before-the-disk", "leader-counts-entries-it-has-not-written")


@pytest.mark.parametrize("seed", range(1, 5))
def test_the_one_that_acknowledged_loses_power_at_that_moment(seed: int) -> None:
    with stage(seed=seed, write_mode="thread") as world:
        world.cut_off(3)
        index = world.raw(1).last_index + 1
        stored = world.keep(
            MessageType.MsgAppResp, from_=2, to=1, copies=True, when=lambda m: m.index == index and not m.reject
        )
        asked = world.write(1, "a", "1")
        world.until(lambda: bool(stored.kept), "node 2 acknowledges")
        world.kill(2, "power")
        world.until(lambda: asked.ended, "the write is answered")
        assert asked.answered
        # The leader is gone, and node 3 has never heard of it.
        world.kill(1)
        world.join()
        world.start(2)
        world.elect(2, known_to=[3])
        read = world.read(2, "a")
        world.until(lambda: read.ended, "the read is answered")
        assert read.value == "1"
        world.start(1)
        world.finish(a="1")


@pytest.mark.parametrize("seed", range(1, 5))
def test_the_leader_loses_power_as_it_commits(seed: int) -> None:
    with stage(seed=seed, write_mode="thread") as world:
        # Its disk is busy with another entry, so that it writes this one last of all.
        world.member(1).disk.faults = replace(STEADY_DISK, sync_s=(0.1, 0.1))
        world.cut_off(3)
        world.write(1, "z", "0")
        world.pass_(0.002)
        index = world.raw(1).last_index + 1
        world.write(1, "a", "1")
        world.until(lambda: world.raw(1).commit_index >= index, "the entry is committed")
        # The other one that has it is away.
        world.kill(1, "power")
        world.kill(2)
        world.member(1).disk.faults = STEADY_DISK
        world.start(1)
        world.join()
        world.elect(1, known_to=[3])
        read = world.read(1, "a")
        world.until(lambda: read.ended, "the read is answered")
        assert read.value == "1"
        world.start(2)
        world.finish(a="1")
