"""How bad a simulated disk is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskFaults:
    """Rates are for each operation, 0 to 1; times are seconds, evenly distributed between the two."""

    write_s: tuple[float, float] = (0.000002, 0.00001)
    """What a write takes."""
    sync_s: tuple[float, float] = (0.0001, 0.001)
    """What a sync takes."""
    slow: float = 0.0
    """How many syncs take ``slow_s`` instead."""
    slow_s: tuple[float, float] = (0.01, 0.1)
    """What a slow sync takes."""
    stall: float = 0.0
    """How many syncs take ``stall_s`` instead."""
    stall_s: tuple[float, float] = (0.3, 2.0)
    """What a stalled sync takes."""
    write_error: float = 0.0
    """How many writes fail with EIO, with some of what they should have written written."""
    sync_error: float = 0.0
    """How many syncs fail with EIO. What was to be synced may be durable or not, and later syncs say that it is."""
    no_space: float = 0.0
    """How many writes find the disk full, with some of what they should have written written."""
    out_of_order: float = 0.0
    """How many power failures leave the sectors of a write in any subset, and not only a beginning, or the length of a
    file in LevelDB's directory without what it holds. A store may refuse to start on what that leaves, though it has
    lost nothing: see docs/design-storage.md."""
