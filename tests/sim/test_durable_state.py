"""Where a simulated state machine keeps its state: whatever happens, it is what was durable, or what was to be."""

from __future__ import annotations

from contextlib import nullcontext
from random import Random

import pytest

from raftpy.sim.disk.faults import DiskFaults
from raftpy.sim.disk.files import Disk, PowerFailure
from raftpy.sim.durable_state import DIRECTORY, DurableState


def opened(disk: Disk) -> DurableState:
    return DurableState(disk.files(), 0, nullcontext)


def cut_off(disk: Disk, step: int) -> int:
    """Saves twice, with the power failing in the place of a step; up to which index the state is durable then."""
    left = [step]

    def fail(operation: str) -> None:
        left[0] -= 1
        if not left[0]:
            raise PowerFailure

    state = opened(disk)
    state.save(3, b"three")
    durable = 3
    disk.on_step = fail
    try:
        durable = state.save(7, b"seven" * 99)
        durable = state.save(9, b"nine")
    except PowerFailure:
        pass
    disk.on_step = None
    disk.power_failure()
    return durable


@pytest.mark.parametrize("step", range(1, 16))
def test_a_power_failure_at_each_step_leaves_the_old_state_or_the_new_one(step: int) -> None:
    for seed in range(20):
        disk = Disk(Random(seed))
        durable = cut_off(disk, step)
        assert (durable == 9) is (step > 12), "so these are all the steps"
        found = opened(disk)
        assert found.index >= durable
        assert (found.index, found.data) in ((3, b"three"), (7, b"seven" * 99), (9, b"nine"))
        assert found.durable == 0, "what it was read from may be in memory alone"
        assert found.save(11, b"eleven") == 11
        assert disk.files().names(DIRECTORY) == ["0"]


@pytest.mark.parametrize("rates", [{"write_error": 1.0}, {"sync_error": 1.0}, {"no_space": 1.0}])
def test_what_fails_leaves_what_was_durable(rates: dict[str, float]) -> None:
    disk = Disk(Random(1))
    state = opened(disk)
    state.save(3, b"three")
    disk.faults = DiskFaults(**rates)
    with pytest.raises(OSError, match=r"error|No space"):
        state.save(7, b"seven")
    assert state.durable == 3
    disk.faults = DiskFaults()
    disk.power_failure()
    assert opened(disk).data == b"three"


def test_an_older_state_never_takes_the_place_of_a_newer_one() -> None:
    state = opened(Disk(Random(1)))
    assert [state.save(index, b"") for index in (5, 3, 6)] == [5, 5, 6]


def test_a_state_that_was_cleared_stays_so() -> None:
    disk = Disk(Random(1))
    state = opened(disk)
    state.clear()
    state.save(3, b"three")
    state.clear()
    disk.power_failure()
    assert (opened(disk).index, state.durable) == (0, 0)
