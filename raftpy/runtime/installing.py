"""A follower that the leader's log does not reach any more is brought up by a snapshot (paper 7, Figure 13).

    MsgSnap, in a pass      held back: it names the leader's snapshot, and has none of its bytes
    fetch                   the file comes from the leader and is durable here, while everything else goes on
    in a thread             it is read back from end to end; what it says of itself must be what the leader says
    in the loop             the core steps the message: the log becomes the snapshot
    with the next batch     so does the stored one, durably: this one step decides; then the leader is answered
    in a thread             the state machine is restored; the group's commands wait, and so do its reads
    in the loop             member table, applied index; commands go on behind it

A crash before that step leaves the log as it was, and a file that waits. One behind it leaves a log that begins at the
snapshot, from which a start restores the machine. While all this goes on no snapshot is taken here.

There is one at a time. Another one that is offered while its bytes are being fetched takes its place; the same one,
from this leader or the next, goes on. What cannot be fetched is dropped, and the leader offers a snapshot again.

Where there is something here of another one than that which is offered, the leader is told so first, and the offer is
dropped, as if it had been lost: if the leader has that one still, it offers it (offering.py). What it offers then is
taken, whichever it is.

Where what has come is damaged, or is not what was offered, the leader is told so, and offers again without waiting for
this node's silence.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from raftcore.api.raw_node import RawNode
from raftcore.base.errors import PeerFault, RaftError
from raftcore.values.message import Message, Snapshot
from raftpy.contracts.clock import Clock
from raftpy.contracts.errors import (
    FetchFailed,
    NoSnapshots,
    NotUnderstood,
    SnapshotDamaged,
    SnapshotFailed,
    Stopped,
    same_error,
)
from raftpy.contracts.fetching import SnapshotUseless
from raftpy.contracts.snapshots import CheckedSnapshot, SnapshotFile, SnapshotRef, Snapshots
from raftpy.contracts.state_machine import StateMachine
from raftpy.members.table import MemberTable
from raftpy.runtime.beside import Beside
from raftpy.runtime.capturing import Capturing, capturing
from raftpy.runtime.saved_state import read_whole, restore_beside
from raftpy.runtime.stored_view import StoredView
from raftpy.storage.snapshots.metadata import ref_of

Fetch = Callable[[int, SnapshotRef], Awaitable[SnapshotFile]]
"""``fetch(node_id, ref)`` returns when that node's snapshot is in this node's store, durably. It may be cancelled; what
has come by then stays for the next call. Raises ``RaftError``."""

MOST_ANSWERED = 10
"""So often a leader is asked in one term for the rest of another snapshot than that which it offers."""
TELL_AGAIN = 2
"""So often it is told once more, a second apart, in case that was lost. A leader that does not understand it offers its
newest one again when it hears no more."""

log = logging.getLogger("raftpy")


class Installed(Protocol):
    """A group, as far as this needs it: its ``id``, ``name``, ``raw`` core, what that asks of the store (``view``), and
    ``clock``; ``closed``: it has ended; ``restoring`` is held by whoever restores the state machine."""

    id: int
    name: str
    raw: RawNode
    view: StoredView
    clock: Clock
    closed: bool
    restoring: asyncio.Lock

    def schedule(self) -> None:
        """A pass has to look at the group."""
        ...

    def replaced(self, snapshot: Snapshot, table: MemberTable | None, size: int) -> None:
        """The state machine has been restored from ``snapshot``, whose file has ``size`` bytes."""
        ...

    def restore_failed(self, error: BaseException) -> None:
        """The node cannot go on in this group."""
        ...


class TakingSnapshots(Protocol):
    """What takes the group's snapshots, which rests meanwhile."""

    async def rest(self) -> None:
        """Returns when none is being taken any more; none is begun before ``go_on``."""
        ...

    def go_on(self) -> None:
        """Snapshots are taken again."""
        ...


