# What leaves this node, and what a leader sends: appends, heartbeats, snapshots.
from raftcore.algorithm.state cimport Raft
from raftcore.membership.progress cimport Progress
from raftcore.values.message cimport Message, Snapshot

cdef int send(Raft r, Message m) except -1
cdef bint send_append(Raft r, Progress pr, bint even_if_empty) except -1
cdef int resume_sending(Raft r) except -1
cdef bint send_this_snapshot(Raft r, Progress pr, Snapshot snapshot) except -1
cdef int broadcast_append(Raft r) except -1
cdef int broadcast_heartbeat(Raft r, bytes context) except -1
