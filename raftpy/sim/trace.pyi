"""What happened in a simulated world; the docstrings are in trace.pyx."""

from typing import final

from raftpy.sim.event import Event as Event

@final
class Trace:
    events: list[Event] | None
    count: int
    def __init__(self, record: bool = False) -> None: ...
    def add(self, time: float, node: int, kind: str, *detail: int | float | str | bytes) -> None: ...
    @property
    def hash(self) -> str: ...
