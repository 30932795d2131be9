# What a caller of propose() waits on, and the node's list of them.
from libc.stdint cimport uint64_t

from raftcore.base.types cimport index_t, term_t

from raftpy.runtime.awaited cimport Awaited, Waits

cdef class Proposal(Awaited):
    # One call of propose() or propose_many().
    pass

cdef class Proposals(Waits):
    # Every proposal without an outcome: those queued, those just taken, those in the log, in this order from the back.
    cdef readonly Py_ssize_t max_command  # bytes
    cdef public bint scheduled     # a pass that looks at them is running or on its way
    cdef list queued               # Proposal, QUEUED or CANCELLED
    cdef list commands             # the commands of queued, flat and in order
    cdef list taken                # Proposal, between take and appended or refused
    cdef list waiting              # Proposal, by index; None where passed, cancelled ones until passed or swept
    cdef Py_ssize_t head           # the first of waiting that is not passed

    cpdef Proposal propose(self, object command, object timeout=*)
    cpdef Proposal propose_many(self, object commands, object timeout=*)
    cpdef int expire(self, double now) except -1
    cdef int queue(self, Proposal proposal) except -1
    cdef list without_withdrawn(self, list commands)
    cdef Proposal expect(self, index_t index, term_t term)
    cdef int deliver(self, Proposal proposal, object value, bint failed) except -1
    cdef int deliver_run(self, Proposal proposal, list results, Py_ssize_t lo, Py_ssize_t hi) except -1
    cdef int drop_passed(self) except -1
