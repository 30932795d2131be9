# Leadership transfer (thesis 3.10).
from raftcore.algorithm.state cimport Raft
from raftcore.membership.progress cimport Progress
from raftcore.values.message cimport Message

# May this member lead? Neither a learner nor a witness may.
cdef bint may_take_over(Raft r, Progress pr) except -1
cdef list successors(Raft r)
cdef int leader_transfer(Raft r, Message m) except -1
cdef int continue_transfer(Raft r, Progress pr) except -1
cdef int forward_transfer(Raft r, Message m) except -1
