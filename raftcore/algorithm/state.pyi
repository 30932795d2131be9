"""All state of one node in one group. Made by RawNode; its fields are visible to Cython only (state.pxd)."""

from typing import Any

from typing_extensions import disjoint_base

from raftcore.log.log import RaftLog
from raftcore.membership.tracker import Tracker

@disjoint_base
class ReadOnly: ...

@disjoint_base
class Raft:
    def __init__(self, config: Any, log: RaftLog, tracker: Tracker) -> None: ...
