# Snapshots: the follower's restore, the leader's reports (paper 7).
from raftcore.algorithm.state cimport Raft
from raftcore.membership.progress cimport Progress
from raftcore.values.message cimport Message

cdef bint needs_snapshot(Raft r, Message m) except -1
cdef int handle_snapshot(Raft r, Message m) except -1
cdef int handle_snapshot_status(Raft r, Progress pr, Message m) except -1
