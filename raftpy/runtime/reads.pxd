# What a caller of read_index() waits on, and the node's questions to the core for them.
from libc.stdint cimport uint64_t

from raftcore.base.types cimport index_t

from raftpy.runtime.awaited cimport Awaited, Waits

cdef class Read(Awaited):
    # One call of read_index().
    pass

cdef class Question:
    # One question to the core, for all reads that were queued when it was put.
    cdef double asked_at           # reading of the clock
    cdef index_t index             # the answer; 0 until it is there
    cdef list reads                # Read; finished ones stay until they are swept
    cdef bint again                # the same reads were asked for again

cdef class Reads(Waits):
    # Every read without an outcome: those queued, those asked for, those that are confirmed.
    cdef double retry_s            # seconds after which a question is put again
    cdef bytes boot                # of this start, 8 bytes; it begins every context
    cdef uint64_t number           # of the last question: its context
    cdef public bint wanted        # queued reads are to be asked for in the running pass, or in one on its way
    cdef list queued               # Read
    cdef dict asked                # context -> Question, oldest first
    cdef list confirmed            # Question, by index, ascending

    cpdef Read request(self, object timeout=*)
    cdef bint any_waiting(self) noexcept
    cpdef bytes begin(self, double now)
    cpdef int take_back(self, bytes context) except -1
    cpdef int answered(self, index_t index, bytes context) except -1
    cpdef int release(self, index_t applied) except -1
    cpdef int tick(self, double now) except -1
    cdef int sweep(self, double now) except -1
    cdef int requeue(self, double until) except -1
