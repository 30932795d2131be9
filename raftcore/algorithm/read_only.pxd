# Reads that wait for a quorum to confirm this leader's leadership (thesis 6.4).
from libc.stdint cimport uint64_t

from raftcore.base.types cimport index_t, node_id_t
from raftcore.membership.tracker cimport Tracker
from raftcore.values.message cimport Message

cdef class ReadOnly:
    # Requests are grouped in rounds. A round is one broadcast of heartbeats that carries the round's number; an answer
    # to round n confirms every round <= n, never a later one.
    #   requests are in round order; round_open only while the round's heartbeats have not been handed out
    cdef uint64_t round              # number of the newest round of this leadership
    cdef bint round_open             # may a further request still join that round?
    cdef list requests               # (round, read index, request), oldest first
    cdef dict acknowledged           # node id -> newest round it has answered

    cdef bint add(self, index_t index, Message request)   # True: this request opened a round, broadcast it
    cdef bint open_round(self) noexcept                   # True: a new round, whose heartbeats must go out now
    cdef void acknowledge(self, node_id_t node, uint64_t round)
    cdef uint64_t confirmed(self, Tracker tracker, node_id_t self_id) except? 0
    cdef list release(self, uint64_t round)               # the requests of rounds <= round, taken out
    cdef uint64_t _half(self, tuple voters, node_id_t self_id) except? 0
