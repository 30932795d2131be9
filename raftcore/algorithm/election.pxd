# Elections: standing, voting, counting (paper 5.2, 5.4.1; thesis 9.6).
from raftcore.algorithm.state cimport Raft
from raftcore.values.message cimport Message

cdef int hup(Raft r, bint transfer) except -1
cdef int handle_vote_request(Raft r, Message m) except -1
cdef int handle_vote_response(Raft r, Message m) except -1
cdef int handle_timeout_now(Raft r, Message m) except -1
cdef bint hears_leader(Raft r, Message m) except -1
cdef void vote_came_late(Raft r, Message m) noexcept
