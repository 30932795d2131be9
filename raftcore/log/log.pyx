"""RaftLog: the replicated log of one node, as the algorithm sees it (paper 5.3, 5.4).

    snapshot_index   applied   applying   committed           last
          |             |          |          |                 |
    ------+-------------+----------+----------+-----------------+
          . . . . . . . . o o o o o o o o o o o o o o x x x x x x
                          ^                           ^
                     window first              unstable.offset

Entries from the window's first on are in memory; those before it are durable and are read back through the storage
view (:mod:`raftcore.log.log_entries`). Decisions are etcd/raft's (log.go, log_unstable.go), panics there being
:class:`InvariantViolation` here, or :class:`PeerFault` where a peer is to blame.
"""

import hashlib
import struct

from libc.stdint cimport UINT64_MAX, uint64_t

cimport cython

from raftcore.base.types cimport EntryNoop, LARGEST_NUMBER, NO_LIMIT, index_t, term_t
from raftcore.log cimport unstable
from raftcore.log.log_entries cimport LogEntries, in_memory, match_term
from raftcore.log.pieces cimport next_piece, piece_from
from raftcore.log.slices cimport APPLYING, ENCODED, applying_size
from raftcore.log.term_runs cimport runs_at, runs_last
from raftcore.log.unstable cimport Unstable
from raftcore.log.window cimport ref_length, window_at
from raftcore.values.entries cimport Entries
from raftcore.values.message cimport Snapshot

from raftcore.base.errors import (
    Compacted, ConfigError, InvariantViolation, LogTemporarilyUnavailable, PeerFault, Unavailable,
)

cdef enum:
    WINDOW_BYTES = 64 << 20
    WINDOW_ENTRIES = 1000000
    ENTRY_OVERHEAD = 16  # what an entry takes in the window beside its payload
    NEXT_TO_APPLY = 4    # times max_applying_bytes: so much is not read back although it was just in memory


