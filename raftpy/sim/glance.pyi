"""What of a core has changed since it was last looked at; the docstrings are in glance.pyx."""

from typing import Final

from typing_extensions import disjoint_base

from raftcore.api.raw_node import RawNode

ROLE: Final[int]
LOG: Final[int]
COMMIT: Final[int]

@disjoint_base
class Glance:
    role: int
    term: int
    leader: int
    commit: int
    last_index: int
    last_term: int
    def changes(self, raw: RawNode) -> int: ...
    def take(self, raw: RawNode) -> None: ...
