"""What a group's core may ask of the store while it runs (``raftcore.StorageView``)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from raftcore.base.errors import LogTemporarilyUnavailable, RaftError, SnapshotTemporarilyUnavailable
from raftcore.values.message import Entries, Snapshot
from raftpy.contracts.storage import GroupLog, PagedGroupLog

log = logging.getLogger("raftpy")

_T = TypeVar("_T")


class StoredView:
    """A group's log, and its newest snapshot, of which the core asks what it knows of it and nothing else. ``name`` is
    the group's, for the log."""

    def __init__(self, stored: GroupLog, newest: Snapshot | None, name: str) -> None:
        self._stored = stored
        self._at_once: Callable[[int, int, int, int], Entries] | None = getattr(stored, "entries_at_once", None)
        self._paged: PagedGroupLog | None = stored if hasattr(stored, "page_end") else None  # type: ignore[assignment]
        self._name = name
        self._waits = False  # it was said that the log cannot be read for now
        self.newest = newest
        """What the core knows of the newest snapshot that this node has applied, or that has taken its log's place;
        None: there is none. Kept up to date by who takes snapshots, and who installs them, before the log begins
        there."""

    def entries(self, lo: int, hi: int, max_bytes: int) -> Entries:
        """See ``GroupLog``. Perhaps in another thread. Raises what that does; that the system lacks something for it is
        said once, until it lacks it no more."""
        return self._said(partial(self._stored.entries, lo, hi, max_bytes))

    def entries_at_once(self, lo: int, hi: int, max_bytes: int, overhead: int) -> Entries:
        """See ``PagedGroupLog``; what a store that does not offer it gives is counted by its bytes alone. Otherwise as
        ``entries``."""
        if self._at_once is None:
            return self.entries(lo, hi, max_bytes)
        return self._said(partial(self._at_once, lo, hi, max_bytes, overhead))

    def page_end(self, lo: int, hi: int, page_bytes: int) -> int | None:
        """See ``PagedGroupLog``; None also where reading them would say why they are not there."""
        if self._paged is None:
            return None
        try:
            return self._paged.page_end(lo, hi, page_bytes)
        except RaftError:
            return None

    def page(self, lo: int, hi: int, max_bytes: int, overhead: int) -> list[Entries]:
        """See ``PagedGroupLog``; for an ``hi`` that ``page_end`` has given. Otherwise as ``entries``."""
        assert self._paged is not None
        return self._said(partial(self._paged.page, lo, hi, max_bytes, overhead))

    def _said(self, read: Callable[[], _T]) -> _T:
        try:
            found = read()
        except LogTemporarilyUnavailable as error:
            if not self._waits:
                self._waits = True
                log.warning("%s: the log cannot be read for now, and this is tried again: %s", self._name, error)
            raise
        self._waits = False
        return found

    def snapshot(self) -> Snapshot:
        """See ``StorageView``. Raises ``SnapshotTemporarilyUnavailable`` where there is none."""
        if self.newest is None:
            raise SnapshotTemporarilyUnavailable
        return self.newest

    def forget_idle(self) -> None:
        """Forgets what was kept for whom nobody has asked lately: here nothing is."""

    def forget(self) -> None:
        """Forgets all that was kept, as the group has ended: here nothing is."""
