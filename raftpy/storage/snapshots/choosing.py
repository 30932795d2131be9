"""Which snapshot a group's state is restored from: the newest that is whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from raftpy.contracts.errors import SnapshotFailed
from raftpy.contracts.snapshots import EVERY_INDEX, CheckedSnapshot, Snapshots, Steps


def newest_whole(
    snapshots: Snapshots,
    group: int,
    known: Mapping[str, int],
    refused: Callable[[SnapshotFailed], object],
    up_to: int = EVERY_INDEX,
) -> Steps[CheckedSnapshot | None]:
    """Reads back the group's snapshots, the newest first, until one is whole; None when none is.

    ``refused`` is called for each that is damaged, or cannot be read, before an older one is tried. ``known``, name ->
    newest version: a whole one with a section that must be understood and is not raises ``NotUnderstood``, for then an
    older one would hide what this release must not pass over. Those behind the index ``up_to`` are not looked at.
    """
    for ref in snapshots.refs(group):
        if ref.index > up_to:
            continue
        try:
            return (yield from snapshots.verify(ref, known))
        except SnapshotFailed as error:
            refused(error)
    return None