class Installing:
    """Of one group. All calls but ``end`` are made in the loop's thread. ``fetch`` None: nothing can be fetched, and a
    snapshot that is offered is left alone unless it is here already. ``say(node_id, ref)`` tells that node that what it
    has offered is being worked on; ``tell(node_id, what)`` that it does not do."""

    def __init__(
        self,
        group: Installed,
        machine: StateMachine,
        snapshots: Snapshots,
        beside: Beside,
        taking: TakingSnapshots,
        fetch: Fetch | None,
        say: Callable[[int, SnapshotRef], object] = lambda source, ref: None,
        tell: Callable[[int, SnapshotUseless], object] = lambda source, what: None,
    ) -> None:
        self._group = group
        self._snapshots = snapshots
        self._beside = beside
        self._taking = taking
        self._fetch = fetch
        self._say = say
        self._tell = tell
        self._machine: Capturing | None = None
        self._why_not: NoSnapshots | None = None
        try:
            self._machine = capturing(machine)
        except NoSnapshots as error:
            self._why_not = error
        self._offer: Message | None = None  # the newest one, of the snapshot that is being brought
        self._task: asyncio.Task[None] | None = None
        self._fetching: asyncio.Future[SnapshotFile] | None = None
        self._superseded = False  # by another offer, which ends the fetch
        self._durable: asyncio.Future[None] | None = None
        self._said: set[str] = set()
        self._told: tuple[int, int, SnapshotRef] | None = None  # a leader, in its term: of what something is here
        self._tell_again = 0  # so often, while that leader has not offered anything since
        self._answered: tuple[int, int, int] = 0, 0, 0  # a leader, its term: how often it has offered that then
        self.size: int | None = None
        """Bytes of the snapshot that is being installed, once it is here and whole."""

    @property
    def offer(self) -> Message | None:
        """The MsgSnap whose snapshot is being brought or restored; None when there is nothing."""
        return self._offer

    def look(self) -> None:
        """To be called about once a second: the leader hears that its offer stands, where nothing is asked for; also
        while the state is being restored, when this node takes no leadership over. And of what it was told again, in
        case that was lost."""
        offer, raw = self._offer, self._group.raw
        if self._tell_again and self._told is not None:
            self._tell_again -= 1
            leader, term, other = self._told
            if (raw.leader, raw.term) == (leader, term):
                self._say(leader, other)
        if offer is not None and self._fetching is None and (raw.needs_snapshot(offer) or raw.awaits_state):
            self._say(offer.from_, self._ref(offer))

    # --- In a pass ------------------------------------------------------------------------------------------------

    def offered(self, message: Message) -> None:
        """The leader has sent a MsgSnap, which the core has held back."""
        if not self._group.raw.needs_snapshot(message):
            self._step(message)
        elif self._beside.stopped:
            return
        elif self._machine is None:
            self._say_once(f"the leader offers a snapshot, and it cannot be taken: {self._why_not}")
        elif self._has_another(message):
            pass
        elif self._offer is None:
            self._begin(message)
        elif self._ref(message) == self._ref(self._offer):
            if message.term >= self._offer.term:
                self._take_instead(message, message.from_ != self._offer.from_)
        elif self._fetching is not None and _supersedes(message, self._offer):
            self._take_instead(message, fetch_anew=True)

    def _has_another(self, message: Message) -> bool:
        """Whether the leader was told now, in place of an answer, that something is here of another one. It is told
        once of each, and again where it has offered that one then, but not for ever."""
        ref, leader, term = self._ref(message), message.from_, message.term
        self._tell_again = 0
        if self._told == (leader, term, ref):
            before = self._answered[2] if self._answered[:2] == (leader, term) else 0
            self._told, self._answered = None, (leader, term, before + 1)
        other = self._another(ref)
        if other is None or self._told == (leader, term, other) or self._answered == (leader, term, MOST_ANSWERED):
            return False
        self._told, self._tell_again = (leader, term, other), TELL_AGAIN
        self._say(leader, other)
        return True

    def _another(self, offered: SnapshotRef) -> SnapshotRef | None:
        """Of which other one there is something here, be it a beginning or all of it, that would bring this node
        further; None: of none."""
        if self._fetch is None or (self._offer is not None and self._fetching is None):
            return None
        if self._offer is not None:
            here = {self._ref(self._offer)}
        else:
            begun = self._snapshots.begun(self._group.id)
            here = {*self._snapshots.refs(self._group.id), *(() if begun is None else (begun.ref,))}
        if offered in here:
            return None
        return max((ref for ref in here if ref.index > self._group.raw.commit_index), default=None)

    def _take_instead(self, message: Message, fetch_anew: bool) -> None:
        """``fetch_anew``: what is being fetched is another one, or has to come from another node from here on."""
        self._offer = message
        if fetch_anew and self._fetching is not None:
            self._superseded = True
            self._fetching.cancel()

    def installed(self) -> None:
        """What the core has put in the place of the log is durable."""
        if self._durable is not None and not self._durable.done():
            self._durable.set_result(None)

    # --- One after the other ---------------------------------------------------------------------------------------

    def _begin(self, message: Message) -> None:
        self._offer = message
        self._task = asyncio.get_running_loop().create_task(self._run())
        self._task.add_done_callback(self._ended)

    async def _run(self) -> None:
        try:
            await self._taking.rest()
            brought = await self._bring()
            if brought is not None:
                await self._install(*brought)
        except asyncio.CancelledError:  # as the loop ends: a thread may be at work still, and ``end`` waits for it
            self._beside.stop(Stopped)
            raise
        finally:
            self._offer = self.size = None
            if not self._beside.stopped:
                self._taking.go_on()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or (error := task.exception()) is None or self._beside.stopped:
            return
        self._group.restore_failed(error)

    async def _bring(self) -> tuple[CheckedSnapshot, Snapshot, MemberTable | None] | None:
        """Until what is offered is here, and whole; None when it cannot be had."""
        group = self._group
        anew = False  # there is one, and it is damaged
        while not self._has_ended():
            assert self._offer is not None
            offer = self._offer
            ref = self._ref(offer)
            missing = anew or ref not in self._snapshots.refs(group.id)
            try:
                if missing and not await self._fetched(offer, ref):
                    anew = False
                    continue
                if self._ref(self._offer) != ref:
                    continue  # another offer came just as this one's bytes were here
                return await self._check(ref)
            except NotUnderstood:
                raise  # which a later release may bring, and nothing that is fetched again
            except (RaftError, OSError, ValueError) as error:
                if self._has_ended():
                    break
                if isinstance(error, SnapshotDamaged) and not missing:
                    anew = True
                elif self._offer.from_ == offer.from_:  # else the next leader, which offers the same, may have it
                    log.warning("%s: the snapshot of %s was not received from node %d: %s", group.name, ref,
                                offer.from_, error)  # fmt: skip
                    if _is_damage(error):
                        self._tell(offer.from_, SnapshotUseless(ref))
                    break
        return None

    async def _fetched(self, offer: Message, ref: SnapshotRef) -> bool:
        """Whether the file is here; False where another offer has taken its place."""
        if self._fetch is None:
            raise SnapshotFailed(str(ref), "nothing brings it to this node")
        log.info("%s: the log of node %d, which leads, begins behind this node's: the snapshot of %s is being received",
                 self._group.name, offer.from_, ref)  # fmt: skip
        begun = self._group.clock.monotonic()
        raw = self._group.raw
        reached = max(raw.applied_index, raw.first_index - 1)
        await self._beside.call(lambda: self._discard_passed_over(reached, ref))
        if self._offer is not offer:
            return False
        self._superseded = False
        self._fetching = asyncio.ensure_future(self._fetch(offer.from_, ref))
        try:
            file = await self._fetching
        except asyncio.CancelledError:
            if self._superseded:
                return False
            raise
        finally:
            self._fetching = None
        seconds = self._group.clock.monotonic() - begun
        log.info("%s: the snapshot of %s is here, %d bytes in %.1f s", self._group.name, ref, file.size, seconds)
        return True

    def _discard_passed_over(self, reached: int, offered: SnapshotRef) -> None:
        """In a thread. Deletes what came here before, is of an index behind ``reached``, and was not taken because
        leaders changed or the node died: the disk would hold more and more of it."""
        for ref in self._snapshots.refs(offered.group):
            if reached < ref.index < offered.index:
                self._snapshots.discard(ref)

    async def _check(self, ref: SnapshotRef) -> tuple[CheckedSnapshot, Snapshot, MemberTable | None]:
        """Reads all of it back, and what it says of itself. Raises ``SnapshotDamaged``, ``NotUnderstood``,
        ``SnapshotFailed``, ``StorageDamaged``."""
        assert self._machine is not None
        version = self._machine.version
        return await self._beside.call(
            lambda: read_whole(self._snapshots, ref, version, self._beside, self._group.name)
        )

    async def _install(self, checked: CheckedSnapshot, snapshot: Snapshot, table: MemberTable | None) -> None:
        """The log becomes the snapshot, and so does the machine's state. ``snapshot``, ``table``: what it says."""
        group, beside, machine, offer = self._group, self._beside, self._machine, self._offer
        self.size = checked.file.size
        assert offer is not None
        assert machine is not None
        ref = checked.file.ref
        if snapshot != offer.snapshot:
            log.error("%s: the snapshot of %s says %r, and the leader says %r: it is not taken", group.name, ref,
                      snapshot, offer.snapshot)  # fmt: skip
            self._tell(offer.from_, SnapshotUseless(ref))
            return
        if group.closed:
            return
        self._durable = asyncio.get_running_loop().create_future()
        self._step(offer)
        if group.raw.unstable_snapshot != ref.index:
            return  # meanwhile the log got there, or another leader came
        # Once it is durable the log begins there, and older ones help nobody.
        group.view.newest = snapshot
        group.schedule()
        await self._durable
        async with group.restoring:
            await restore_beside(beside, group.clock, machine, self._snapshots, checked, group.name)
        if not group.closed:
            group.replaced(snapshot, table, checked.file.size)
            log.info("%s: restored from the snapshot of %s, %d bytes", group.name, ref, checked.file.size)

    def _ref(self, message: Message) -> SnapshotRef:
        assert message.snapshot is not None
        return ref_of(self._group.id, message.snapshot)

    def _step(self, message: Message) -> None:
        try:
            self._group.raw.step(message)
        except PeerFault as error:
            log.warning("%s: %s", self._group.name, error)
        self._group.schedule()

    def _has_ended(self) -> bool:
        return self._beside.stopped or self._group.closed

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            log.error("%s: %s", self._group.name, text)

    # --- The end ---------------------------------------------------------------------------------------------------

    def stop(self, why: Callable[[], RaftError]) -> None:
        """The node ends. Before the store is closed, ``end`` is called."""
        self._beside.stop(why)
        if self._fetching is not None:
            self._fetching.cancel()
        if self._durable is not None and not self._durable.done():
            self._durable.set_exception(why())
            self._durable.exception()

    def disown(self, error: RaftError) -> None:
        """In a forked child: nothing of the parent's is touched."""
        self._beside.disown(error)
        self.stop(lambda: same_error(error))

    def end(self) -> None:
        """After ``stop``, in any thread: returns when nothing is at work on a snapshot any more."""
        self._beside.wait()


def _is_damage(error: Exception) -> bool:
    """Whether it is what came that does not do, and not this node, its disk or the network."""
    return isinstance(error, SnapshotDamaged) or (isinstance(error, FetchFailed) and error.why in FetchFailed.DAMAGE)


def _supersedes(message: Message, offer: Message) -> bool:
    """Whether it takes the place of what was offered before: of the same leader a newer one, of a later one any."""
    if message.term != offer.term:
        return message.term > offer.term
    assert message.snapshot is not None
    assert offer.snapshot is not None
    return message.snapshot.index > offer.snapshot.index
