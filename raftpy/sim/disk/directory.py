"""What names a simulated directory holds, and what a power failure may leave of them."""

from __future__ import annotations

from random import Random
from typing import TypeAlias

from raftpy.sim.disk.contents import Contents, Step

Node: TypeAlias = "Contents | Directory"
"""What a name leads to."""


class Change(Step):
    """Names that were made, replaced or taken away in one step: of each, what it led to before and after."""

    __slots__ = ("names",)

    def __init__(self, names: tuple[tuple[str, Node | None, Node | None], ...]) -> None:
        super().__init__()
        self.names = names


class Directory:
    """Names, and how they have changed since the last sync.

    ``journaled``: whether the file system keeps the order of its names, and names a file durably when it is synced, as
    ext4, XFS, btrfs and APFS do. LevelDB relies on that; ``raftpy.contracts.files`` promises less, and in any other
    directory each name is lost by itself.
    """

    __slots__ = ("journaled", "names", "number", "unsynced")

    def __init__(self, number: int) -> None:
        self.number = number
        self.names: dict[str, Node] = {}
        self.unsynced: list[Change] = []
        self.journaled = False

    def change(self, *names: tuple[str, Node | None]) -> None:
        """Each name leads where it is said; None: nowhere."""
        change = Change(tuple((name, self.names.get(name), after) for name, after in names))
        self.unsynced.append(change)
        self._redo(change)
        if self.journaled:
            for _, before, after in change.names:
                if before is None and isinstance(after, Contents):
                    after.birth = change

    def sync(self) -> None:
        """All names would outlive a crash."""
        self.unsynced.clear()

    def lose_power(self, source: Random) -> None:
        """The directory is found with some of its changes."""
        changes, self.unsynced = self.unsynced, []
        if not changes:
            return
        for change in reversed(changes):
            for name, before, _ in change.names:
                self._put(name, before)
        if self.journaled:
            reached = source.randint(0, len(changes))
            for number, change in enumerate(changes):
                if number < reached or change.sure:
                    self._redo(change)
            return
        outcome = source.randrange(3)
        stale: set[str] = set()
        for change in changes:
            for name, _, after in change.names:
                if name not in stale:
                    if outcome == 0 or (outcome == 2 and source.random() < 0.5):
                        stale.add(name)
                    else:
                        self._put(name, after)

    def _redo(self, change: Change) -> None:
        for name, _, after in change.names:
            self._put(name, after)

    def _put(self, name: str, node: Node | None) -> None:
        if node is None:
            self.names.pop(name, None)
        else:
            self.names[name] = node
