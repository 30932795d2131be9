"""The shipped store keeps its promises on a disk that fails, wherever its process is stopped or its power fails."""

from __future__ import annotations

from collections import Counter
from random import Random

from raftpy.contracts.errors import StorageDamaged
from raftpy.sim.disk.faults import DiskFaults
from raftpy.sim.disk.files import Disk, PowerFailure
from tests.sim.disk.lives import Life, draw_faults, end_of_life


def test_wherever_the_power_fails_while_the_disk_fails_now_and_then(seed: int) -> None:
    """Each step of a first start, of entries and of a second start in turn, each with errors of its own."""
    outcomes: Counter[str] = Counter()
    for step in range(150):
        rng = Random(seed * 1000 + step)
        life = Life(Disk(Random(seed * 1000 + step)), rng)
        life.stop_at(step)
        try:
            life.run(3, lambda rng=rng: draw_faults(rng))  # type: ignore[misc]
        except PowerFailure:
            pass
        except StorageDamaged:
            assert life.disk.harm
            continue
        outcomes[end_of_life(life)] += 1
    assert outcomes["found"] > 120, outcomes


def test_a_power_failure_out_of_order_loses_nothing_in_silence(seed: int) -> None:
    """What was acknowledged is found, or the start is refused."""
    outcomes: Counter[str] = Counter()
    for step in range(0, 300, 3):
        rng = Random(seed * 1000 + step)
        life = Life(Disk(Random(seed * 1000 + step), DiskFaults(out_of_order=1.0)), rng)
        life.stop_at(step)
        try:
            life.run(5, lambda: DiskFaults(out_of_order=1.0))
        except PowerFailure:
            pass
        life.disk.faults = DiskFaults(out_of_order=1.0)
        outcomes[end_of_life(life)] += 1
    assert outcomes["found"] > 50, outcomes


def test_a_full_disk_takes_nothing_that_was_acknowledged(seed: int) -> None:
    """Room for less and less, in the middle of a write, too, and then again enough."""
    for room in range(0, 200_000, 10_000):
        rng = Random(seed * 1000 + room)
        life = Life(Disk(Random(room)), rng)
        for _ in range(3):
            life.disk.capacity = life.disk.used + rng.randint(0, room)
            life.start()
            life.disk.kill()
            life.disk.capacity = 1 << 40
            life.start()
            life.disk.kill()
        assert end_of_life(life) == "found"


def test_a_write_ahead_file_is_begun_and_tables_are_made_and_merged(seed: int) -> None:
    """So those paths are among what the others test."""
    life = Life(Disk(Random(seed)), Random(seed))
    operations: Counter[str] = Counter()
    seen: set[str] = set()

    def on_step(operation: str) -> None:
        operations[operation] += 1
        names = life.disk.copy().files
        seen.update(path.suffix for path, _ in names)
        logs = sum(path.suffix == ".log" for path, _ in names)
        seen.add(f"{logs} write-ahead files")

    life.disk.on_step = on_step
    life.run(30)
    assert seen >= {".ldb", ".log", ".dbtmp", "2 write-ahead files"}
    assert operations["remove"] > 30
    assert life.disk.used < 2_000_000
