"""What one pass of the driver does; the docstrings are in rounds.pyx."""

from collections.abc import Callable, Sequence
from typing import final

from raftcore.api.raw_node import RawNode
from raftcore.base.errors import RaftError
from raftcore.values.message import Entries, Message
from raftpy.config import Config
from raftpy.contracts.clock import Clock, Lingering
from raftpy.contracts.storage import Storage
from raftpy.contracts.transport import Transport
from raftpy.members.operations import MemberOperations
from raftpy.runtime.applying import Applying
from raftpy.runtime.opening import Opened
from raftpy.runtime.owner import Elsewhere, Owner
from raftpy.runtime.pending_proposals import Proposals
from raftpy.runtime.reads import Reads
from raftpy.runtime.slow_writes import SlowWrites
from raftpy.runtime.ticks import Ticks

@final
class Rounds:
    takes_part: bool
    closed: bool
    def __init__(
        self,
        config: Config,
        opened: Opened,
        clock: Clock,
        proposals: Proposals,
        applying: Applying,
        reads: Reads,
        ticks: Ticks,
        member_operations: MemberOperations,
        linger: Lingering,
        publish: Callable[[Entries], object],
        refusal: Callable[[], RaftError],
        role_changed: Callable[[], object],
        slow_writes: SlowWrites,
        owner: Owner,
    ) -> None: ...
    @property
    def raw(self) -> RawNode: ...
    def disown(self, elsewhere: Elsewhere) -> None: ...
    @property
    def storage(self) -> Storage: ...
    @property
    def transport(self) -> Transport: ...
    @property
    def resuming(self) -> bool: ...
    @property
    def appends(self) -> list[Message]: ...
    @property
    def written(self) -> list[Sequence[Message]]: ...
    @property
    def unreachable(self) -> list[int]: ...
    @property
    def pending(self) -> bool: ...
    def run(self) -> None: ...
