"""What a crash, or damage at rest, leaves of a store: the double and the real store, on real files with real LevelDB,
find the same in it.

The states come from the simulated disk, whose operations on LevelDB's files are LevelDB's; each is written out as real
files, which the real store opens (as ALICE does, Pillai et al., "All File Systems Are Not Created Equal", 2014).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from raftpy.contracts.errors import StorageDamaged, StorageFailed
from raftpy.contracts.types import Recovered
from raftpy.sim.disk.faults import DiskFaults
from raftpy.sim.disk.files import Disk, PowerFailure
from raftpy.sim.disk.image import DiskImage, FileImage
from raftpy.sim.entropy import SeededEntropy
from raftpy.storage import LevelDBStorage
from tests.sim.disk.both import disk_of, fresh, read_image, work, write_image
from tests.sim.disk.lives import NODE, Life, draw_appends, draw_faults, store
from tests.storage.late import LateExecutor
from tests.storage.layout import RECORDS
from tests.storage.support import EVERYTHING, OWNER, SMALLEST_BUFFER, Model, submit

__all__ = ["work"]


def verdict(opened: LevelDBStorage, root: str) -> tuple[object, ...]:
    """What the store says of itself, and all its entries; or how it was refused, ``root`` being where it is."""
    try:
        recovered = opened.open(OWNER)
    except StorageFailed as error:
        return type(error).__name__, str(error).replace(root, "")
    entries = read(opened, recovered)
    opened.close()
    return "opened", recovered, entries


def read(opened: LevelDBStorage, recovered: Recovered) -> list[tuple[int, bytes]]:
    last = recovered.groups[0].last_index
    if not last:
        return []
    return [(entry.term, entry.data) for entry in opened.group(0).entries(1, last + 1, EVERYTHING)]


def compared(image: DiskImage, work: Path, seed: int) -> tuple[object, ...]:
    """The verdict of both on this disk, which has to be the same."""
    simulated = verdict(store(disk_of(image).files(), seed), "")
    root = fresh(work / "real")
    write_image(image, root)
    opened = LevelDBStorage(
        root / NODE.relative_to("/"),
        mode="inline",
        segment_size=SMALLEST_BUFFER,
        entropy=SeededEntropy(Random(seed)),
    )
    real = verdict(opened, str(root))
    if any("failed: Corruption" in str(said[1]) for said in (simulated, real)):
        return simulated  # its thread has come upon it while it merged tables, which it may do sooner or later
    if simulated[0] == "StorageDamaged" == real[0]:  # LevelDB has its own words for some of it
        words = {reason for reason in REASONS for said in (simulated, real) if reason in str(said[1])}
        assert len(words) <= 1 or simulated == real, (simulated, real)
        return simulated
    assert simulated == real
    return simulated


REASONS = ("its checksum", "is missing", "below its floor", "not as it was closed", "is not what was written")
"""What raftpy itself says; it has to be the same on both."""


def test_whatever_a_crash_leaves(seed: int, work: Path) -> None:
    """Power failures in any step of a life with errors, in order and out of order, and kills."""
    outcomes: Counter[object] = Counter()
    for step in range(120):
        rng = Random(seed * 1000 + step)
        out_of_order = rng.choice((0.0, 1.0))
        life = Life(Disk(Random(seed * 1000 + step)), rng)
        life.stop_at(rng.randrange(200))
        try:
            life.run(4, lambda rng=rng: draw_faults(rng))  # type: ignore[misc]
        except (PowerFailure, StorageDamaged):
            pass
        life.disk.on_step = None
        life.disk.faults = DiskFaults(out_of_order=out_of_order)
        if rng.random() < 0.2:
            life.disk.kill()
        else:
            life.disk.power_failure()
        outcomes[compared(life.disk.copy(), work, step)[0]] += 1
    print(outcomes)
    assert outcomes["opened"] > 60, outcomes


def written(seed: int, clean: bool) -> DiskImage:
    """A store with several segments."""
    life = Life(Disk(Random(seed)), Random(seed))
    model = Model()
    for start in range(3):
        opened = store(life.disk.files(), start)
        opened.open(OWNER)
        for _ in range(25):
            appends = draw_appends(life.rng, model)
            assert submit(opened, appends)
            model.submit(appends)
        if start < 2 or clean:
            opened.close()
        life.disk.kill()
    return life.disk.copy()


Damage = Callable[[Random, bytes, int], FileImage | None]


def flipped(rng: Random, data: bytes, size: int) -> FileImage:
    changed = bytearray(data or b"\0")
    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return FileImage(bytes(changed), max(size, len(changed)))


def cut(rng: Random, data: bytes, size: int) -> FileImage:
    left = data[: rng.randrange(len(data) + 1)]
    return FileImage(left, len(left))


def zeroed(rng: Random, data: bytes, size: int) -> FileImage:
    return FileImage(data[: rng.randrange(len(data) + 1)], size)


def torn_and_zeroed(rng: Random, data: bytes, size: int) -> FileImage:
    return FileImage(cut(rng, data, size).data, size + rng.randrange(70_000))


def emptied(rng: Random, data: bytes, size: int) -> FileImage:
    return FileImage(b"", 0)


def taken_away(rng: Random, data: bytes, size: int) -> None:
    return None


@pytest.mark.parametrize("damage", [flipped, cut, zeroed, torn_and_zeroed, emptied, taken_away])
@pytest.mark.parametrize("clean", [True, False], ids=["closed", "killed"])
def test_damage_at_rest(seed: int, work: Path, damage: Damage, clean: bool) -> None:
    """In each kind of file in turn: the segments' write-ahead files, CURRENT and manifests, the floor."""
    rng = Random(seed)
    image = written(seed, clean)
    paths = [path for path, _ in image.files if not path.name.startswith("LOG")]
    assert {path.suffix or path.name.partition("-")[0] for path in paths} >= {
        ".log",
        "CURRENT",
        "MANIFEST",
        "floor",
    }
    # LevelDB's own files of a segment are read by nobody, so most turns are for the others.
    paths += 8 * [path for path in paths if path.suffix == ".log" or path.name == "floor"]
    outcomes: Counter[object] = Counter()
    for turn in range(2 * len(paths) if damage in (emptied, taken_away) else 60):
        damaged = paths[turn % len(paths)]
        files = []
        for path, (data, size) in image.files:
            left = damage(rng, data, size) if path == damaged else FileImage(data, size)
            if left is not None:
                files.append((path, left))
        outcomes[compared(DiskImage(image.directories, tuple(files)), work, turn)[0]] += 1
    print(damage.__name__, outcomes)
    assert outcomes["StorageDamaged"] > 5, outcomes


