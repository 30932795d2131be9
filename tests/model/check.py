"""One seed: the schedule is carried out; when core and model differ, a shorter one that shows it is looked for."""

from __future__ import annotations

import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.model.pair import Difference
from tests.model.run import Done, Run
from tests.model.schedule import Cluster, Step, draw_cluster, draw_steps


@dataclass
class Result:
    """How far one run came. what is None when nothing differed; core and model are then None too."""

    cluster: Cluster
    numbers: list[int]
    """The steps that were carried out, by their number in the whole schedule; the last is the one that showed it."""
    calls: int = 0
    what: str | None = None
    core: object = None
    model: object = None
    history: list[Done] = field(default_factory=list)


def run(cluster: Cluster, steps: Sequence[Step], numbers: Sequence[int]) -> Result:
    """Carries out the steps of these numbers."""
    going = None
    result = Result(cluster, list(numbers))
    try:
        going = Run(cluster)
        going.perform([steps[number] for number in numbers], numbers)
    except Difference as found:
        result.what, result.core, result.model = str(found), found.core, found.model
    except Exception:  # of the driver: the core led it where no correct core leads
        result.what, result.core = "the run broke", traceback.format_exc()
    if going is not None:
        result.calls, result.history = going.calls, list(going.history)
    if result.what is not None:
        done = result.history[-1].number if result.history else -1
        result.numbers = [number for number in numbers if number <= done]
    return result


def check(seed: int, count: int, only: Sequence[int] | None = None) -> Result:
    """The schedule of a seed, whole or only some of its steps."""
    cluster = draw_cluster(seed)
    steps = draw_steps(cluster, count)
    return run(cluster, steps, range(count) if only is None else only)


def shrink(found: Result, count: int, seconds: float) -> Result:
    """Leaves out steps, in large pieces first, as long as a difference remains and there is time."""
    steps = draw_steps(found.cluster, count)
    deadline = time.monotonic() + seconds
    best = found
    size = max(1, len(best.numbers) // 2)
    while time.monotonic() < deadline:
        before = len(best.numbers)
        at = 0
        while at < len(best.numbers) and time.monotonic() < deadline:
            tried = run(found.cluster, steps, best.numbers[:at] + best.numbers[at + size :])
            if tried.what is not None:
                best = tried
            else:
                at += size
        if size == 1 and len(best.numbers) == before:
            break
        size = max(1, size // 2)
    return best
