"""For those who explore every schedule of a small cluster; the docstrings are in protocol.pyx."""

from collections.abc import Mapping

from raftcore.protocol_state import ProtocolState
from raftcore.raw_node import RawNode

def protocol_state(node: RawNode, rename: Mapping[int, int] | None = None) -> ProtocolState: ...
def set_elapsed(node: RawNode, election_ticks: int, heartbeat_ticks: int = 0) -> None: ...
