# The roles and the ways between them; role transitions happen nowhere else.
from libc.stdint cimport int64_t

from raftcore.algorithm.state cimport Raft
from raftcore.base.types cimport node_id_t, term_t

cdef int restart_election_timer(Raft r) except -1
cdef void wait_for_writes(Raft r) noexcept
cdef void write_took(Raft r, int64_t ticks) noexcept
# `conflict`: the Conflict of a node that was quarantined, or None.
cdef int start(Raft r, term_t term, node_id_t vote, object conflict) except -1
cdef int become_follower(Raft r, term_t term, node_id_t lead) except -1
cdef int become_pre_candidate(Raft r) except -1
cdef int become_candidate(Raft r) except -1
cdef int become_leader(Raft r) except -1
# For ever; `conflict` is the Conflict that says why.
cdef int become_quarantined(Raft r, object conflict) except -1
cdef bint promotable(Raft r) except -1
