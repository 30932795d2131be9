"""A bit that turned over on the disk while the node was down: it refuses to start, or holds what it held.

Seen in NuRaft, issue 185: of three nodes one restarted with a damaged log and snapshot, took the rest for all it had,
and entries that were committed were rolled back. docs/design-storage.md: "restored exactly, or refused by name".
"""

from __future__ import annotations

from pathlib import PurePath
from random import Random

from raftpy.contracts.errors import StorageDamaged
from raftpy.sim.cluster import Life
from raftpy.sim.data_directory import DIRECTORY
from tests.seeded_bugs.bug import Bug
from tests.sim.scenarios.stage import Stage, stage
from tests.storage.layout import file_of, in_use

CAUGHT = (
    Bug(
        name="damaged-length-taken-for-torn",
        breaks="a damaged length is not a torn write: what follows was acknowledged (docs/design-storage.md)",
        file="raftpy/storage/leveldb/segment.py",
        old="        if verdict not in (WHOLE, TORN):\n",
        new='        if verdict not in (WHOLE, TORN, "length"):\n',
    ),
)

IN_EACH_FILE = 40
LAST_BYTES = 300


def log_of(life: Life) -> tuple[int, int, list[tuple[int, int, bytes]]]:
    """Term, vote and entries, as a core would read them."""
    raw = life.groups[0].raw
    last = raw.last_index
    entries = life.storage.group(0).entries(raw.first_index, last + 1, 1 << 30)
    return raw.term, raw.vote, [(entry.index, entry.term, entry.data) for entry in entries]


def try_start(world: Stage) -> Life:
    """Starts node 2 alone, until it is up or has refused."""
    world.start(2)
    life = world.life(2)
    world.until(lambda: life.started or world.member(2).life is None, "node 2 starts, or refuses")
    return life


def test_every_file_of_the_store() -> None:
    with stage() as world:
        # Each start begins a segment, so that there are several.
        for round_ in range(2):
            for number in range(10):
                world.written(1, f"n{round_}{number}", "x" * 100)
            world.restart(2)
            world.quiet()
        world.written(1, "last", "x" * 100)
        world.quiet()
        world.kill(2)
        world.cut_off(2)
        disk = world.distrust(2)
        image = disk.copy()
        files = [(path, len(file.data)) for path, file in image.files if file.data]
        assert sum(path.suffix == ".log" for path, _ in files) > 3
        node = PurePath(DIRECTORY)
        newest = file_of(node, in_use(node, disk.files())[-1], disk.files())
        whole = log_of(try_start(world))
        world.kill(2)
        source = Random(1)
        refused: dict[PurePath, int] = {}
        for path, size in files:
            places = [source.randrange(size) for _ in range(min(IN_EACH_FILE, size))]
            if path == newest:  # the last records are what may be taken for torn
                places += range(max(0, size - LAST_BYTES), size)
            for place in places:
                disk.restore(image)
                disk.flip_bit(path, place, source.randrange(8))
                life = try_start(world)
                if life.started:
                    assert log_of(life) == whole, f"{disk.harm[-1]}: other data"
                    world.kill(2)
                else:
                    assert isinstance(life.error, StorageDamaged), f"{disk.harm[-1]}: {life.error!r}"
                    refused[path] = refused.get(path, 0) + 1
                    world.member(2).lost = False
        assert sum(refused.values()) > IN_EACH_FILE, refused
        disk.restore(image)
        world.member(2).trusted = True
