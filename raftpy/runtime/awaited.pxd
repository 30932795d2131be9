# What a task waits on until a pass of the driver has finished it, and what the lists of such objects have in common.
from libc.stdint cimport uint64_t

from raftcore.base.types cimport index_t, term_t

cdef enum AwaitedState:
    QUEUED = 0     # handed in, no pass has taken it up yet
    TAKEN = 1      # a proposal: in this node's log; a read: put to the core, or about to be
    RETURNED = 2   # value is the result
    FAILED = 3     # value is the exception to raise
    CANCELLED = 4  # value is the cancellation's message or None

cdef class Awaited:
    # One call of propose(), propose_many() or read_index(). The fields of all kinds are here, because only what is as
    # large as its base class shares its free list.
    cdef object loop               # the event loop of the node
    cdef object value              # see AwaitedState; the list being filled while a propose_many is applied
    cdef object callback           # the first callback: nearly always the wake-up of the one task that waits
    cdef object context            # the contextvars.Context to call it in
    cdef list others               # further (callback, context) pairs, or None
    cdef readonly index_t index    # index of the first command, or the read index; 0 until it is known
    cdef term_t entry_term         # proposals: the term under which they were appended, 0 until then
    cdef uint64_t count            # proposals: commands, at least 1
    cdef double timeout            # seconds to wait once it is taken up, infinite for ever
    cdef double deadline           # the reading of the clock at which the wait ends, once it is TAKEN
    cdef unsigned char state
    cdef bint many                 # a propose_many: the result is a list
    cdef public bint _asyncio_future_blocking

    cdef void finish(self, AwaitedState state, object value) noexcept
    cdef int wake(self, object done) except -1
    cdef int call(self, object callback, object context, object done) except -1
    cdef int wake_soon(self) except -1

cdef class Waits:
    # What a node's lists of its proposals and of its reads have in common.
    cdef object loop
    cdef object schedule           # called when there is something to do and no pass is running or on its way
    cdef object stopped            # None, or a function that makes the exception for whoever comes now
    cdef readonly double next_deadline  # nobody who was taken up is late before
    cdef uint64_t cancellations    # the module's count at the last sweep
    cdef list finished              # Awaited whose callbacks are still to be called
    cdef object done               # a Future of the loop with a result; see is_wakeup

    cdef void mark_taken(self, Awaited awaited, double now) noexcept
    cdef bint sweep_is_due(self, double now) noexcept
    cdef list swept(self, list waiting, double now)
    cdef str late(self, Awaited awaited)
    cdef int give_up(self, Awaited awaited, str text) except -1
    cdef int fail(self, list waiting, object error) except -1

cdef double checked_timeout(object timeout) except? -1.0
