# What a caller of propose() waits on, and the node's list of them.
from libc.stdint cimport uint64_t

from raftcore.types cimport index_t, term_t

cdef enum ProposalState:
    QUEUED = 0     # handed in, not appended to the log yet
    APPENDED = 1   # in this node's log at first .. first + count - 1, under term
    RETURNED = 2   # value is what apply returned
    FAILED = 3     # value is the exception to raise
    CANCELLED = 4  # value is the cancellation's message or None

cdef class Proposal:
    # One call of propose() or propose_many().
    cdef object loop               # the event loop of the node
    cdef object value              # see ProposalState; the list being filled while a propose_many is applied
    cdef object callback           # the first callback: nearly always the wake-up of the one task that waits
    cdef object context            # the contextvars.Context to call it in
    cdef list others               # further (callback, context) pairs, or None
    cdef readonly index_t index    # index of the first command, 0 until appended
    cdef readonly term_t term      # term under which it was appended, 0 until then
    cdef uint64_t count            # commands, at least 1
    cdef double deadline           # seconds to wait while QUEUED, then a reading of the clock; negative: for ever
    cdef unsigned char state
    cdef bint many                 # a propose_many: the result is a list
    cdef public bint _asyncio_future_blocking

    cdef void settle(self, ProposalState state, object value) noexcept
    cdef int wake(self) except -1
    cdef int call(self, object callback, object context) except -1
    cdef int wake_soon(self) except -1

cdef class Proposals:
    # Every proposal that is not settled: those queued, those just taken, those in the log, in this order from the back.
    cdef object loop
    cdef object schedule           # called when there is something to do and no pass is running or on its way
    cdef object stopped            # None, or a function that makes the exception for whoever proposes now
    cdef readonly Py_ssize_t max_command  # bytes
    cdef public bint scheduled     # a pass is running or on its way
    cdef list queued               # Proposal, QUEUED or CANCELLED
    cdef list commands             # the commands of queued, flat and in order
    cdef list taken                # Proposal, between take and appended or refused
    cdef list waiting              # Proposal, by index; settled ones stay until they are passed or swept
    cdef Py_ssize_t head           # the first of waiting that is not passed
    cdef readonly double next_deadline      # no proposal of waiting ends before
    cdef uint64_t cancellations    # the module's count when waiting was last swept
    cdef list settled              # Proposals whose callbacks are still to be called

    cdef int queue(self, Proposal proposal) except -1
    cdef list without_withdrawn(self, list commands)
    cdef Proposal expect(self, index_t index, term_t term)
    cdef int deliver(self, Proposal proposal, object value, bint failed) except -1
    cdef int deliver_run(self, Proposal proposal, list results, Py_ssize_t lo, Py_ssize_t hi) except -1
    cdef int drop_passed(self) except -1
    cdef int give_up(self, Proposal proposal, str text) except -1
