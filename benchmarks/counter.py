"""The state machine that is measured: it counts. What it costs is a call and an addition for each command."""

from __future__ import annotations

from collections.abc import Sequence


class Counter:
    """``apply`` for each command, as most programs have it."""

    def __init__(self) -> None:
        self.count = 0

    def apply(self, index: int, command: bytes) -> int:
        """One more; gives the count."""
        self.count += 1
        return self.count


class BatchCounter(Counter):
    """The same with a batch form: a committed batch is handed over at once, its commands still in one piece."""

    def apply_batch(self, first_index: int, commands: Sequence[bytes]) -> Sequence[int]:
        """As many more as there are commands; gives the counts after each."""
        first = self.count + 1
        self.count += len(commands)
        return range(first, self.count + 1)
