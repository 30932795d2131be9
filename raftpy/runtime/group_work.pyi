"""What a pass does for one group; the docstrings are in group_work.pyx."""

from collections.abc import Callable
from typing import final

from raftcore.api.raw_node import RawNode
from raftcore.base.errors import RaftError
from raftcore.values.message import Entries, Message
from raftpy.contracts.errors import ApplyFailed
from raftpy.runtime.applying import Applying
from raftpy.runtime.pending_proposals import Proposals
from raftpy.runtime.reads import Reads

@final
class GroupWork:
    moved: bool
    cuts: bool
    closed: bool
    def __init__(
        self,
        id: int,
        raw: RawNode,
        request: Callable[[GroupWork], object],
        publish: Callable[[Entries], object],
        refusal: Callable[[], RaftError],
        role_changed: Callable[[], object],
        failed: Callable[[ApplyFailed], bool],
    ) -> None: ...
    def bind(
        self,
        proposals: Proposals,
        applying: Applying,
        reads: Reads,
        offered: Callable[[Message], object] | None = None,
        installed: Callable[[], object] | None = None,
    ) -> None: ...
    def queued(self) -> None: ...
    @property
    def id(self) -> int: ...
    @property
    def raw(self) -> RawNode: ...
    @property
    def appends(self) -> list[Message]: ...
    @property
    def noted(self) -> bool: ...
