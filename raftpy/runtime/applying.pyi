"""Applying: committed entries -> state machine -> results -> proposals; the docstrings are in applying.pyx."""

from collections.abc import Callable
from typing import final

from raftcore.values.message import Entries
from raftpy.contracts.state_machine import StateMachine
from raftpy.runtime.pending_proposals import Proposals

@final
class Applying:
    def __init__(
        self,
        state_machine: StateMachine,
        proposals: Proposals,
        configure: Callable[[int, int, bytes], object],
        monotonic: Callable[[], float],
        applied: int = 0,
        slice_seconds: float = 0.004,
        shared: bool = False,
        known: int = 0,
    ) -> None: ...
    @property
    def applied(self) -> int: ...
    @property
    def known(self) -> int: ...
    @property
    def held(self) -> bool: ...
    @property
    def applied_bytes(self) -> int: ...
    @property
    def pending(self) -> bool: ...
    def hold(self) -> None: ...
    def replaced(self, index: int) -> list[Entries]: ...
    def push(self, entries: Entries) -> None: ...
    def begin(self, share: float = 1.0) -> int: ...
    def run(self) -> Entries | None: ...
