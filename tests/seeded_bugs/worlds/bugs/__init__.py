"""All of them, from the disk upward."""

from __future__ import annotations

from tests.seeded_bugs.bug import Patch
from tests.seeded_bugs.worlds.bugs import core, members, paths, pulling, runtime, snapshots, storage, transport

BUGS: tuple[Patch, ...] = (
    *storage.BUGS,
    *snapshots.BUGS,
    *pulling.BUGS,
    *runtime.BUGS,
    *transport.BUGS,
    *paths.BUGS,
    *core.BUGS,
    *members.BUGS,
)
