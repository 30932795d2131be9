"""LogEntries: the entries of one log and their terms, wherever they are kept.

                 snapshot_index                 window first           last
                       |                             |                  |
    compacted - - - - -|o o o o o o o o o o o o o o o|x x x x x x x x x x
                        read back from the storage    in memory
                       |<------------- terms, as runs ---------------->|

Entries from the window's first on are in memory, and slices of them are cut here; those before it are read back
through the storage view and checked against the terms. Where configuration changes are is known of the whole log, as
the terms are, so a node that stands for election reads nothing. What may be appended, replaced or forgotten is decided
in :mod:`raftcore.log.log`.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from raftcore.base.lists cimport item_of
from raftcore.base.types cimport NO_LIMIT, EntryNormal, index_t, term_t
from raftcore.log.conf_changes cimport (
    changes_add, changes_between, changes_clear, changes_fault, changes_forget_through, changes_load, changes_truncate,
    is_change,
)
from raftcore.log.pieces cimport LEAST_PIECE, Pieces, piece_at, piece_from
from raftcore.log.slices cimport (
    APPLYING, ENCODED, LogView, Measure, SliceCache, SliceSize, applying_prefix, applying_size, last_time_of,
    fits, is_newest, newest, one_block, slice_measure, slice_write,
)
from raftcore.log.staging cimport stage_block, stage_commands
from raftcore.log.term_runs cimport (
    Run, run_end, runs_add, runs_at, runs_clear, runs_copy, runs_drop_before, runs_fault, runs_find, runs_free,
    runs_init, runs_last, runs_reserve, runs_truncate,
)
from raftcore.log.window cimport (
    MOST_KEPT, window_commit_staged, window_discard_staged, window_drop_front, window_fault, window_free, window_init,
    window_memory, window_reserve, window_reset, window_share,
)
from raftcore.values.block cimport (
    BlockHeader, block_size, read_block_header,
)
from raftcore.values.entries cimport Entries, Entry, make_entries

from raftcore.base.errors import Compacted, ConfigError, InvariantViolation

cdef extern from "Python.h":
    object PySequence_Fast(object o, const char* message)
    Py_ssize_t PySequence_Fast_GET_SIZE(object o)
    PyObject** PySequence_Fast_ITEMS(object o)

cdef enum:
    SCAN_BYTES = 1 << 20      # read at a time while looking for configuration changes in the storage


cdef bint contents_differ(Entry one, Entry other) noexcept:
    if one.kind != other.kind:
        return True
    if one.kind == EntryNormal and not (one.data and other.data):
        return False  # a witness is sent every command as an empty one, which says nothing about the contents
    return one.data != other.data


cdef class LogEntries:
    """The entries of a log, after the snapshot at snapshot_index; the base of :class:`raftcore.log.log.RaftLog`.

    Attributes:
        storage: the StorageView that entries which have left the memory are read back from.
    """

    def __cinit__(self):
        runs_init(&self._terms)
        runs_init(&self._times)
        runs_init(&self._changes.at)
        window_init(&self._window, 1)
        self._cache = SliceCache()
        self._pieces = Pieces()
        if not runs_reserve(&self._terms, 1):
            raise MemoryError("a term run")
        runs_add(&self._terms, 0, 0)

    def __dealloc__(self):
        window_free(&self._window)
        runs_free(&self._terms)
        runs_free(&self._times)
        runs_free(&self._changes.at)

    cdef int _load(self, object storage, index_t snapshot_index, term_t snapshot_term, index_t last_index,
                   tuple term_runs, uint64_t last_time_ms, tuple conf_changes) except -1:
        """What lies in the storage at start; ``conf_changes`` is None when it is not known which entries are changes.
        Raises ConfigError when the term runs do not cover it, or the changes are not indexes of it that ascend."""
        cdef index_t first, before = snapshot_index
        cdef term_t term, term_before = snapshot_term
        self.storage = storage
        self._last = last_index
        self._last_time = last_time_ms
        window_reset(&self._window, last_index + 1)
        if not runs_reserve(&self._terms, <size_t> len(term_runs) + 1):
            raise MemoryError(f"{len(term_runs)} term runs")
        runs_clear(&self._terms)
        runs_add(&self._terms, snapshot_index, snapshot_term)
        for first, term in term_runs:
            if not (before < first <= last_index and (before > snapshot_index or first == snapshot_index + 1)
                    and term and term >= term_before):
                raise ConfigError(f"term run ({first}, {term}) after ({before}, {term_before}): runs must begin at "
                                  f"{snapshot_index + 1}, ascend, and stay within the last index {last_index}")
            runs_add(&self._terms, first, term)
            before = first
            term_before = term
        if before == snapshot_index and snapshot_index < last_index:
            raise ConfigError(f"no term runs for entries {snapshot_index + 1} to {last_index}")
        return changes_load(&self._changes, conf_changes, snapshot_index, last_index)

    # ---- what the log holds

    @property
    def snapshot_index(self) -> int:
        """Index just before the first entry; 0 when nothing was compacted."""
        return runs_at(&self._terms, 0).first

    @property
    def snapshot_term(self) -> int:
        """Term of the entry at snapshot_index."""
        return runs_at(&self._terms, 0).value

    cpdef list term_runs(self):
        """(first index, term) of each run of entries of one term, ascending; the first one is the snapshot's."""
        cdef size_t i
        return [(runs_at(&self._terms, i).first, runs_at(&self._terms, i).value) for i in range(self._terms.count)]

    @property
    def window_first(self) -> int:
        """Index of the first entry in memory; last_index() + 1 when there is none."""
        return self._window.first

    cpdef index_t first_index(self) noexcept:
        """Index of the first entry that is not compacted (there may be none: then it is last_index() + 1)."""
        return runs_at(&self._terms, 0).first + 1

    cpdef index_t last_index(self) noexcept:
        """Index of the last entry; of the snapshot when there is no entry; 0 for a log that never had one."""
        return self._last

    cpdef term_t last_term(self) noexcept:
        """Term of the entry (or snapshot) at last_index()."""
        return runs_last(&self._terms).value

    cpdef uint64_t last_time(self) noexcept:
        """Log time of the last entry, milliseconds; behind a restored snapshot, the snapshot's time_ms."""
        return self._last_time

    def term_at(self, index_t index) -> int | None:
        """The term at index, from snapshot_index to last_index(); None outside: compacted, or not there yet."""
        cdef term_t term = 0
        return term if term_at(self, index, &term) else None

    cdef bint _search_term(self, index_t index, term_t* out) noexcept:
        # The rest of term_at: index is at most _last, and lies before the last run.
        cdef Py_ssize_t position = runs_find(&self._terms, index)
        if position < 0:
            return False
        out[0] = runs_at(&self._terms, position).value
        return True

    cpdef term_t term_or_zero(self, index_t index) noexcept:
        """The term at index, 0 when it is not known."""
        cdef term_t term = 0
        term_at(self, index, &term)
        return term

    cpdef bint match_term(self, index_t index, term_t term) noexcept:
        """Is there an entry (or the snapshot) at index with this term? The consistency check of paper 5.3."""
        return match_term(self, index, term)

    cpdef index_t find_conflict(self, Entries entries) except? 0:
        """Index of the first of `entries` that this log does not have with the same term; 0 when it has them all.

        That is the first conflict (paper 5.3), or the first new entry. Runs are compared with blocks: within one
        run the log has one term, and behind it another. TypeError for None.
        """
        cdef const uint8_t* at
        cdef const uint8_t* end
        cdef BlockHeader header
        cdef Py_ssize_t position
        cdef index_t until
        if entries is None:
            raise TypeError("entries must be Entries, got None")
        at = <const uint8_t*> PyBytes_AS_STRING(entries.data)
        end = at + PyBytes_GET_SIZE(entries.data)
        while at < end:
            read_block_header(at, &header)
            if header.first > self._last:
                return header.first
            position = runs_find(&self._terms, header.first)
            if position < 0 or runs_at(&self._terms, position).value != header.term:
                return header.first
            until = run_end(&self._terms, position, self._last + 1)
            if until < header.first + header.count:
                return until
            at += block_size(&header)
        return 0

    def find_conflict_by_term(self, index_t index, term_t term) -> tuple[int, int]:
        """Where this log may still agree with one that has `term` at `index`: (index, its term or 0); see the .pxd."""
        cdef term_t found = 0
        index = find_conflict_by_term(self, index, term, &found)
        return index, found

    cdef index_t first_other_contents(self, Entries entries, index_t lo, index_t hi, uint64_t most) except? 0:
        """Index of the first of `entries` from lo to hi - 1 that has other contents in this log; 0 for none.

        The log has all of these with the same terms. An entry's index and term name its contents (log matching, Figure
        3), as long as a term has one leader. Voters whose disks have forgotten a term may elect a second leader for it.
        Only repeated appends are compared. What has left the memory is read back, in pieces of about the size of
        `entries`, until `most` bytes of this log have been compared.
        """
        cdef uint64_t piece = 2 * <uint64_t> PyBytes_GET_SIZE(entries.data)
        cdef uint64_t size
        cdef Entries ours, theirs
        while lo < hi and most > 0:
            ours = self.slice(lo, hi, min(piece, most))
            theirs = entries.slice(lo, lo + ours.count)
            if ours.data != theirs.data:  # also where only their cut into blocks or a raised log time differs
                for one, other in zip(ours, theirs):
                    if contents_differ(one, other):
                        return one.index
            lo += ours.count
            size = <uint64_t> PyBytes_GET_SIZE(ours.data)
            most = most - size if most > size else 0
        return 0

    # ---- changing

    # Entries from index `begin` on replace the log's from there on; unchanged on MemoryError. The caller has checked
    # that entries.first <= begin <= their last, begin <= last + 1, and that no term goes back.
    cdef int _put_entries(self, Entries entries, index_t begin) except -1:
        cdef const uint8_t* data = <const uint8_t*> PyBytes_AS_STRING(entries.data)
        cdef const uint8_t* end = data + PyBytes_GET_SIZE(entries.data)
        cdef const uint8_t* at = data
        cdef BlockHeader header, before
        cdef uint64_t last_time = 0
        cdef size_t count = <size_t> (entries.first + entries.count - begin)
        cdef size_t changes = 0
        cdef int64_t staged = 0
        cdef bint as_given  # would the log cut exactly these blocks out of what it holds now?
        if begin == self._last + 1:
            last_time = self._last_time
        elif self.snapshot_index < begin - 1 < self._window.first:
            last_time = last_time_of(self._from_storage(begin - 1, begin, 0, ENCODED))
        if not (window_reserve(&self._window, count) and runs_reserve(&self._terms, entries.blocks)
                and runs_reserve(&self._times, entries.blocks)):
            raise MemoryError(f"{count} entries")
        while at < end and staged >= 0:
            read_block_header(at, &header)
            staged = stage_block(&self._window, at, &header, begin, <PyObject*> entries.data)
            if staged > 0 and is_change(header.kind):
                changes += <size_t> staged
            at += block_size(&header)
        if staged < 0 or not runs_reserve(&self._changes.at, changes):
            window_discard_staged(&self._window)
            raise MemoryError(f"{entries.payload_size} bytes of payload")
        self._place_staged(begin)
        if self._times.count:
            last_time = runs_last(&self._times).value
        at = data
        as_given = begin == entries.first
        while at < end:
            read_block_header(at, &header)
            if header.first + header.count > begin:
                as_given = as_given and header.time_ms >= last_time and not (at > data and one_block(&before, &header))
                before = header
                # Log time never goes back. A correct leader sees to that, unless a snapshot of unknown time hid it.
                last_time = max(last_time, header.time_ms)
                runs_add(&self._terms, max(header.first, begin), header.term)
                runs_add(&self._times, max(header.first, begin), last_time)
                if is_change(header.kind):
                    changes_add(&self._changes, max(header.first, begin), header.first + header.count)
            at += block_size(&header)
        self._last = entries.first + entries.count - 1
        self._last_time = runs_last(&self._times).value
        if as_given:
            self._cache.keep(entries.first, self._last + 1, NO_LIMIT, ENCODED, entries)  # storage asks for it next
            if LEAST_PIECE <= PyBytes_GET_SIZE(entries.data) and (
                    PyBytes_GET_SIZE(entries.data) <= MOST_KEPT or entries.count == 1):
                self._pieces.add(entries)
        return 0

    # One entry behind the log for each item of `commands`, in pieces of `limit` bytes; unchanged on any error.
    cdef int _put_commands(self, object commands, term_t term, int kind, uint64_t time_ms, uint64_t limit) except -1:
        cdef object items = PySequence_Fast(commands, b"commands must be a sequence of bytes")
        cdef Py_ssize_t count = PySequence_Fast_GET_SIZE(items)
        cdef BlockHeader header
        if not (window_reserve(&self._window, <size_t> count) and runs_reserve(&self._terms, 1)
                and runs_reserve(&self._times, 1)
                and runs_reserve(&self._changes.at, <size_t> count if is_change(<uint32_t> kind) else 0)):
            raise MemoryError(f"{count} entries")
        header.first = self._last + 1
        header.term = term
        header.time_ms = max(self._last_time, time_ms)
        header.kind = <uint32_t> kind
        header.reserved = 0
        stage_commands(&self._window, self._pieces, PySequence_Fast_ITEMS(items), count, limit, &header)
        self._place_staged(self._last + 1)
        self._pieces.commit_staged()
        self._last_time = header.time_ms
        runs_add(&self._terms, self._last + 1, term)
        runs_add(&self._times, self._last + 1, self._last_time)
        if is_change(<uint32_t> kind):
            changes_add(&self._changes, self._last + 1, self._last + 1 + <index_t> count)
        self._last += <index_t> count
        return 0

    # The staged entries take their place at index `first`, what they replace is forgotten. Cannot fail.
    cdef void _place_staged(self, index_t first) noexcept:
        if first <= self._last:
            self._cache.forget_from(first)
            self._pieces.truncate(first)
            runs_truncate(&self._terms, first)
            runs_truncate(&self._times, first)
            changes_truncate(&self._changes, first)
        if first >= self._window.first:
            window_commit_staged(&self._window, <size_t> (first - self._window.first))
        else:  # the whole window is replaced, and entries before it that are only in the storage
            window_commit_staged(&self._window, 0)
            self._window.first = first

    # Entries up to `index` need not be in memory any more.
    cdef void _evict_through(self, index_t index) noexcept:
        if index < self._window.first:
            return
        self._pieces.forget_through(index)
        window_drop_front(&self._window, <size_t> (index + 1 - self._window.first))
        if self._window.count:
            runs_drop_before(&self._times, self._window.first)
        else:
            runs_clear(&self._times)

    # Entries up to `index` are compacted; the log's term there stays known.
    cdef void _forget_through(self, index_t index) noexcept:
        self._cache.forget_begun(index)
        self._evict_through(index)
        runs_drop_before(&self._terms, index)
        changes_forget_through(&self._changes, index)

    # The log becomes empty, after (index, term). `time_ms` is that entry's log time; 0 (not known) keeps the newest.
    cdef void _begin_at(self, index_t index, term_t term, uint64_t time_ms) noexcept:
        self._cache.forget_from(0)
        self._pieces.truncate(0)
        runs_clear(&self._terms)
        runs_clear(&self._times)
        changes_clear(&self._changes)
        runs_add(&self._terms, index, term)  # there is room: the runs were never empty before
        window_reset(&self._window, index + 1)
        self._last = index
        if time_ms:
            # Also when it is less: the newest time may be of an entry that was never committed, and is gone everywhere.
            self._last_time = time_ms

    # Takes over what `source` holds, sharing payloads; self is new.
    cdef int _share(self, LogEntries source) except -1:
        runs_clear(&self._terms)
        if not (window_share(&self._window, &source._window) and runs_copy(&self._terms, &source._terms)
                and runs_copy(&self._times, &source._times) and runs_copy(&self._changes.at, &source._changes.at)):
            raise MemoryError(f"{source._window.count} entries")
        self._changes.unnamed = source._changes.unnamed
        self._pieces.share(source._pieces)
        self._last = source._last
        self._last_time = source._last_time
        return 0

    # ---- reading

    cdef LogView _view(self) noexcept:
        cdef LogView view
        view.window = &self._window
        view.terms = &self._terms
        view.times = &self._times
        return view

    cpdef Entries slice(self, index_t lo, index_t hi, uint64_t max_bytes):
        """Entries lo to hi - 1, cut where their blocks would exceed max_bytes; at least one, None when lo == hi.

        Entries that are not in memory come from the storage, which may cut earlier. Raises Compacted when lo is
        covered by the snapshot, InvariantViolation for a range outside the log or a storage that contradicts it.
        """
        return self._slice(lo, hi, max_bytes, ENCODED)

    cdef Entries _slice(self, index_t lo, index_t hi, uint64_t limit, Measure measure):
        if lo > hi:
            raise InvariantViolation(f"slice of [{lo}, {hi}): lo is above hi")
        if lo <= runs_at(&self._terms, 0).first:
            raise Compacted()
        if hi > self._last + 1:
            raise InvariantViolation(f"slice of [{lo}, {hi}): last index is {self._last}")
        if lo == hi:
            return None
        if lo >= self._window.first:
            return self._from_window(lo, hi, limit, measure, True)
        return self._behind_stored(self._from_storage(lo, min(hi, self._window.first), limit, measure), hi, limit,
                                   measure)

    cdef Entries _slice_at_hand(self, index_t lo, index_t hi, index_t durable, uint64_t limit, Measure measure,
                                bint urgent):
        """As _slice, for lo < hi within the log and before the window, in pieces as the storage likes. Raises
        LogTemporarilyUnavailable where the storage has them not at hand. `urgent`: somebody waits for them.

        The storage, which reads ahead, is asked for all that it has, up to `durable`: were it asked no further than to
        the window, it would always end where the window began a moment ago, and never reach it while entries leave it.
        """
        cdef index_t end = min(hi, durable)
        cdef object stored
        if measure == APPLYING and hasattr(self.storage, "committed_at_hand"):
            stored = self.storage.committed_at_hand(lo, end, limit)
        elif hasattr(self.storage, "entries_at_hand"):
            stored = self.storage.entries_at_hand(lo, end, limit, urgent)
        else:
            return self._slice(lo, hi, limit, measure)
        return self._behind_stored(self._checked(stored, lo, end, limit, measure), hi, limit, measure)

    cdef Entries _behind_stored(self, Entries stored, index_t hi, uint64_t limit, Measure measure):
        # What the storage gave, with as many entries of the window behind it as follow and fit.
        cdef Entries rest
        cdef uint64_t used
        cdef index_t end = stored.first + stored.count
        if end >= hi or end < self._window.first:
            return stored
        used = <uint64_t> len(stored.data) if measure == ENCODED else applying_size(stored)
        if used >= limit or runs_at(&self._times, runs_find(&self._times, end)).value < last_time_of(stored):
            return stored
        rest = self._from_window(end, hi, limit - used, measure, False)
        if rest is None:
            return stored
        return make_entries(stored.data + rest.data, stored.first, stored.count + rest.count, stored.first_term,
                            rest.last_term, stored.payload_size + rest.payload_size, stored.blocks + rest.blocks)

    cdef Entries _from_window(self, index_t lo, index_t hi, uint64_t limit, Measure measure, bint at_least_one):
        cdef Entries entries = None
        cdef SliceSize size
        cdef LogView view
        if at_least_one and is_newest(self._cache, lo, hi):
            entries = <Entries> item_of(<PyObject*> self._cache.slices, newest(self._cache))
            if fits(entries, limit, measure):
                return entries
        if at_least_one:
            entries = self._cache.answer(lo, hi, limit, measure)
            if entries is not None:
                return entries
        view = self._view()
        slice_measure(&view, lo, hi, limit, measure, at_least_one, &size)
        if size.end == lo:
            return None
        entries = piece_from(self._pieces, lo)
        if entries is None or entries.first + entries.count != size.end:
            entries = self._cache.cut(lo, size.end)
        if entries is None:
            entries = self._written_out(lo, &size)
            if at_least_one:
                self._cache.keep(lo, hi, limit, measure, entries)
        return entries

    cdef Entries _written_out(self, index_t lo, const SliceSize* size):
        cdef LogView view = self._view()
        cdef term_t first_term = 0
        cdef term_t last_term = 0
        cdef bytes data = PyBytes_FromStringAndSize(NULL, <Py_ssize_t> size.bytes)
        slice_write(&view, lo, size.end, <uint8_t*> PyBytes_AS_STRING(data))
        term_at(self, lo, &first_term)
        term_at(self, size.end - 1, &last_term)
        return make_entries(data, lo, size.end - lo, first_term, last_term, size.payload_bytes, size.blocks)

    cdef Entries _from_storage(self, index_t lo, index_t hi, uint64_t limit, Measure measure):
        return self._checked(self.storage.entries(lo, hi, limit), lo, hi, limit, measure)

    cdef Entries _checked(self, object answer, index_t lo, index_t hi, uint64_t limit, Measure measure):
        # The storage's answer to what was asked, which must be what this log says that it is.
        cdef Entries entries
        cdef index_t conflict
        cdef uint64_t fit
        if not isinstance(answer, Entries):
            raise InvariantViolation(f"storage gave {type(answer).__name__} for entries [{lo}, {hi}), not Entries")
        entries = <Entries> answer
        if entries.first != lo or entries.count > hi - lo:
            raise InvariantViolation(f"storage gave entries [{entries.first}, {entries.first + entries.count}) "
                                     f"for [{lo}, {hi})")
        conflict = self.find_conflict(entries)
        if conflict:
            raise InvariantViolation(f"storage gave another term for entry {conflict} than the log's "
                                     f"{self.term_or_zero(conflict)}")
        if measure == APPLYING:
            fit = applying_prefix(entries, limit)
            if fit < entries.count:
                entries = entries.slice(lo, lo + fit)
        return entries

    cpdef bint has_pending_conf_change(self, index_t lo, index_t hi) except -1:
        """Is any of the entries lo to hi - 1 a configuration change? Raises Compacted for entries before the log, and
        InvariantViolation for entries beyond it.

        Nothing is read where the storage has said at the start which entries are (InitialState.conf_changes).
        """
        cdef Entries entries
        cdef index_t index = lo
        if lo < self.first_index():
            raise Compacted()
        if hi > self._last + 1:
            raise InvariantViolation(f"scan of [{lo}, {hi}): last index is {self._last}")
        if changes_between(&self._changes, lo, hi):
            return True
        while index < min(hi, self._changes.unnamed + 1):
            entries = self._from_storage(index, min(hi, self._changes.unnamed + 1), SCAN_BYTES, ENCODED)
            for run in entries.runs():
                if is_change(run[3]):
                    return True
            index += entries.count
        return False

    cpdef uint64_t memory_bytes(self):
        """Bytes held: payload chunks (also those shared with a clone), entry references, runs, cached slices."""
        return (window_memory(&self._window) + sizeof(Run) * (
            self._terms.capacity + self._times.capacity + self._changes.at.capacity) + self._cache.memory())

    cdef int _check_entries(self) except -1:
        """Raises InvariantViolation when what log_entries.pxd and those of its parts promise does not hold."""
        cdef index_t snapshot_index = runs_at(&self._terms, 0).first
        cdef str fault = runs_fault(&self._terms, snapshot_index, self._last)
        cdef size_t i
        if fault is not None:
            raise InvariantViolation(f"terms: {fault}")
        for i in range(1, self._terms.count):
            if runs_at(&self._terms, i).value < runs_at(&self._terms, i - 1).value:
                raise InvariantViolation(f"term goes back at {runs_at(&self._terms, i).first}")
        fault = window_fault(&self._window)
        if fault is not None:
            raise InvariantViolation(f"window: {fault}")
        if self._window.first <= snapshot_index or self._window.first + self._window.count != self._last + 1:
            raise InvariantViolation(f"window [{self._window.first}, {self._window.first + self._window.count}) does "
                                     f"not end a log of {snapshot_index + 1} to {self._last}")
        self._check_pieces()
        fault = changes_fault(&self._changes, &self._window, snapshot_index, self._last)
        if fault is not None:
            raise InvariantViolation(f"configuration changes: {fault}")
        if self._window.count == 0:
            if self._times.count:
                raise InvariantViolation(f"{self._times.count} time runs for an empty window")
            return 0
        fault = runs_fault(&self._times, self._window.first, self._last)
        if fault is not None:
            raise InvariantViolation(f"times: {fault}")
        if runs_last(&self._times).value != self._last_time:
            raise InvariantViolation(f"last time {self._last_time} ms, the last entry's is "
                                     f"{runs_last(&self._times).value} ms")
        return 0

    cdef int _check_pieces(self) except -1:
        cdef str fault = self._pieces.fault(self._last)
        cdef LogView view = self._view()
        cdef SliceSize size
        cdef Py_ssize_t position
        cdef Entries piece
        if fault is not None:
            raise InvariantViolation(f"pieces: {fault}")
        for position in range(self._pieces.count):
            piece = piece_at(self._pieces, position)
            if piece.first < self._window.first:
                continue  # a part of it is not in memory any more
            slice_measure(&view, piece.first, piece.first + piece.count, NO_LIMIT, ENCODED, True, &size)
            if self._written_out(piece.first, &size).data != piece.data:
                raise InvariantViolation(f"pieces: the one from {piece.first} on is not what the log would be cut to")
        return 0


cdef index_t find_conflict_by_term(LogEntries log, index_t index, term_t term, term_t* out) noexcept:
    cdef size_t low = 0
    cdef size_t high
    cdef size_t middle
    cdef Py_ssize_t position
    out[0] = 0
    if index == 0 or index > log._last:
        return index
    position = runs_find(&log._terms, index)
    if position < 0:
        return index
    if runs_at(&log._terms, position).value <= term:
        out[0] = runs_at(&log._terms, position).value
        return index
    high = <size_t> position            # terms rise from run to run: the last of those before with term <= `term`
    while low < high:
        middle = low + (high - low) // 2
        if runs_at(&log._terms, middle).value <= term:
            low = middle + 1
        else:
            high = middle
    if low == 0:                        # not even the snapshot: what lies before it is not known
        index = runs_at(&log._terms, 0).first
        return index - 1 if index else 0
    index = runs_at(&log._terms, low).first - 1
    if index:
        out[0] = runs_at(&log._terms, low - 1).value
    return index
