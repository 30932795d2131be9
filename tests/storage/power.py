"""The power fails in the place of each step that changes a simulated disk, or the process is killed there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random

from raftcore.base.errors import RaftError
from raftpy.sim.disk.files import Disk, DiskFiles, PowerFailure

SOURCES = range(4)
"""Seeds of what a power failure leaves of what was not synced."""


def failing_at(disk: Disk, step: int) -> None:
    """The power fails in the place of the step with this number, from now on."""
    at = disk.steps + step

    def on_step(operation: str) -> None:
        if disk.steps == at:
            raise PowerFailure

    disk.on_step = on_step


def fail_at_each_step(
    before: Callable[[DiskFiles], None],
    act: Callable[[DiskFiles], None],
    check: Callable[[DiskFiles, bool], None],
    sources: Iterable[int] = SOURCES,
    end: Callable[[Disk], None] = Disk.power_failure,
) -> int:
    """Runs ``act`` on a disk on which ``before`` has run, and lets the power fail at its first step, at its second, and
    so on until it gets through; ``check(files, done)`` sees each disk after the failure. The number of steps.

    ``end``: how the process ends, if not by a power failure: ``Disk.kill``.
    """
    for step in range(1000):
        done = False
        for seed in sources:
            disk = Disk(Random(seed))
            before(disk.files())
            failing_at(disk, step)
            try:
                act(disk.files())
            except (PowerFailure, RaftError):
                pass
            done = not disk.stopped  # some calls bear a failure: closing has nobody to tell
            disk.on_step = None
            end(disk)
            check(disk.files(pid=2), done)
        if done:
            return step
    raise AssertionError("it never gets through")