@cython.final
cdef class RaftLog(LogEntries):
    """A node's log, made from what its storage holds.

    ``storage`` is the StorageView for entries that are not in memory; at start that is all of them, up to
    ``last_index``. ``term_runs`` is a sequence of (first index, term), ascending, for snapshot_index + 1 .. last_index.
    ``last_index``, ``committed`` and ``applied`` are 0 for "as the snapshot". ``last_time_ms`` is the last entry's log
    time, in milliseconds. ``max_applying_bytes`` bounds what is handed out to be applied and not acknowledged, counted
    as :func:`applying_size` does: payload bytes and 16 for each entry. ``window_max_bytes`` (counted alike) and
    ``window_max_entries`` bound the entries that stay in memory after they are durable and applied. Durable ones that
    are not applied go as well, where there is more in memory than both ``window_max_bytes`` and four times
    ``max_applying_bytes``.
    ``awaits_state``: the state machine has no state as of ``snapshot_index``, to which nothing is ``applied`` then.
    ``conf_changes``: which entries of the storage are configuration changes, ascending; None when that is not known.

    Raises :class:`ConfigError` when these do not fit together.

    Attributes:
        committed: the commit index (Figure 2).
        applying: highest index handed out to be applied.
        applied: highest index reported as applied (Figure 2).
        unstable: the borders of what is not durable yet.
        applying_bytes: :func:`applying_size` of what is handed out and not applied.
        applying_paused: nothing is handed out until something is applied.
        awaits_entries: nothing is handed out until the storage has read it (PagedStorageView).
        awaits_state: nothing is handed out until the state machine has been restored from a snapshot.
    """

    def __cinit__(self, object storage, index_t snapshot_index=0, term_t snapshot_term=0, index_t last_index=0,
                  object term_runs=(), index_t committed=0, index_t applied=0, uint64_t last_time_ms=0,
                  uint64_t max_applying_bytes=UINT64_MAX, uint64_t window_max_bytes=WINDOW_BYTES,
                  uint64_t window_max_entries=WINDOW_ENTRIES, bint awaits_state=False, object conf_changes=None):
        last_index = last_index if last_index else snapshot_index
        committed = committed if committed else snapshot_index
        applied = applied if applied else snapshot_index
        if not snapshot_index <= applied <= committed <= last_index:
            raise ConfigError(f"a log needs snapshot_index <= applied <= committed <= last_index, "
                              f"got {snapshot_index}, {applied}, {committed}, {last_index}")
        if awaits_state and applied != snapshot_index:
            raise ConfigError(f"entries up to {applied} are applied, and there is no state as of {snapshot_index}")
        if last_index > LARGEST_NUMBER:
            raise ConfigError(f"last_index must be at most {LARGEST_NUMBER}, got {last_index}")
        if max_applying_bytes == 0:
            raise ConfigError("max_applying_bytes must be at least 1, got 0")
        self._load(storage, snapshot_index, snapshot_term, last_index, tuple(term_runs), last_time_ms,
                   None if conf_changes is None else tuple(conf_changes))
        self.unstable = Unstable(last_index + 1)
        self.committed = committed
        self.applying = applied
        self.applied = applied
        self.max_applying_bytes = max_applying_bytes
        self.window_max_bytes = window_max_bytes
        self.window_max_entries = window_max_entries
        self.awaits_state = awaits_state

    def __repr__(self):
        return (f"RaftLog(snapshot={self.snapshot_index}/{self.snapshot_term}, last={self._last}/{self.last_term()}, "
                f"committed={self.committed}, applied={self.applied}, applying={self.applying}, "
                f"unstable={self.unstable.offset}, in_progress={self.unstable.offset_in_progress})")

    # ---- appending

    cpdef bint is_up_to_date(self, index_t index, term_t term) noexcept:
        """Is a log that ends with (index, term) at least as up-to-date as this one (paper 5.4.1)?"""
        cdef term_t ours = self.last_term()
        return term > ours or (term == ours and index >= self._last)

    def maybe_append(self, index_t prev, term_t prev_term, index_t commit, Entries entries, index_t kept=0):
        """Index of the last new entry, or None when this log has no entry (prev, prev_term); see log.pxd."""
        cdef index_t last_new = 0
        return last_new if maybe_append(self, prev, prev_term, commit, entries, kept, &last_new) else None

    cpdef index_t append(self, Entries entries) except? 0:
        """Puts entries into the log, replacing everything from their first index on; returns the new last index.

        Raises PeerFault when they would replace a committed entry, InvariantViolation when they leave a gap or go
        back in term; the log is unchanged then, as it is on MemoryError. TypeError for None.
        """
        if entries is None:
            raise TypeError("entries must be Entries, got None")
        if entries.first > self._last + 1:
            raise InvariantViolation(f"append of {entries.first} behind last index {self._last}")
        if entries.first <= self.committed:
            raise PeerFault(f"append of {entries.first} would replace committed entries (committed is "
                            f"{self.committed})")
        if entries.first_term < self.term_or_zero(entries.first - 1):
            raise InvariantViolation(f"append of term {entries.first_term} behind term "
                                     f"{self.term_or_zero(entries.first - 1)}")
        if entries.first > self._last:
            self._add(entries, entries.first)
        else:
            self._replace(entries, entries.first)
        return self._last

    # The entries from `begin` on are the log's last from there on; `begin` is at most one behind its last.
    cdef inline int _add(self, Entries entries, index_t begin) except -1:
        self._put_entries(entries, begin)
        unstable.truncate_and_append(self.unstable, begin)
        self._trim()
        return 0

    # The same where `begin` is in the log. Terms never decrease: entries of terms above all of what they replace cannot
    # have its names.
    cdef int _replace(self, Entries entries, index_t begin) except -1:
        cdef term_t replaced = runs_last(&self._terms).value
        self._add(entries, begin)
        if self.term_or_zero(begin) <= replaced:
            self.unstable.rewrites += 1
        return 0

    cpdef index_t append_commands(self, object commands, term_t term, int kind, uint64_t time_ms,
                                  uint64_t limit=NO_LIMIT) except? 0:
        """A leader's own entries: one for each of `commands`, a sequence of bytes. Returns the first one's index.

        `time_ms` is the leader's clock; the log time is at least that of the entry before. `limit` is how many bytes of
        blocks are to be sent in one message: many commands are put together so already now. Raises TypeError for
        anything but bytes and ValueError for a payload above MAX_PAYLOAD (or any, in a no-op), before anything
        changes; InvariantViolation for a term below the last entry's.
        """
        cdef index_t first = self._last + 1
        if not 0 <= kind <= EntryNoop:
            raise ValueError(f"kind must be an EntryKind (0 to {<int> EntryNoop}), got {kind}")
        if term == 0 or term < runs_last(&self._terms).value:
            raise InvariantViolation(f"append of term {term} behind term {self.last_term()}")
        self._put_commands(commands, term, kind, time_ms, limit)
        unstable.truncate_and_append(self.unstable, first)
        self._trim()
        return first

    # ---- committing and applying

    cpdef int commit_to(self, index_t index) except -1:
        """The commit index moves up to `index`; never back. Raises InvariantViolation beyond the last index."""
        if self.committed < index:
            if self._last < index:
                raise InvariantViolation(f"commit of {index} behind last index {self._last}: was the log truncated "
                                         f"or lost?")
            self.committed = index
        return 0

    cpdef bint maybe_commit(self, index_t index, term_t term) except -1:
        """A quorum has `index`: commits it if it is new and of the leader's own term (Figure 8). Did it?"""
        if index <= self.committed or term == 0 or not match_term(self, index, term):
            return False
        self.commit_to(index)
        return True

    cpdef bint has_next_committed(self, bint allow_unstable) noexcept:
        """Would next_committed give anything?"""
        return has_next_committed(self, allow_unstable)

    cpdef Entries next_committed(self, bint allow_unstable):
        """Committed entries that were not handed out yet, or None. Only durable ones unless `allow_unstable`.

        At least one, then as many as max_applying_bytes leaves room for (applying_size; entries that are not in
        memory are cut by their encoded size, if that is reached first). InvariantViolation when there is no room.
        None as well where the storage has yet to read them: has_next_committed is False then, until entries_at_hand;
        and while the state machine waits to be restored, until state_restored.
        """
        cdef index_t lo = self.applying + 1
        cdef index_t hi
        cdef uint64_t room
        if not has_next_committed(self, allow_unstable):
            return None
        room = self.room_to_apply()
        hi = max_appliable(self, allow_unstable) + 1
        if in_memory(self, lo):
            return self._slice(lo, hi, room, APPLYING)
        try:
            return self._slice_at_hand(lo, hi, self.unstable.offset, room, APPLYING, True)
        except LogTemporarilyUnavailable:
            self.awaits_entries = True
            return None

    cdef inline uint64_t room_to_apply(self) except 0:
        if self.applying_bytes >= self.max_applying_bytes:
            raise InvariantViolation(f"{self.applying_bytes} bytes are being applied, at most "
                                     f"{self.max_applying_bytes} allowed, and it is not paused")
        return self.max_applying_bytes - self.applying_bytes

    cdef Entries committed_piece(self, index_t first, uint64_t handed):
        """Of the committed entries that were not handed out yet those that begin at `first`, which are in memory: one
        piece, or what lies before the next one; None where they would not fit any more. `handed`: the applying_size of
        those between them and `applying`, which are handed out with them; 0: they are the first, and one always fits.
        """
        cdef index_t end = max_appliable(self, False) + 1
        cdef uint64_t room = self.room_to_apply()
        cdef Entries piece
        if handed >= room:
            return None
        room -= handed
        piece = piece_from(self._pieces, first)
        if piece is not None and piece.first + piece.count <= end and applying_size(piece) <= room:
            return piece
        return self._from_window(first, next_piece(self._pieces, first, end), room, APPLYING, handed == 0)

    cpdef void entries_at_hand(self) noexcept:
        """The storage has read what it lacked: it is asked again."""
        self.awaits_entries = False

    cpdef int accept_applying(self, index_t index, uint64_t size, bint allow_unstable) except -1:
        """Entries up to `index`, of applying_size `size`, have been handed out to be applied.

        Pauses until some are applied when the bound is reached, or when there are more than were handed out: then
        the next one did not fit. Raises InvariantViolation for an index that was not next, or is not committed.
        """
        if self.committed < index or index < self.applying:
            raise InvariantViolation(f"applying of {index}: must be from {self.applying} to the commit index "
                                     f"{self.committed}")
        self.applying = index
        self.applying_bytes += size
        self.applying_paused = (self.applying_bytes >= self.max_applying_bytes
                                or index < max_appliable(self, allow_unstable))
        return 0

    cpdef int applied_to(self, index_t index, uint64_t size) except -1:
        """Entries up to `index` are applied; `size` is what they counted for in accept_applying, 0 if they did not.

        Raises InvariantViolation for an index below the applied one or beyond the commit index.
        """
        if self.committed < index or index < self.applied:
            raise InvariantViolation(f"applied of {index}: must be from {self.applied} to the commit index "
                                     f"{self.committed}")
        self.applied = index
        if self.applying < index:
            self.applying = index
        self.applying_bytes = self.applying_bytes - size if self.applying_bytes > size else 0
        self.applying_paused = self.applying_bytes >= self.max_applying_bytes
        self._trim()
        return 0

    # ---- making durable

    cpdef bint has_next_unstable(self) noexcept:
        """Are there entries to be written that were not handed out yet?"""
        return has_next_unstable(self)

    cpdef bint has_next_or_in_progress_unstable(self) noexcept:
        """Are there entries that are not durable?"""
        return has_next_or_in_progress_unstable(self)

    cpdef Entries next_unstable(self):
        """All entries to be written that were not handed out yet, or None."""
        if self.unstable.offset_in_progress > self._last:
            return None
        return self._from_window(self.unstable.offset_in_progress, self._last + 1, NO_LIMIT, ENCODED, True)

    cdef Entries unstable_piece(self, index_t first):
        """Of what next_unstable gives the part that begins at `first`: one piece, or what lies before the next one."""
        cdef Entries piece = piece_from(self._pieces, first)
        if piece is not None:
            return piece
        return self._from_window(first, next_piece(self._pieces, first, self._last + 1), NO_LIMIT, ENCODED, True)

    cpdef Snapshot next_unstable_snapshot(self):
        """The restored snapshot if it was not handed out yet, or None."""
        return None if self.unstable.snapshot_in_progress else self.unstable.snapshot

    cpdef bint has_next_or_in_progress_snapshot(self) noexcept:
        """Is there a restored snapshot that is not durable?"""
        return self.unstable.snapshot is not None

    cpdef int accept_unstable(self) except -1:
        """What next_unstable and next_unstable_snapshot give has been handed to storage."""
        unstable.accept_in_progress(self.unstable, self._last)
        return 0

    cpdef int stable_to(self, index_t index, term_t term) except -1:
        """Entries up to the one at (index, term) are durable.

        Ignored unless an entry of that index and term is there and unstable: it may have been replaced while it was
        being written. That it is the very one is for the caller to see: Unstable.rewrites is what it was when the entry
        was handed out to be written.
        """
        if self.unstable.offset <= index and match_term(self, index, term):
            unstable.stable_to(self.unstable, index)
            self._trim()
        return 0

    cpdef int stable_snapshot_to(self, index_t index) except -1:
        """The restored snapshot at `index` is durable; ignored if it is another one by now."""
        self.unstable.stable_snapshot_to(index)
        return 0

    # ---- snapshots and compaction

    cpdef Snapshot snapshot(self):
        """The newest snapshot: the restored one if it is not durable yet, else the storage's. Raises what the storage
        does (SnapshotTemporarilyUnavailable), and InvariantViolation when it gives no Snapshot."""
        cdef object answer
        if self.unstable.snapshot is not None:
            return self.unstable.snapshot
        answer = self.storage.snapshot()
        if not isinstance(answer, Snapshot):
            raise InvariantViolation(f"storage gave {type(answer).__name__}, not a Snapshot")
        return <Snapshot> answer

    cpdef int restore(self, Snapshot snapshot, bint awaits_state=False) except -1:
        """The log becomes `snapshot` and nothing else (paper 7). It is unstable; applied does not move yet.

        `awaits_state`: that it is durable says nothing of the state machine, and state_restored follows.
        Raises PeerFault for an index that leaves no room for a log, InvariantViolation below the commit index,
        TypeError for None.
        """
        cdef term_t last_term = runs_last(&self._terms).value
        if snapshot is None:
            raise TypeError("snapshot must be a Snapshot, got None")
        if snapshot.index > LARGEST_NUMBER:
            raise PeerFault(f"a snapshot at {snapshot.index}, at most {LARGEST_NUMBER} is possible")
        if snapshot.index < self.committed:
            raise InvariantViolation(f"restore of a snapshot at {snapshot.index}: {self.committed} is committed")
        # As in _replace: what was here, or was replaced since names could last come again, has no term above the last
        # one's. Entries behind the snapshot can be of that term, or of an earlier one if the snapshot is: then also
        # where the log has not been as long since.
        if snapshot.term < last_term or (snapshot.term == last_term and snapshot.index < self._last):
            self.unstable.rewrites += 1
        self._begin_at(snapshot.index, snapshot.term, snapshot.time_ms)
        self.awaits_entries = False
        self.awaits_state = awaits_state
        self.committed = snapshot.index
        self.unstable.restore(snapshot)
        return 0

    cpdef bint state_fits(self, index_t index, term_t term) except -1:
        """Does the log await a state, and is (index, term) its durable beginning or a durable entry of it?"""
        return (self.awaits_state and self.unstable.snapshot is None
                and self.snapshot_index <= index < self.unstable.offset and match_term(self, index, term))

    cpdef bint state_restored(self, index_t index, term_t term) except -1:
        """The state machine is as of the committed entry (index, term), and is given what follows.

        False, and nothing is done, unless state_fits.
        """
        if not self.state_fits(index, term):
            return False
        self.awaits_state = False
        self.awaits_entries = False
        self.commit_to(index)
        if index > self.applied:
            self.applied_to(index, 0)
        return True

    cpdef int compact(self, index_t index) except -1:
        """Forgets entries up to `index`; its term stays known. Raises Compacted when that is done already,
        Unavailable when the entry is not both applied and durable."""
        if index <= runs_at(&self._terms, 0).first:
            raise Compacted()
        if index > self.applied or index >= self.unstable.offset:
            raise Unavailable(f"cannot compact up to {index}: entries are applied up to {self.applied} and durable up "
                              f"to {self.unstable.offset - 1}")
        self._forget_through(index)
        return 0

    # Called when something became durable or applied, or the window grew: forgets slices that nobody is likely to ask
    # for again, and the oldest entries in memory as far as the window is above its bounds.
    cdef inline void _trim(self) noexcept:
        cdef index_t through = min(self.applied, self.unstable.offset - 1)
        if through >= self._cache.first_last:
            self._cache.forget_through(through)
        if self._pieces.count:
            self._pieces.forget_through(through)
        if self._window_bytes() > self.window_max_bytes or self._window.count > self.window_max_entries:
            self._evict(through)

    cdef inline uint64_t _window_bytes(self) noexcept:
        return self._window.payload_bytes + ENTRY_OVERHEAD * <uint64_t> self._window.count

    cdef void _evict(self, index_t through) noexcept:
        cdef size_t count = 0
        cdef uint64_t bytes = self._window_bytes()
        cdef uint64_t most = self.window_max_bytes
        while (self._window.first + count <= through
               and (bytes > self.window_max_bytes or self._window.count - count > self.window_max_entries)):
            bytes -= ENTRY_OVERHEAD + <uint64_t> ref_length(window_at(&self._window, self._window.first + count))
            count += 1
        # Those not applied yet are few, unless the state machine is slow or is being restored. Then they are read back
        # when it comes to them.
        if self._window.first + count < self.unstable.offset and bytes > most:
            if self.max_applying_bytes > UINT64_MAX // NEXT_TO_APPLY:
                most = UINT64_MAX
            else:
                most = max(most, NEXT_TO_APPLY * self.max_applying_bytes)
            while self._window.first + count < self.unstable.offset and bytes > most:
                bytes -= ENTRY_OVERHEAD + <uint64_t> ref_length(window_at(&self._window, self._window.first + count))
                count += 1
        if count:
            self._evict_through(self._window.first + count - 1)

    cpdef RaftLog clone(self, object storage=None):
        """An independent log with the same content, over `storage` (None: the same view). Payloads are shared."""
        cdef RaftLog copy = RaftLog.__new__(RaftLog, self.storage if storage is None else storage)
        copy._share(self)
        copy.committed = self.committed
        copy.applying = self.applying
        copy.applied = self.applied
        copy.unstable = self.unstable.clone()
        copy.max_applying_bytes = self.max_applying_bytes
        copy.applying_bytes = self.applying_bytes
        copy.applying_paused = self.applying_paused
        copy.awaits_entries = self.awaits_entries
        copy.awaits_state = self.awaits_state
        copy.window_max_bytes = self.window_max_bytes
        copy.window_max_entries = self.window_max_entries
        return copy

    cpdef bytes fingerprint(self):
        """16 bytes that are the same for logs with the same entries and the same standing.

        Entries that are only in the storage count by their terms; which those are counts, too.
        """
        cdef Snapshot snapshot = self.unstable.snapshot
        cdef index_t at = self._window.first
        cdef list runs = self.term_runs()
        cdef Entries entries
        digest = hashlib.blake2b(digest_size=16)
        digest.update(struct.pack(
            "<17Q", self.snapshot_index, self._last, self._last_time, self.committed, self.applying, self.applied,
            self.applying_bytes, self.applying_paused, self.awaits_entries, self.awaits_state,
            self.unstable.offset, self.unstable.offset_in_progress,
            self._window.first, self.unstable.snapshot_in_progress, self.unstable.rewrites, snapshot is not None,
            len(runs)))
        for run in runs:
            digest.update(struct.pack("<2Q", *run))
        if snapshot is not None:
            digest.update(struct.pack("<2Q", snapshot.conf_index, snapshot.time_ms))
            digest.update(f"{snapshot.conf_state!r}\n".encode())
        while at <= self._last:
            entries = self._from_window(at, self._last + 1, NO_LIMIT, ENCODED, False)
            digest.update(entries.data)
            at += entries.count
        return digest.digest()

    cpdef int check(self) except -1:
        """Raises InvariantViolation, with the first of log.pxd's invariants that does not hold. Visits every entry."""
        self._check_entries()
        self.check_bounds()
        return 0

    cdef int check_bounds(self) except -1:
        # As check, of where things begin and end; visits no entry.
        if not self.applied <= self.applying <= self.committed <= self._last:
            raise InvariantViolation(f"applied {self.applied} <= applying {self.applying} <= committed "
                                     f"{self.committed} <= last {self._last} does not hold")
        if self.snapshot_index > self.applied and (self.unstable.snapshot is None
                                                   or self.unstable.snapshot.index != self.snapshot_index):
            raise InvariantViolation(f"compacted up to {self.snapshot_index}, applied up to {self.applied}")
        if not self._window.first <= self.unstable.offset <= self.unstable.offset_in_progress <= self._last + 1:
            raise InvariantViolation(f"window {self._window.first} <= unstable {self.unstable.offset} <= in progress "
                                     f"{self.unstable.offset_in_progress} <= {self._last + 1} does not hold")
        if self.unstable.snapshot is None and self.unstable.snapshot_in_progress:
            raise InvariantViolation("no snapshot is in progress")
        if self.applying_bytes >= self.max_applying_bytes and not self.applying_paused:
            raise InvariantViolation(f"{self.applying_bytes} bytes are being applied, at most "
                                     f"{self.max_applying_bytes} allowed, and it is not paused")
        if self.awaits_state and self.applied > self.snapshot_index:
            raise InvariantViolation(f"applied up to {self.applied}, and there is no state as of {self.snapshot_index}")
        if self.awaits_entries and not self.applying < min(self.committed, self._window.first - 1):
            raise InvariantViolation(f"waits to be given what follows {self.applying}: {self.committed} is committed, "
                                     f"and what follows {self._window.first - 1} is in memory")
        return 0


