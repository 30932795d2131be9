"""From where a group goes on at a start: its newest whole snapshot, and the log behind it.

    the state machine         what it is given
    in memory                 the newest whole snapshot (restore), then all commands behind it
    on disk, applied up to a  nothing but the commands behind a; where the log begins behind a, or no snapshot says what
                              the configuration was by then, as one in memory
    gives out no state        all commands, from the log's first entry on: so the log has to be whole

A snapshot is read back from end to end before anything of it is restored, and an older one is used where it is damaged.
The core goes on from the snapshot's index, with its configuration; a machine on disk is merely not given the commands
up to a, which the core hands out once more. What was applied was committed, so the core's commit index is at least the
snapshot's index and a, whatever the store has kept of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from raftcore.base.errors import DecodeError
from raftcore.values.message import HardState, Snapshot
from raftcore.values.storage_view import InitialState
from raftpy.contracts.errors import NoSnapshots, SnapshotFailed, Stopped, StorageDamaged
from raftpy.contracts.snapshots import CheckedSnapshot, Snapshots, complete
from raftpy.contracts.state_machine import StateMachine
from raftpy.members.table import MemberTable
from raftpy.runtime.capturing import Capturing, capturing
from raftpy.runtime.sections import MEMBERS, STATE, known_sections
from raftpy.storage.snapshots.choosing import newest_whole
from raftpy.storage.snapshots.metadata import read_metadata

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


class Restoring:
    """Restores one group, in one call of ``run``, which may be in a thread of its own. ``name`` is for the log."""

    def __init__(
        self, name: str, group: int, machine: StateMachine, snapshots: Snapshots, initial: InitialState
    ) -> None:
        self._name = name
        self._group = group
        self._machine = machine
        self._snapshots = snapshots
        self._initial = initial

    def run(self, given_up: Callable[[], bool] = lambda: False) -> Start:
        """Where it starts from, with the state machine restored. Where ``given_up`` says so it ends by ``Stopped``.

        Raises ``StorageDamaged`` where snapshots, log and state machine contradict one another, or no whole snapshot
        reaches the log; ``NoSnapshots`` where the log is cut and the machine cannot be restored; ``NotUnderstood``,
        ``SnapshotFailed``, and what the machine raises.
        """
        initial = self._initial
        try:
            offered = capturing(self._machine)
        except NoSnapshots:
            if initial.snapshot_index:
                raise
            return Start(initial)
        self._check_newest()
        stands = offered.applied_index()
        if stands > initial.last_index:
            raise self._damaged(
                f"the state machine says that it has applied entries up to {stands}, and the log ends at "
                f"{initial.last_index}: it is another node's, or the log has lost its end"
            )
        if stands:
            chosen = self._choose(offered, up_to=stands)
            if chosen is not None or not initial.snapshot_index:
                return self._begin(chosen, stands)
        chosen = self._choose(offered)
        if chosen is None:
            if initial.snapshot_index:
                raise self._damaged(
                    f"the log begins behind entry {initial.snapshot_index}, and no whole snapshot reaches it"
                )
            return Start(initial)
        self._restore(offered, chosen, given_up)
        return self._begin(chosen, chosen.file.ref.index)

    def _check_newest(self) -> None:
        """Whoever took a snapshot had applied all of it, so it was in the log, durably."""
        refs, last = self._snapshots.refs(self._group), self._initial.last_index
        if refs and refs[0].index > last:
            raise self._damaged(f"there is a snapshot of {refs[0]}, and the log ends at {last}: it has lost its end")

    def _choose(self, offered: Capturing, up_to: int = 2**64 - 1) -> CheckedSnapshot | None:
        """The newest whole one that the log goes on from."""

        def refused(error: SnapshotFailed) -> None:
            log.error("%s: %s; an older one is looked for", self._name, error)

        known = known_sections(offered.version)
        found = complete(newest_whole(self._snapshots, self._group, known, refused, up_to))
        if found is None or found.file.ref.index < self._initial.snapshot_index:
            return None
        ref = found.file.ref
        term = self._term_at(ref.index)
        if term != ref.term:
            raise self._damaged(f"the log has term {term} at entry {ref.index}, and the snapshot there term {ref.term}")
        return found

    def _term_at(self, index: int) -> int:
        initial = self._initial
        term = initial.snapshot_term
        for first, run_term in initial.term_runs:
            if first <= index:
                term = run_term
        return term

    def _restore(self, offered: Capturing, chosen: CheckedSnapshot, given_up: Callable[[], bool]) -> None:
        sizes = {header.name: size for header, size in chosen.sections}
        reader = self._snapshots.open(chosen.file.ref)
        try:
            for header, chunks in reader.sections(known_sections(offered.version)):
                if header.name == STATE:
                    offered.machine.restore(StateReader(header.version, sizes[STATE], chunks, given_up))
                    return
        except Exception as error:
            error.add_note(f"{self._name}: while the snapshot of {chosen.file.ref} was restored")
            raise
        finally:
            reader.close()
        raise self._damaged(f"the snapshot of {chosen.file.ref} has no section {STATE!r}")

    def _begin(self, chosen: CheckedSnapshot | None, known: int) -> Start:
        initial = self._initial
        hard = initial.hard_state
        commit = max(hard.commit, known)
        initial = replace(initial, hard_state=HardState(hard.term, hard.vote, commit))
        if chosen is None:
            return Start(initial, 0, known)
        metadata, table = self._read_beginning(chosen)
        initial = replace(initial, conf_state=metadata.conf_state, conf_index=metadata.conf_index)
        return Start(initial, metadata.index, known, table, chosen.file.size)

    def _read_beginning(self, chosen: CheckedSnapshot) -> tuple[Snapshot, MemberTable | None]:
        """What stands before the machine's bytes."""
        reader = self._snapshots.open(chosen.file.ref)
        try:
            metadata = read_metadata(reader)
            for header, chunks in reader.sections():
                if header.name == MEMBERS.name:
                    return metadata, MemberTable.decode(b"".join(chunks))
                if header.name == STATE:
                    break
        except DecodeError as error:
            raise self._damaged(f"the snapshot of {chosen.file.ref} cannot be read: {error}") from error
        finally:
            reader.close()
        return metadata, None

    def _damaged(self, what: str) -> StorageDamaged:
        return StorageDamaged(what, f"the store of {self._name}")


class StateReader:
    """A ``SavedState`` over the chunks of a section."""

    def __init__(self, version: int, size: int, chunks: Iterator[bytes], given_up: Callable[[], bool]) -> None:
        self.version = version
        self.size = size
        self._chunks = chunks
        self._given_up = given_up
        self._chunk = b""
        self._at = 0

    def read(self, size: int) -> bytes:
        """See ``SavedState``. Raises ``ValueError`` for a size below 0, ``SnapshotFailed``, ``Stopped``."""
        if size < 0:
            raise ValueError(f"how many bytes are read is 0 or more, got {size}")
        end = self._at + size
        if end <= len(self._chunk):
            data = self._chunk[self._at : end]
            self._at = end
            return data
        parts = [self._chunk[self._at :]]
        wanted = size - len(parts[0])
        self._chunk, self._at = b"", 0
        while wanted:
            if self._given_up():
                raise Stopped("the node was stopped while its state was being restored")
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            part = chunk[:wanted]
            parts.append(part)
            self._chunk, self._at = chunk, len(part)
            wanted -= len(part)
        return b"".join(parts)
