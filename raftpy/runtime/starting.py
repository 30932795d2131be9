"""How far a start has come: a log of millions of entries takes seconds to be read, and a state of gigabytes to restore.

    opening      the store is read and checked
    checking     the newest snapshot is read back from end to end, before anything of it is used
    restoring    the state machine takes its state from it

What is committed behind the snapshot is applied once the node runs: from then on ``Node.status()`` says how far it is.
"""

from __future__ import annotations

from dataclasses import dataclass

OPENING, CHECKING, RESTORING = "opening", "checking", "restoring"


@dataclass(frozen=True, slots=True)
class StartProgress:
    """One moment of a start."""

    phase: str = OPENING
    """``opening``, ``checking`` or ``restoring``."""
    group: int = 0
    """Id of the group, of a host with several, whose state is being restored."""
    snapshot_index: int | None = None
    """Index of the last entry that the snapshot covers; None: it is not known yet which one is used."""
    position: int = 0
    """Bytes of it that have been read in this phase."""
    size: int | None = None
    """Bytes of it that there are to read in this phase; None: not known."""

    def describe(self) -> str:
        """In words, for people."""
        if self.phase == OPENING:
            return "its store is being read"
        of = "" if self.size is None else f" of {self.size:,}"
        if self.phase == CHECKING:
            return f"its newest snapshot is being read back, {self.position:,}{of} bytes so far"
        what = f"its state is being restored from the snapshot at entry {self.snapshot_index}"
        return f"{what}, {self.position:,}{of} bytes so far"