cdef RaftLog log_of(object config, object initial, object storage):
    cdef object commit = max(initial.hard_state.commit, initial.snapshot_index)
    cdef object applied = max(config.applied, initial.snapshot_index)
    if not initial.snapshot_index <= initial.last_index:
        raise ConfigError(
            f"initial state: last_index {initial.last_index} lies before snapshot_index {initial.snapshot_index}"
        )
    if commit > initial.last_index:
        raise ConfigError(f"initial state: commit {commit} lies beyond the last index {initial.last_index}")
    if applied > initial.last_index:
        raise ConfigError(f"applied {applied} lies beyond the last index {initial.last_index}")
    # What was applied was committed, also where the commit index, which needs no sync, was not stored any more.
    commit = max(commit, applied)
    return RaftLog(
        storage,
        initial.snapshot_index,
        initial.snapshot_term,
        initial.last_index,
        initial.term_runs,
        commit,
        applied,
        initial.last_time_ms,
        config.max_committed_size_per_ready,
        config.max_window_bytes,
        config.max_window_entries,
        initial.awaits_state,
        initial.conf_changes,
    )


cdef bint maybe_append(RaftLog log, index_t prev, term_t prev_term, index_t commit, Entries entries, index_t kept,
                       index_t* last_new) except -1:
    cdef index_t conflict, lo, hi, other
    if not match_term(log, prev, prev_term):
        return False
    last_new[0] = prev
    if entries is not None:
        if entries.first_term < prev_term:
            raise PeerFault(f"entry {entries.first} has term {entries.first_term}, the one before it {prev_term}")
        conflict = log.find_conflict(entries)
        # Those that this log has with the same terms; behind `kept` their contents are compared as well.
        lo = max(entries.first, kept + 1)
        hi = conflict if conflict else entries.first + entries.count
        if lo < hi:
            other = log.first_other_contents(entries, lo, hi, NO_LIMIT)
            if other:
                conflict = other
        if conflict > log._last:
            log._add(entries, conflict)
        elif conflict:
            if conflict <= log.committed:
                raise PeerFault(f"entry {conflict} conflicts with a committed entry (committed is {log.committed})")
            log._replace(entries, conflict)
        last_new[0] = prev + entries.count
    log.commit_to(min(commit, last_new[0]))
    return True
