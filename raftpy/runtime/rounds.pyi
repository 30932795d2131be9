"""What one pass of a host does; the docstrings are in rounds.pyx."""

from collections.abc import Sequence
from typing import final

from raftcore.values.message import Message
from raftpy.config import Config
from raftpy.contracts.clock import Clock, Lingering
from raftpy.contracts.storage import Storage
from raftpy.contracts.transport import Transport
from raftpy.members.operations import MemberOperations
from raftpy.runtime.group_work import GroupWork
from raftpy.runtime.opening import Opened
from raftpy.runtime.owner import Elsewhere, Owner
from raftpy.runtime.slow_writes import SlowWrites

@final
class Rounds:
    takes_part: bool
    closed: bool
    def __init__(
        self,
        config: Config,
        opened: Opened,
        clock: Clock,
        groups: list[GroupWork],
        member_operations: MemberOperations,
        linger: Lingering,
        slow_writes: SlowWrites,
        owner: Owner,
    ) -> None: ...
    def disown(self, elsewhere: Elsewhere) -> None: ...
    def note(self, group: GroupWork) -> int: ...
    @property
    def leads(self) -> bool: ...
    @property
    def storage(self) -> Storage: ...
    @property
    def transport(self) -> Transport: ...
    @property
    def resuming(self) -> bool: ...
    @property
    def written(self) -> list[Sequence[tuple[int, Sequence[Message]]]]: ...
    @property
    def unreachable(self) -> list[int]: ...
    @property
    def strangers(self) -> int: ...
    def run(self, now: float, count: int) -> None: ...
