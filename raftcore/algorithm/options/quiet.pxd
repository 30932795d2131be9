# A quiet leader's longer pause between two heartbeats.
from libc.stdint cimport uint64_t

from raftcore.algorithm.state cimport Raft

cdef void restart(Raft r) noexcept
cdef int heartbeat_sent(Raft r, uint64_t round_before) except -1
cdef bint looks_early(Raft r) noexcept
