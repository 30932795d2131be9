"""For those who explore every schedule of a small cluster; the docstrings are in exploration.pyx."""

from collections.abc import Mapping

from raftcore.api.raw_node import RawNode
from raftcore.check.protocol_state import ProtocolState

def protocol_state(node: RawNode, rename: Mapping[int, int] | None = None) -> ProtocolState: ...
def set_elapsed(node: RawNode, election_ticks: int, heartbeat_ticks: int = 0) -> None: ...
