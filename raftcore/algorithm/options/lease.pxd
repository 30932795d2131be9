# The leader's lease: reads without a round trip, as long as nobody else can have been elected (thesis 6.4.1).
from libc.stdint cimport uint64_t

from raftcore.algorithm.state cimport Raft

cdef int round_sent(Raft r) except -1
cdef int round_confirmed(Raft r, uint64_t round) except -1
cdef bint holds(Raft r) noexcept
cdef void restart(Raft r) noexcept
cdef void give_up(Raft r) noexcept
cdef void new_term(Raft r) noexcept