def test_an_older_copy(seed: int, work: Path) -> None:
    """Of the database alone: below its floor. Of everything: as docs/design-storage.md says, not noticed here."""
    life = Life(Disk(Random(seed)), Random(seed))
    images = []
    for _ in range(4):
        life.start()
        life.disk.kill()
        images.append(life.disk.copy())
    old, new = images[1], images[3]
    assert compared(old, work, 1)[0] == "opened"
    mixed = [file for file in new.files if RECORDS not in file[0].parts]
    mixed += [file for file in old.files if RECORDS in file[0].parts]
    directories = tuple(sorted({*new.directories, *old.directories}))
    found = compared(DiskImage(directories, tuple(mixed)), work, 1)
    assert found[0] == "StorageDamaged"
    assert "below its floor" in str(found[1])


def test_an_emptied_directory_is_a_first_start(seed: int, work: Path) -> None:
    """Only the peers can know better: docs/design-storage.md."""
    life = Life(Disk(Random(seed)), Random(seed))
    life.run(2)
    life.disk.empty(NODE)
    found = compared(life.disk.copy(), work, 1)
    assert isinstance(found[1], Recovered)
    assert found[1].boot >> 32 == 1


def test_what_the_real_store_leaves_is_opened_by_the_double(seed: int, work: Path) -> None:
    """The other way round: directories that the real store and LevelDB have written, closed and as after kill -9."""
    rng = Random(seed)
    root = fresh(work / "written")
    path = root / NODE.relative_to("/")
    model = Model()
    for start in range(6):
        opened = LevelDBStorage(path, mode="inline", segment_size=SMALLEST_BUFFER, executor=LateExecutor(rng))
        opened.open(OWNER)
        for _ in range(20):
            appends = draw_appends(rng, model)
            assert submit(opened, appends)
            model.submit(appends)
            if rng.random() < 0.1:
                assert compared(read_image(root), work, start)[0] == "opened"
        opened.close()
        found = compared(read_image(root), work, start)
        assert found[2] == model.log
