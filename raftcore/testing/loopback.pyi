"""Loopback: several members of one cluster in one process, whose datagrams reach one another at once."""

from collections.abc import Sequence
from typing import Any

from typing_extensions import disjoint_base

from raftcore.api.outbox import Outbox
from raftcore.api.raw_node import RawNode
from raftcore.values.message import Entries

@disjoint_base
class Seat:
    """One member of a Loopback, with what a driver would hold for it."""

    @property
    def node(self) -> RawNode: ...
    @property
    def outbox(self) -> Outbox: ...
    @property
    def stored(self) -> list[Entries]: ...
    @property
    def applied(self) -> list[Entries]: ...

@disjoint_base
class Loopback:
    """Members 1 to ``voters``, and the settings of all of them (raftcore.Config); see loopback.pyx."""

    def __init__(self, voters: int = 3, **options: Any) -> None: ...
    def campaign(self, node_id: int) -> None: ...
    def propose(self, node_id: int, commands: Sequence[bytes], times: int = 1) -> None: ...
    def run_until_idle(self) -> int: ...
    @property
    def seats(self) -> dict[int, Seat]: ...
    @property
    def datagrams(self) -> int: ...
