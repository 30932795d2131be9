# Log replication: the follower's side of appends and heartbeats, the leader's side of their answers (paper 5.3).
from raftcore.algorithm.state cimport Raft
from raftcore.membership.progress cimport Progress
from raftcore.values.message cimport Message

cdef int handle_append(Raft r, Message m) except -1
cdef int handle_heartbeat(Raft r, Message m) except -1
cdef int handle_append_response(Raft r, Progress pr, Message m) except -1
cdef int handle_heartbeat_response(Raft r, Progress pr, Message m) except -1
cdef int handle_unreachable(Raft r, Progress pr, Message m) except -1
cdef int handle_check_quorum(Raft r, Message m) except -1
cdef bint advance_commit(Raft r) except -1
