"""A node whose log is whole and whose snapshots are not gets its state from another node's snapshot.

Its log was cut, so it cannot make the state from that alone, and every snapshot of its own that the log goes on from is
damaged or gone. It keeps term, vote and log, votes and acknowledges, and neither stands for election nor applies
anything (``RawNode.awaits_state``). A leader would send it nothing, for its log is what the leader's is. So it asks:

    question, once a second   all members: which is your newest snapshot between my log's beginning and its end?
    answer                    one, or none; who has only older ones takes one now, once a minute at most
    fetch                     the file comes from whoever has the newest, and is durable here, as in fetching.py
    in a thread               it is read back from end to end, and the state machine is restored from it
    in the loop               configuration, member table, applied index; commands go on behind it, and the log stays

A snapshot beyond the end of this log is of no use: the log gets there, or the leader's does not reach it any more, and
then it offers a snapshot by itself (installing.py), which goes first. A crash at any step leaves the log as it was, and
perhaps the file, from which the next start restores.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from typing import Protocol

from raftcore.api.raw_node import RawNode
from raftcore.base.errors import RaftError
from raftcore.values.message import Snapshot
from raftpy.contracts.clock import Clock
from raftpy.contracts.errors import NoState, NotUnderstood, Stopped
from raftpy.contracts.fetching import SnapshotAnswer, SnapshotQuestion
from raftpy.contracts.snapshots import CheckedSnapshot, SnapshotRef, Snapshots
from raftpy.contracts.state_machine import StateMachine
from raftpy.members.table import MemberTable
from raftpy.runtime.beside import Beside
from raftpy.runtime.capturing import capturing
from raftpy.runtime.installing import Fetch
from raftpy.runtime.saved_state import read_whole, restore_beside

GATHER_S = 0.1
"""Between the first answer and the choice: other nodes may have newer ones."""
AGAIN_S = 2.0
"""Until a snapshot that could not be had from a node is asked of that node again."""

log = logging.getLogger("raftpy")


class Pulled(Protocol):
    """A group, as far as this needs it: its ``id``, ``name``, ``raw`` core and ``clock``; ``closed``: it has ended.

    ``restoring`` is held by whoever restores the state machine."""

    id: int
    name: str
    raw: RawNode
    clock: Clock
    closed: bool
    restoring: asyncio.Lock

    @property
    def peers(self) -> Collection[int]:
        """Ids of the other members, as far as this node knows them."""
        ...

    def gets_leaders(self) -> bool:
        """Whether the leader offers a snapshot in the place of the log, which is being brought or restored."""
        ...

    def pulled(self, snapshot: Snapshot, table: MemberTable | None, size: int) -> bool:
        """The state machine has been restored from ``snapshot``, in a file of ``size`` bytes. False: the log has become
        another one meanwhile."""
        ...

    def restore_failed(self, error: BaseException) -> None:
        """The node cannot go on in this group."""
        ...


class Pulling:
    """Of one group; at work as long as its core awaits a state and the leader offers none. All calls but ``end`` are
    made in the loop's thread. ``ask(node_id, question)`` puts one to that node."""

    def __init__(
        self,
        group: Pulled,
        machine: StateMachine,
        snapshots: Snapshots,
        beside: Beside,
        fetch: Fetch | None,
        ask: Callable[[int, SnapshotQuestion], object],
    ) -> None:
        self._group = group
        self._machine = machine
        self._snapshots = snapshots
        self._beside = beside
        self._fetch = fetch
        self._ask = ask
        self._offered: dict[int, SnapshotRef] = {}  # by node: its newest answer
        self._not_before_s: dict[tuple[int, SnapshotRef], float] = {}
        self._task: asyncio.Task[None] | None = None
        self._rang: asyncio.Future[None] | None = None
        self._said: set[str] = set()
        self.source = 0
        """The node from which ``ref`` is being fetched; 0: from none."""
        self.ref: SnapshotRef | None = None
        """The snapshot that is being fetched, or restored; None: there is none yet."""
        self.size: int | None = None
        """Its bytes, once it is here and whole."""

    def refusal(self) -> RaftError:
        """What to tell whoever wants something of the state."""
        return NoState(self._group.raw.id, self.describe())

    def describe(self) -> str:
        """What is being done about it, in words."""
        if self._group.gets_leaders():
            return "the leader offers one, which takes the place of the log"
        if self.size is not None:
            return f"it is being restored from the snapshot of {self.ref}, {self.size:,} bytes"
        if self.ref is not None:
            return f"the snapshot of {self.ref} is being fetched from node {self.source}"
        raw = self._group.raw
        return (
            f"no other node has offered a snapshot between the entries {raw.first_index - 1} and {raw.last_index} yet"
        )

    # --- In the loop ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """The group starts without a state."""
        log.error("%s: no whole snapshot reaches its log, which begins behind entry %d: it votes and acknowledges, "
                  "and asks the other members for one", self._group.name, self._group.raw.first_index - 1)  # fmt: skip
        self._task = asyncio.get_running_loop().create_task(self._run())
        self._task.add_done_callback(self._ended)
        self.look()

    def look(self) -> None:
        """To be called about once a second: asks; also while it is fetched and restored, so that the others know that
        this node has no state to lead with."""
        if self._task is None or self._task.done() or self._beside.stopped:
            return
        raw = self._group.raw
        if not raw.awaits_state:
            self._ring()
            return
        question = SnapshotQuestion(self._group.id, raw.first_index - 1, raw.last_index)
        for node_id in self._group.peers:
            self._ask(node_id, question)

    def answered(self, node_id: int, answer: SnapshotAnswer) -> None:
        """Another member has said which one it has."""
        if answer.ref is None:
            self._offered.pop(node_id, None)
        else:
            self._offered[node_id] = answer.ref
        self._ring()

    def _ring(self) -> None:
        if self._rang is not None and not self._rang.done():
            self._rang.set_result(None)

    # --- One after the other --------------------------------------------------------------------------------------

    async def _run(self) -> None:
        group = self._group
        try:
            while group.raw.awaits_state and not group.closed:
                found = await self._find()
                if found is None or not await self._pull(*found):
                    continue
        finally:
            self.ref = self.size = None
            self.source = 0

    async def _find(self) -> tuple[int, SnapshotRef] | None:
        """The newest one that may be used now, and who has it; None after the next answer where there is none."""
        if self._choose() is None:
            self._rang = asyncio.get_running_loop().create_future()
            await self._rang
            await self._pause(GATHER_S)
        return self._choose()

    def _choose(self) -> tuple[int, SnapshotRef] | None:
        raw, now = self._group.raw, self._group.clock.monotonic()
        if self._group.gets_leaders():
            return None  # the leader's goes first
        usable = [
            (ref.index, node_id != raw.leader, -node_id, ref)
            for node_id, ref in self._offered.items()
            if self._fits(ref) and self._not_before_s.get((node_id, ref), now) <= now
        ]
        if not usable:
            return None
        *_, before, ref = max(usable, key=lambda each: each[:3])
        return -before, ref

    def _fits(self, ref: SnapshotRef) -> bool:
        raw = self._group.raw
        if raw.state_fits(ref.index, ref.term):
            return True
        if raw.first_index <= ref.index <= raw.commit_index and raw.term_at(ref.index) != ref.term:
            self._say_once(f"another node has a snapshot of {ref}, and entry {ref.index} is committed here in term "
                           f"{raw.term_at(ref.index)}: it is not taken")  # fmt: skip
        return False

    async def _pull(self, source: int, ref: SnapshotRef) -> bool:
        """Whether this node has the state of it now."""
        group, beside = self._group, self._beside
        self.source, self.ref = source, ref
        try:
            checked, snapshot, table = await self._bring(source, ref)
            if group.gets_leaders() or not group.raw.state_fits(ref.index, ref.term):
                return False
            self.size = checked.file.size
            offered = capturing(self._machine)
            async with group.restoring:
                if group.gets_leaders() or not group.raw.awaits_state:
                    return False
                await restore_beside(beside, group.clock, offered, self._snapshots, checked, group.name)
                return not group.closed and group.pulled(snapshot, table, checked.file.size)
        except _Missed as missed:
            if not beside.stopped:
                log.warning("%s: the snapshot of %s was not received from node %d: %s", group.name, ref, source,
                            missed.__cause__)  # fmt: skip
            self._not_before_s[source, ref] = group.clock.monotonic() + AGAIN_S
            self._offered.pop(source, None)
            return False
        finally:
            self.source, self.ref, self.size = 0, None, None

    async def _bring(self, source: int, ref: SnapshotRef) -> tuple[CheckedSnapshot, Snapshot, MemberTable | None]:
        """It is here, and whole. Raises ``_Missed``, ``NotUnderstood``."""
        assert self._fetch is not None
        log.info("%s: the snapshot of %s is being fetched from node %d", self._group.name, ref, source)
        try:
            await self._fetch(source, ref)
            return await self._beside.call(
                lambda: read_whole(
                    self._snapshots, ref, capturing(self._machine).version, self._beside, self._group.name
                )
            )
        except NotUnderstood:
            raise  # which a later release may bring, and nothing that is fetched again
        except (RaftError, OSError, ValueError) as error:
            raise _Missed from error

    async def _pause(self, seconds: float) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def end() -> None:
            if not waiter.done():
                waiter.set_result(None)

        timer = self._group.clock.call_later(seconds, end)
        try:
            await waiter
        finally:
            timer.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            self._beside.stop(Stopped)  # as the loop ends: a thread may be at work still, and ``end`` waits for it
        elif (error := task.exception()) is not None and not self._beside.stopped:
            self._group.restore_failed(error)

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            log.error("%s: %s", self._group.name, text)

    # --- The end --------------------------------------------------------------------------------------------------

    def stop(self, why: Callable[[], RaftError]) -> None:
        """The node ends. Before the store is closed, ``end`` is called."""
        self._beside.stop(why)
        if self._task is not None:
            self._task.cancel()

    def disown(self, error: RaftError) -> None:
        """In a forked child: nothing of the parent's is touched."""
        self._beside.disown(error)

    def end(self) -> None:
        """After ``stop``, in any thread: returns when nothing is at work on a snapshot any more."""
        self._beside.wait()


class _Missed(Exception):
    """A snapshot could not be had from a node: another one is looked for."""
