"""All of them, from the disk upward."""

from __future__ import annotations

from tests.seeded_bugs.bug import Patch
from tests.seeded_bugs.worlds.bugs import core, runtime, storage, transport

BUGS: tuple[Patch, ...] = (*storage.BUGS, *runtime.BUGS, *transport.BUGS, *core.BUGS)
