# Leadership transfer (thesis 3.10).
from raftcore.message cimport Message
from raftcore.progress cimport Progress
from raftcore.state cimport Raft

cdef int leader_transfer(Raft r, Message m) except -1
cdef int continue_transfer(Raft r, Progress pr) except -1
cdef int forward_transfer(Raft r, Message m) except -1
