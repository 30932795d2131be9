"""A file of the store that is gone, or empty: the node refuses to start, for it would come back with less.

Seen in etcd, issue 10951: after a restart of the machine the newest part of the log was not there, and nothing had said
so. docs/design-storage.md: "any file missing or empty" is refused, but for those that hold nothing. Its stated limit
is the newest of two write-ahead files, which LevelDB has while it turns its memory into a table: after a crash, the
store does not notice that it is gone.
"""

from __future__ import annotations

from pathlib import PurePath

import pytest

from raftpy.contracts.errors import StorageDamaged
from raftpy.sim.cluster import Life
from raftpy.sim.data_directory import DIRECTORY
from raftpy.storage.leveldb.segment import HEADER_END
from tests.seeded_bugs.bug import Bug
from tests.sim.scenarios.stage import Stage, stage
from tests.storage.layout import file_of, holds_nothing, in_use

CAUGHT = (
    Bug(
        name="lost-segment-not-called-damage",
        breaks="any file missing is refused as damage, by name (docs/design-storage.md)",
        file="raftpy/storage/leveldb/loading.py",
        old="        if previous and found.header.previous != previous:\n",
        new="        if previous > found.number:\n",
    ),
)


def crash_with_segments(world: Stage) -> None:
    """Node 2 is down after a crash, with several segments."""
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
        crash_with_segments(world)
        disk = world.distrust(2)
        image = disk.copy()
        node, files = PurePath(DIRECTORY), disk.files()
        paths = [path for path in disk.paths() if not holds_nothing(node, path.relative_to(node), files)]
        logs = [path for path in paths if path.suffix == ".log"]
        assert len(logs) > 3
        newest = file_of(node, in_use(node, files)[-1], files)
        for path in paths:
            disk.restore(image)
            if how == "gone":
                del disk.directory(path.parent).names[path.name]
            else:
                disk.contents(path).resize(0)
            life = try_start(world)
            assert isinstance(life.error, StorageDamaged), path
            if path in logs and path != newest:  # that of the last start is missed by its boot
                assert path.parent.name in life.error.where, life.error
            # The others go on without it.
            world.written(1, "a", path.name)
            world.member(2).lost = False


def run_with_segments(world: Stage) -> list[int]:
    """Node 2 is down after a crash, and has changed segments since its start; the numbers of those in use."""
    node = PurePath(DIRECTORY)
    used: list[int] = []
    for number in range(100):
        world.written(1, f"n{number}", "x" * 1000)
        world.quiet()
        used = in_use(node, world.member(2).disk.files())
        if len(used) == 3:
            break
    assert len(used) == 3, "no segment was ever full"
    world.kill(2)
    world.distrust(2)
    return used


@pytest.mark.parametrize("how", ["gone", "empty"])
def test_the_newest_segment(how: str) -> None:
    """It is named by the one before, also where that was in the same life."""
    with stage(segment_size=1 << 14) as world:
        newest = file_of(PurePath(DIRECTORY), run_with_segments(world)[-1], world.member(2).disk.files())
        disk = world.member(2).disk
        if how == "gone":
            del disk.directory(newest.parent).names[newest.name]
        else:
            disk.contents(newest).resize(0)
        assert isinstance(try_start(world).error, StorageDamaged)
        world.written(1, "a", "1")


def test_all_but_the_header_of_the_newest_segment() -> None:
    """The next one has been made, and says that it was in use."""
    with stage(segment_size=1 << 14) as world:
        newest = file_of(PurePath(DIRECTORY), run_with_segments(world)[-1], world.member(2).disk.files())
        world.member(2).disk.contents(newest).resize(HEADER_END)
        error = try_start(world).error
        assert isinstance(error, StorageDamaged)
        assert newest.parent.name in error.where
        assert "it was in use" in str(error)
        world.written(1, "a", "1")


def test_all_but_the_header_of_the_newest_segment_and_all_of_the_next() -> None:
    """The limit: the store does not notice. The others have what it had acknowledged, and the next leader sends it."""
    with stage(segment_size=1 << 14) as world:
        newest = file_of(PurePath(DIRECTORY), run_with_segments(world)[-1], world.member(2).disk.files())
        following = newest.parent.parent / f"{int(newest.parent.name) + 1:016}"
        disk = world.member(2).disk
        last = world.raw(1).last_index
        disk.contents(newest).resize(HEADER_END)
        for name in list(disk.directory(following).names):
            del disk.directory(following).names[name]
        del disk.directory(following.parent).names[following.name]
        life = try_start(world)
        assert life.started
        assert world.raw(2).last_index < last
        # It may be elected by nobody, and what it lacks must not be lost with the leader.
        world.kill(1)
        world.until(lambda: world.leads(3), "node 3 leads: only it can")
        world.start(1)
        world.finish(n0="x" * 1000)
