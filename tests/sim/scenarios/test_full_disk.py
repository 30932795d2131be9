"""A node whose disk is full stops, acknowledges nothing more, and is whole again once there is room.

Seen in cockroach, issue 32631: after a disk had been full, and space was freed, the Raft log lacked what had been
acknowledged; in etcd, issue 3591, and in influxdb, issue 7488: what a full disk had left could not be opened any more.
"""

from __future__ import annotations

import pytest

from tests.seeded_bugs.bug import Bug
from tests.sim.scenarios.stage import Stage, stage

CAUGHT = (
    Bug(
        name="failed-write-acknowledged",
        breaks="what could not be written is not acknowledged, and the handle is dead (docs/design-storage.md)",
        file="raftpy/storage/leveldb/writer.py",
        old="            self._post(self._failed, error)\n            return False\n",
        new="            self._post(self._done, submits)\n            return True\n",
    ),
)

LARGE = "x" * 2_000
STOPPED = "a node stopped by itself"


def fill(world: Stage, *nodes: int, room: int) -> None:
    """So many bytes are free from now on; 1 << 40 for as many as anybody wants."""
    for node in nodes:
        disk = world.member(node).disk
        disk.capacity = disk.used + room


def write_until_refused(world: Stage, most: int = 300) -> list[int]:
    """Writes, one by one; the numbers that were acknowledged."""
    done = []
    for number in range(most):
        leader = world.cluster.leader()
        if leader is None or not world.up(leader):
            world.pass_(0.1)
            continue
        asked = world.write(leader, f"n{number}", LARGE, timeout=0.3)
        world.world.run(world.world.now + 0.5, lambda asked=asked: asked.ended)  # type: ignore[misc]
        if asked.answered:
            done.append(number)
    return done


@pytest.mark.parametrize("mode", ["inline", "thread"])
def test_one_disk_is_full(mode: str) -> None:
    with stage(write_mode=mode, segment_size=1 << 12) as world:
        fill(world, 2, room=20_000)
        done = write_until_refused(world, 100)
        assert world.reached[STOPPED] >= 1
        assert len(done) > 90, "the others go on"
        fill(world, 2, room=1 << 40)
        world.finish(**{f"n{number}": LARGE for number in done})


@pytest.mark.parametrize("mode", ["inline", "thread"])
def test_all_disks_are_full(mode: str) -> None:
    with stage(write_mode=mode, segment_size=1 << 12) as world:
        fill(world, 1, 2, 3, room=60_000)
        done = write_until_refused(world, 60)
        assert 0 < len(done) < 60
        assert world.reached[STOPPED] >= 2
        fill(world, 1, 2, 3, room=1 << 40)
        world.finish(**{f"n{number}": LARGE for number in done})
