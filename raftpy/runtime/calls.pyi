"""The calls of a Node that a program makes for each command and each read; the docstrings are in calls.pyx."""

from collections.abc import Iterable

from typing_extensions import disjoint_base

from raftpy.runtime.awaited import DEFAULT_TIMEOUT as DEFAULT_TIMEOUT
from raftpy.runtime.owner import Owner
from raftpy.runtime.passes import Passes
from raftpy.runtime.pending_proposals import Proposal, Proposals
from raftpy.runtime.reads import Read, Reads

NOT_STARTED: str

@disjoint_base
class Calls:
    def _bind(self, proposals: Proposals, reads: Reads, passes: Passes, owner: Owner) -> None: ...
    def _unbind(self) -> None: ...
    def propose(self, command: bytes, *, timeout: float | None = 5.0) -> Proposal: ...
    def propose_many(self, commands: Iterable[bytes], *, timeout: float | None = 5.0) -> Proposal: ...
    def read_index(self, *, timeout: float | None = 5.0) -> Read: ...
