from typing import Any, final

from raftpy.sim.linearizability.history import Operation
from raftpy.sim.linearizability.lineup import Lineup
from raftpy.sim.linearizability.search import Found

@final
class Search:
    def __new__(cls, lineup: Lineup, budget: int) -> Search: ...

def search_register(operations: list[Operation], initial: Any, budget: int) -> Found: ...
