# The four roles and the ways between them; role transitions happen nowhere else.
from raftcore.state cimport Raft
from raftcore.types cimport node_id_t, term_t

cdef int restart_election_timer(Raft r) except -1
cdef int start(Raft r, term_t term, node_id_t vote) except -1
cdef int become_follower(Raft r, term_t term, node_id_t lead) except -1
cdef int become_pre_candidate(Raft r) except -1
cdef int become_candidate(Raft r) except -1
cdef int become_leader(Raft r) except -1
cdef bint promotable(Raft r) except -1
