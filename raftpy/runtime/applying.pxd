# Hands committed entries to the state machine, in order, a slice of time at a time.
from libc.stdint cimport uint8_t, uint64_t

from raftcore.base.types cimport index_t
from raftcore.values.block cimport BlockHeader
from raftcore.values.message cimport Entries

from raftpy.runtime.pending_proposals cimport Proposals

# Where in an Entries object something stands: a block and the position of its first entry.
cdef struct Cursor:
    const uint8_t* block
    uint64_t start          # position in the Entries of the block's first entry
    BlockHeader header

cdef class Applying:
    cdef object apply_one           # the state machine's apply
    cdef object apply_batch         # its apply_batch, or None
    cdef object configure           # called with (index, kind, data) for a configuration entry
    cdef object monotonic           # the clock, seconds
    cdef Proposals proposals
    cdef object queue               # deque of Entries not begun
    cdef Entries entries            # those under way, or None
    cdef uint64_t position          # the next of them
    cdef Cursor cursor              # the block that holds it, or the one before that when it is the first of its block
    cdef readonly index_t applied   # the last index handed to the state machine
    cdef readonly index_t known     # the state machine has the commands up to here from before
    cdef readonly bint held         # nothing is applied: a snapshot takes the place of the state
    cdef readonly uint64_t applied_bytes  # of the entries applied so far, as they are in the log
    # Slices: run() looks at the clock every `stride` entries.
    cdef double slice_seconds       # how long it may go on before it gives the loop a turn
    cdef double until               # when this slice ends
    cdef double looked              # reading of the clock at the last look
    cdef Py_ssize_t longest_stride  # what that may be at most
    cdef Py_ssize_t stride          # adapts to how long an apply takes; at least 1
    cdef Py_ssize_t unlooked        # entries since the last look, below stride between calls
    cdef bint over                  # this slice has ended

    cdef bint has_pending(self) except -1
    cpdef int begin(self, double share=*) except -1
    cdef bint next_entries(self) except -1
    cdef int look(self) except -1
    cdef void next_block(self) noexcept
    cdef uint64_t next_run(self, uint64_t limit) noexcept
    cdef uint64_t pass_over(self, uint64_t count) noexcept
    cdef int run_singles(self, uint64_t count) except -1
    cdef int run_batch(self, uint64_t count) except -1
    cdef int deliver_batch(self, list results, Py_ssize_t count) except -1
    cdef int run_others(self, uint64_t count) except -1
