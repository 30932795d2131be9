"""The shipped store keeps its promises on a disk that fails, wherever its process is stopped or its power fails."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from raftpy.contracts.errors import StorageFailed
from raftpy.sim.disk.faults import DiskFaults
from raftpy.sim.disk.files import Disk, PowerFailure
from tests.sim.disk.lives import Life, draw_faults, end_of_life, lives_cut_off


def test_wherever_the_power_fails_while_the_disk_fails_now_and_then(seed: int) -> None:
    """Each step of a first start, of entries and of a second start in turn, each with errors of its own."""
    outcomes: Counter[str] = Counter()
    for life in lives_cut_off(Life, seed, range(150), 3, draw_faults):
        outcomes[end_of_life(life)] += 1
    assert outcomes["found"] > 120, outcomes


def test_what_a_start_has_read_from_memory_alone_is_durable_once_it_goes_on(seed: int) -> None:
    """The sync of a batch failed, and the next start finds the batch, or not. What it finds it builds on, and LevelDB
    removes the file that it stood in: a power failure brings neither that file back, nor the list that names it."""
    read_back = 0
    for number in range(60):
        life = Life(Disk(Random(seed * 1000 + number)), Random(seed * 1000 + number))
        life.run(1)
        opened = life.new()
        life.open(opened)
        length = len(life.known.log)
        life.disk.faults = DiskFaults(sync_error=1.0)
        with pytest.raises(StorageFailed):
            life.append(opened, 3)
        opened.close()
        life.disk.faults = DiskFaults()
        life.disk.kill()
        opened = life.new()
        life.open(opened)
        read_back += len(life.known.log) > length
        for _ in range(3):
            life.append(opened, 3)
        life.disk.kill()
        assert end_of_life(life) == "found"
    assert read_back > 20


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
