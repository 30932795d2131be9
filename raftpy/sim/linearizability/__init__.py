"""Whether what clients saw of a store can be explained by one copy of it that does one thing at a time.

``check(history)`` decides it; ``history`` says how a history is written down, ``models`` what a store may answer.
"""

from raftpy.sim.linearizability.checker import check
from raftpy.sim.linearizability.history import ANY, Input, Kind, Operation, Output, Recorder
from raftpy.sim.linearizability.result import Result, Verdict, Violation

__all__ = ["ANY", "Input", "Kind", "Operation", "Output", "Recorder", "Result", "Verdict", "Violation", "check"]
