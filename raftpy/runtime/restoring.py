"""From where a group goes on at a start: its newest whole snapshot, and the log behind it.

    the state machine         what it is given
    in memory                 the newest whole snapshot (restore), then all commands behind it
    on disk, applied up to a  nothing but the commands behind a; where the log begins behind a, or no snapshot says what
                              the configuration was by then, as one in memory
    gives out no state        all commands, from the log's first entry on: so the log has to be whole
    none is whole, log cut    nothing: the group starts without a state, and gets one from another node (pulling.py)

A snapshot is read back from end to end before anything of it is restored, and an older one is used where it is damaged.
The core goes on from the snapshot's index, with its configuration; a machine on disk is merely not given the commands
up to a, which the core hands out once more.

What was applied was committed, so the core's commit index is at least a and the newest snapshot's index, whatever the
store has kept of it. A snapshot newer than a is not read back for that: one is made only of what was applied, and has
its name only once it is whole and durable, so its head and its end, which have their checksums, are as good as all of
it. What is committed behind a the log has: where it was cut behind such a snapshot, the machine is restored.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from raftcore.values.message import HardState, Snapshot
from raftcore.values.storage_view import InitialState
from raftpy.contracts.errors import NoSnapshots, SnapshotFailed, StorageDamaged
from raftpy.contracts.files import is_passing
from raftpy.contracts.snapshots import EVERY_INDEX, CheckedSnapshot, Snapshots, complete
from raftpy.contracts.state_machine import StateMachine
from raftpy.members.table import MemberTable
from raftpy.runtime.capturing import Capturing, capturing
from raftpy.runtime.saved_state import damaged, read_beginning, restore
from raftpy.runtime.sections import known_sections
from raftpy.runtime.starting import CHECKING, RESTORING, StartProgress
from raftpy.storage.snapshots.choosing import newest_whole

log = logging.getLogger("raftpy")


@dataclass(frozen=True, slots=True)
class Start:
    """From where a group goes on."""

    initial: InitialState
    """What its core starts from; the configuration is the one at ``applied``."""
    applied: int = 0
    """Index of the snapshot; the core hands out what follows. 0: there is none, the log is whole."""
    known: int = 0
    """The state machine has the commands up to here, and is not given them again."""
    table: MemberTable | None = None
    """The member table as of ``applied``, of group 0."""
    size: int = 0
    """Bytes of the snapshot; 0: there is none."""
    snapshot: Snapshot | None = None
    """What the core knows of it."""


class Restoring:
    """Restores one group, in one call of ``run``, which may be in a thread of its own. ``name`` is for the log.
    ``others``: there are other members, and they can be asked for a snapshot."""

    def __init__(
        self,
        name: str,
        group: int,
        machine: StateMachine,
        snapshots: Snapshots,
        initial: InitialState,
        *,
        others: bool,
    ) -> None:
        self._name = name
        self._group = group
        self._machine = machine
        self._snapshots = snapshots
        self._initial = initial
        self._others = others

    def run(
        self,
        given_up: Callable[[], bool] = lambda: False,
        told: Callable[[StartProgress], object] = lambda progress: None,
    ) -> Start:
        """Where it starts from, with the state machine restored, or without a state. Where ``given_up`` says so it ends
        by ``Stopped``; ``told`` hears how far it has come.

        Raises ``StorageDamaged`` where snapshots, log and state machine contradict one another, or no whole snapshot
        reaches the log and there is nobody to ask for one; ``NoSnapshots`` where the log is cut and the machine cannot
        be restored; ``NotUnderstood``, ``SnapshotFailed``, and what the machine raises.
        """
        initial = self._initial
        try:
            offered = capturing(self._machine)
        except NoSnapshots:
            if initial.snapshot_index:
                raise
            return Start(initial)
        stands = offered.applied_index()
        if stands > initial.last_index:
            raise self._damaged(
                f"the state machine says that it has applied entries up to {stands}, and the log ends at "
                f"{initial.last_index}: it is another node's, or the log has lost its end"
            )
        if stands:
            chosen = self._choose(offered, told, up_to=stands)
            if chosen is not None or not initial.snapshot_index:
                return self._begin(chosen, stands, self._newest_from(stands))
        chosen = self._choose(offered, told)
        if chosen is None:
            if not initial.snapshot_index:
                return Start(initial)
            if self._others:
                hard = initial.hard_state
                known = HardState(hard.term, hard.vote, max(hard.commit, stands))
                return Start(replace(initial, hard_state=known, awaits_state=True))
            raise self._damaged(
                f"the log begins behind entry {initial.snapshot_index}, no whole snapshot reaches it, and this node "
                "knows no other member that could be asked for one"
            )
        index = chosen.file.ref.index

        def taken(position: int, size: int) -> None:
            told(StartProgress(RESTORING, self._group, index, position, size))

        restore(offered, self._snapshots, chosen, self._name, given_up, taken)
        return self._begin(chosen, index, index)

    def _choose(
        self, offered: Capturing, told: Callable[[StartProgress], object], up_to: int = EVERY_INDEX
    ) -> CheckedSnapshot | None:
        """The newest whole one that the log goes on from.

        One that the log does not reach, or of which it has another entry that is not committed, has come from another
        node, and this one died before it took its log's place. It waits: it may be offered again, or the log gets
        there.

        Raises ``SnapshotFailed`` where the log needs one and there is none, but for one that the system lacked
        descriptors or memory to read: that is no loss.
        """
        unread: list[SnapshotFailed] = []

        def refused(error: SnapshotFailed) -> None:
            log.error("%s: %s; an older one is looked for", self._name, error)
            if is_passing(error):
                unread.append(error)

        def read(position: int) -> None:
            told(StartProgress(CHECKING, self._group, None, position))

        initial, known = self._initial, known_sections(offered.version)
        up_to = min(up_to, initial.last_index)
        while True:
            found = complete(newest_whole(self._snapshots, self._group, known, refused, up_to), read)
            if found is None or found.file.ref.index < initial.snapshot_index:
                if unread and initial.snapshot_index:
                    raise unread[0]
                return None
            ref = found.file.ref
            term = self._term_at(ref.index)
            if term == ref.term:
                return found
            if ref.index <= max(initial.hard_state.commit, initial.snapshot_index):
                what = f"the log has term {term} at entry {ref.index}, and the snapshot there term {ref.term}"
                raise self._damaged(what)
            up_to = ref.index - 1

    def _newest_from(self, stands: int) -> int:
        """Up to where this log is committed by the newest snapshot of it, or by the machine, which stands there.

        Raises ``NotUnderstood`` for a format not known here, as where one is chosen.
        """
        initial = self._initial
        known = max(stands, initial.hard_state.commit)
        for ref in self._snapshots.refs(self._group):
            if ref.index <= known:
                break
            if ref.index > initial.last_index or self._term_at(ref.index) != ref.term:
                continue  # another node's, which did not take this log's place
            try:
                self._snapshots.open(ref).close()
            except SnapshotFailed as error:
                log.error("%s: %s; it says nothing of what is committed", self._name, error)
            else:
                return ref.index
        return known

    def _term_at(self, index: int) -> int:
        initial = self._initial
        term = initial.snapshot_term
        for first, run_term in initial.term_runs:
            if first <= index:
                term = run_term
        return term

    def _begin(self, chosen: CheckedSnapshot | None, known: int, committed: int) -> Start:
        initial = self._initial
        hard = initial.hard_state
        commit = max(hard.commit, committed)
        initial = replace(initial, hard_state=HardState(hard.term, hard.vote, commit))
        if chosen is None:
            return Start(initial, 0, known)
        metadata, table = read_beginning(self._snapshots, chosen.file.ref, self._name)
        initial = replace(initial, conf_state=metadata.conf_state, conf_index=metadata.conf_index)
        return Start(initial, metadata.index, known, table, chosen.file.size, metadata)

    def _damaged(self, what: str) -> StorageDamaged:
        return damaged(what, self._name)
