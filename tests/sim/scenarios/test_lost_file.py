"""A file of the store that is gone, or empty: the node refuses to start, for it would come back with less.

Seen in etcd, issue 10951: after a restart of the machine the newest part of the log was not there, and nothing had said
so. docs/design-storage.md: "any file missing or empty" is refused, but for those that hold nothing. Its stated limit
is the newest of two write-ahead files, which LevelDB has while it turns its memory into a table: after a crash, the
store does not notice that it is gone.
"""

from __future__ import annotations

import pytest

from raftpy.contracts.errors import StorageDamaged
from raftpy.sim.cluster import Life
from tests.seeded_bugs.bug import Bug
from tests.sim.scenarios.stage import Stage, stage

CAUGHT = (
    Bug(
        name="lost-current-not-called-damage",
        breaks="any file missing is refused as damage, by name (docs/design-storage.md)",
        file="raftpy/storage/leveldb/store.py",
        old='            raise StorageDamaged("its file CURRENT is missing", str(self._database_path))\n',
        new="            pass\n",
    ),
)

HOLD_NOTHING = ("lock", "LOCK", "LOG", "LOG.old")


def crash_with_tables(world: Stage) -> None:
    """Node 2 is down after a crash, with tables and a write-ahead file."""
    for number in range(3):
        world.written(1, f"b{number}", "1")
        world.quiet()
        world.restart(2)
    world.written(1, "a", "1")
    world.quiet()
    world.kill(2)


def try_start(world: Stage) -> Life:
    """Starts node 2, until it is up or has refused."""
    world.start(2)
    life = world.life(2)
    world.until(lambda: life.started or world.member(2).life is None, "node 2 starts, or refuses")
    return life


@pytest.mark.parametrize("how", ["gone", "empty"])
def test_the_loss_of_any_file_is_noticed(how: str) -> None:
    with stage() as world:
        crash_with_tables(world)
        disk = world.distrust(2)
        image = disk.copy()
        paths = [path for path in disk.paths() if path.name not in HOLD_NOTHING]
        assert {".ldb", ".log"} <= {path.suffix for path in paths}
        for path in paths:
            disk.restore(image)
            if how == "gone":
                del disk.directory(path.parent).names[path.name]
            else:
                disk.contents(path).resize(0)
            life = try_start(world)
            assert isinstance(life.error, StorageDamaged), path
            # The others go on without it.
            world.written(1, "a", path.name)
            world.member(2).lost = False


def test_the_newest_of_two_write_ahead_files() -> None:
    """The limit: the store does not notice. The others have what it had acknowledged, and the next leader sends it."""
    with stage(write_buffer_size=1 << 16) as world:
        for number in range(1000):
            world.written(1, f"n{number}", "x" * 1000)
            logs = [path for path in world.member(2).disk.paths() if path.suffix == ".log"]
            if len(logs) == 2:
                break
        assert len(logs) == 2, "LevelDB's memory never became a table"
        world.quiet()
        last = world.raw(2).last_index
        world.kill(2)
        del world.distrust(2).directory(logs[-1].parent).names[logs[-1].name]
        life = try_start(world)
        assert life.started
        assert world.raw(2).last_index < last
        # It may be elected by nobody, and what it lacks must not be lost with the leader.
        world.kill(1)
        world.until(lambda: world.leads(3), "node 3 leads: only it can")
        world.start(1)
        world.finish(**{f"n{number}": "x" * 1000})
