"""What nobody reads for long, read back at a stated rate: closed segments of the log, and snapshots.

A damaged block is noticed when it is needed: at the next start, or by a member that is brought up. By then others
that held the same may be damaged, too. So a pass goes over everything, as fast as ``Config.scrub_rate`` says, in a
thread of its own, a piece at a time, and a day after it has begun the next one begins. The first one begins an hour
after the start, which has itself just read the log and the newest snapshot.

It is looked at where the host looks round anyway, once a second, so a node that rests is not woken for it; where little
is stored a pass is over with one such look.

found damaged     what happens
a snapshot        it counts no more, and another one is taken as soon as something was applied since
a segment         it is said, and no more: see docs/design-storage.md, "A scrub"
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Protocol

from raftcore.base.errors import RaftError
from raftpy.contracts.clock import Clock
from raftpy.contracts.errors import SnapshotDamaged, SnapshotFailed, StorageFailed
from raftpy.contracts.snapshots import SnapshotRef
from raftpy.contracts.storage import Reread, Storage
from raftpy.runtime.beside import Beside, retrieve

PASS_S = 86_400.0
"""From the beginning of one pass to that of the next, at least."""
FIRST_S = 3600.0
"""From the start to the beginning of the first one."""
AT_ONCE_S = 1.0
"""What is read in so many seconds may be read at once, after nothing was read for long."""

log = logging.getLogger("raftpy")


class Scrubbed(Protocol):
    """A group, as far as it is read back: its ``id``, its ``name`` for the log, and whether it is ``closed``."""

    id: int
    name: str
    closed: bool

    def replace_snapshot(self, ref: SnapshotRef) -> None:
        """One of its snapshots was found damaged: another one is to be taken."""
        ...


_Pass = Generator[tuple[Reread, Scrubbed | None, SnapshotRef | None], None, None]


class Scrubbing:
    """Reads what the host ``name`` has stored of all ``groups``, by id. All calls but ``end`` are made in the loop.

    ``rate``: bytes a second; None or 0: nothing is read.
    """

    def __init__(
        self,
        name: str,
        storage: Storage,
        groups: Mapping[int, Scrubbed],
        clock: Clock,
        beside: Beside,
        rate: int | None,
    ) -> None:
        self._name = name
        self._storage = storage
        self._groups = groups
        self._clock = clock
        self._beside = beside
        self._rate = rate
        self._looked_s = clock.monotonic()
        self._allowed = 0.0  # bytes that may be read; below 0: what was read too early
        self._next_s = self._looked_s + FIRST_S  # when the next pass may begin
        self._pass: _Pass | None = None
        self._task: asyncio.Task[None] | None = None
        self._found: list[str] = []  # by the pass that is under way
        self._before: list[str] = []  # by the one before it
        self._met: list[str] = []  # by the storage, in passing, as long as it has that

    @property
    def damage(self) -> tuple[str, ...]:
        """What the last whole pass has found damaged, the one under way since, and the storage in passing, for people
        to read."""
        return tuple(dict.fromkeys([*self._met, *self._before, *self._found]))

    def look(self) -> None:
        """Time has passed: goes on as far as the rate allows."""
        self._look_at_storage()
        now = self._clock.monotonic()
        passed, self._looked_s = now - self._looked_s, now
        if not self._rate or self._beside.stopped or (self._task is not None and not self._task.done()):
            return
        self._allowed = min(self._allowed + passed * self._rate, AT_ONCE_S * self._rate)
        if self._pass is None:
            if now < self._next_s:
                return
            self._next_s, self._pass = now + PASS_S, self._everything()
        if self._allowed > 0:
            self._task = asyncio.get_running_loop().create_task(self._go_on())
            self._task.add_done_callback(retrieve)

    def _look_at_storage(self) -> None:
        """Also where nothing is read back: what the storage has met with is said."""
        damage: Callable[[], Sequence[RaftError]] | None = getattr(self._storage, "damage", None)
        met = [] if damage is None else [str(error) for error in damage()]
        for text in met:
            if text not in self.damage:
                log.error("%s: %s", self._name, text)
        self._met = met

    async def _go_on(self) -> None:
        allowed = self._allowed
        try:
            read, damaged, ended = await self._beside.call(lambda: self._some(allowed))
        except (StorageFailed, SnapshotFailed) as error:  # the disk refuses to read, or there is no thread: the next
            log.warning("%s: reading back what is stored: %s", self._name, error)  # pass tries it again
            read, damaged, ended = allowed, [], True
        self._allowed -= read
        for one, group, ref in damaged:
            self._report(one, group, ref)
        if ended:
            self._pass, self._before, self._found = None, self._found, []

    def _some(self, allowed: float) -> tuple[float, list[tuple[RaftError, Scrubbed | None, SnapshotRef | None]], bool]:
        """In the thread: reads at least so many bytes, up to the end. How many, what is damaged, whether it ended."""
        read = 0
        damaged: list[tuple[RaftError, Scrubbed | None, SnapshotRef | None]] = []
        assert self._pass is not None
        while read < allowed and not self._beside.stopped:
            step = next(self._pass, None)
            if step is None:
                return read, damaged, True
            one, group, ref = step
            read += one.size
            if one.damage is not None:
                damaged.append((one.damage, group, ref))
        return read, damaged, False

    def _everything(self) -> _Pass:
        """In the thread: what is read, piece by piece, and which group's snapshot it is of."""
        reread: Callable[[], Iterator[Reread]] | None = getattr(self._storage, "reread", None)
        if reread is not None:
            for one in reread():
                yield one, None, None
        snapshots = self._storage.snapshots
        for group in self._groups.values():
            for ref in () if group.closed else snapshots.refs(group.id):
                with closing(self._snapshot(ref)) as pieces:
                    for one in pieces:
                        yield one, group, ref

    def _snapshot(self, ref: SnapshotRef) -> Generator[Reread]:
        snapshots, before = self._storage.snapshots, 0
        try:
            with closing(snapshots.verify(ref)) as positions:
                for position in positions:
                    yield Reread(position - before)
                    before = position
        except SnapshotDamaged as error:
            if ref in snapshots.refs(ref.group):  # else it was deleted meanwhile, being needed no more
                yield Reread(0, error)
        except RaftError as error:  # it cannot be read, or not by this release: nothing is known of it
            log.warning("%s: reading back a snapshot: %s", self._name, error)

    def _report(self, error: RaftError, group: Scrubbed | None, ref: SnapshotRef | None) -> None:
        text = str(error)
        if text not in self.damage:
            log.error("%s: %s", self._name if group is None else group.name, text)
        self._found.append(text)
        if group is not None and ref is not None and not group.closed:
            group.replace_snapshot(ref)

    # --- The end ------------------------------------------------------------------------------------------------

    def stop(self, why: Callable[[], RaftError]) -> None:
        """The host ends: nothing more is read."""
        self._beside.stop(why)

    def disown(self, error: RaftError) -> None:
        """In a forked child: nothing of the parent's is touched."""
        self._beside.disown(error)

    def end(self) -> None:
        """After ``stop``, in any thread: returns when nothing is being read any more, and no file of a pass is open."""
        self._beside.wait()
        if self._pass is not None:
            self._pass.close()
