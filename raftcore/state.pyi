"""All state of one node in one group. Made by RawNode; its fields are visible to Cython only (state.pxd)."""

from typing import Any

from raftcore.log import RaftLog
from raftcore.tracker import Tracker

class Raft:
    def __init__(self, config: Any, log: RaftLog, tracker: Tracker) -> None: ...
