"""What of a core has changed since it was last looked at; the docstrings are in glance.pyx."""

from typing import Final

from typing_extensions import disjoint_base

from raftcore.api.raw_node import RawNode
from raftpy.runtime.applying import Applying
from raftpy.runtime.group_work import GroupWork
from raftpy.runtime.reads import Reads
from raftpy.storage.leveldb.head import Head

ROLE: Final[int]
LOG: Final[int]
COMMIT: Final[int]
HEAD: Final[int]
LEFT: Final[int]
UNWRITTEN: Final[int]

@disjoint_base
class Glance:
    role: int
    term: int
    leader: int
    commit: int
    last_index: int
    last_term: int
    written: int
    def changes(self, raw: RawNode, head: Head) -> int: ...
    @staticmethod
    def rest(work: GroupWork, reads: Reads, applying: Applying, raw: RawNode, head: Head | None) -> int: ...
    def take(self, raw: RawNode) -> None: ...
