"""The clock's time as ticks of the core; the docstrings are in ticks.pyx."""

from collections.abc import Callable
from typing import final

from raftpy.interfaces import Clock

@final
class Ticks:
    origin: float
    def __init__(self, clock: Clock, length_s: float, heartbeat: int, wake: Callable[[], object]) -> None: ...
    def take(self, now: float) -> int: ...
    def plan(self, ticks: int, deadline: float) -> None: ...
    def stop(self) -> None: ...
