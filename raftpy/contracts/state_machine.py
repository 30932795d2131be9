"""What the runtime asks of the state that is replicated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class StateMachine(Protocol):
    """What the committed commands act on (paper 2). The same commands in the same order must give the same state and
    results.

    So ``apply`` may not ask the clock, a random source, the order of a set or a dict it did not fill itself, or
    anything else that differs between replicas. ``ApplyError`` raised by it is a result like any other; any other
    exception stops the node with ``ApplyFailed`` (decision 10). It runs in the event loop and should not take long.

    Optional: ``apply_batch(first_index, commands) -> sequence of results``, one for each command, an ``ApplyError``
    object in the place of a command that failed. ``commands`` is a sequence that makes each command's bytes when asked
    for. Where it is there, ``apply`` is not called.
    """

    def apply(self, index: int, command: bytes) -> Any:
        """Carries out one command; ``index`` is its place in the log. What it returns is the proposer's result, on the
        node where it was proposed. Called once for each committed command in each run of the node, in ascending order
        of ``index``, which skips entries that are no commands."""
        ...


class BatchStateMachine(StateMachine, Protocol):
    """A state machine that takes many commands at a time."""

    def apply_batch(self, first_index: int, commands: Sequence[bytes]) -> Sequence[Any]:
        """Carries out ``commands``, which stand at ``first_index`` and after without a gap; see :class:`StateMachine`.
        A result for each of them, no more and no fewer: anything else stops the node."""
        ...
