# Several members of one cluster in one process.
from raftcore.api.outbox cimport Outbox
from raftcore.api.raw_node cimport RawNode

cdef class Seat:
    # One member, with what a driver would hold for it.
    cdef readonly RawNode node
    cdef readonly Outbox outbox
    cdef readonly list stored      # Entries as they were to be written, in order
    cdef readonly list applied     # Entries as they were to be applied, in order
    cdef bint due                  # it has been given something since it worked last

    cdef int work(self) except -1

cdef class Loopback:
    cdef dict by_id                # node id -> Seat
    cdef list ordered              # the same, by id
    cdef readonly int datagrams    # delivered so far

    cpdef int run_until_idle(self) except -1
    cdef int hand_over(self, Outbox outbox) except -1
    cdef bint deliver(self, Outbox outbox) except -1
