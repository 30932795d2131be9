"""A world on virtual time; the docstrings are in world.pyx."""

from collections.abc import Callable
from random import Random
from typing import Any, Final, final

from typing_extensions import disjoint_base

from raftpy.sim.trace import Trace

MOST_STEPS_AT_ONCE: Final[int]

class Stuck(AssertionError): ...

@disjoint_base
class Due:
    @property
    def time(self) -> float: ...
    def cancel(self) -> None: ...

@final
class PlannedCall(Due): ...

@disjoint_base
class Runnable: ...

@final
class World:
    seed: int
    now: float
    trace: Trace
    look: Callable[[Any], object] | None
    def __init__(self, seed: int, trace: Trace | None = None) -> None: ...
    def source(self, of: str) -> Random: ...
    def at(self, time: float, call: Callable[..., object], *arguments: Any) -> Due: ...
    def after(self, delay_s: float, call: Callable[..., object], *arguments: Any) -> Due: ...
    def event(self, node: int, kind: str, *detail: int | float | str | bytes) -> None: ...
    def run(self, until: float, done: Callable[[], bool] | None = None) -> bool: ...
    @property
    def pending(self) -> list[Due]: ...
