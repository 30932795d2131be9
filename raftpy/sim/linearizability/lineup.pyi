from typing import Any, Self, final

from raftpy.sim.linearizability.history import Operation

@final
class Lineup:
    def __new__(cls, operations: list[Operation], initial: Any = None) -> Self: ...
    def __len__(self) -> int: ...
