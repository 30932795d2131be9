# Snapshots: the follower's restore, the leader's reports (paper 7).
from raftcore.message cimport Message
from raftcore.progress cimport Progress
from raftcore.state cimport Raft

cdef int handle_snapshot(Raft r, Message m) except -1
cdef int handle_snapshot_status(Raft r, Progress pr, Message m) except -1
