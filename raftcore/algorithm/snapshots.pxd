# Snapshots: the follower's restore, the leader's reports (paper 7).
from raftcore.algorithm.state cimport Raft
from raftcore.base.types cimport node_id_t
from raftcore.membership.progress cimport Progress
from raftcore.values.message cimport Message, Snapshot

cdef bint needs_snapshot(Raft r, Message m) except -1
cdef int handle_snapshot(Raft r, Message m) except -1
cdef bint offer_snapshot(Raft r, node_id_t id, Snapshot s) except -1
cdef bint state_restored(Raft r, Snapshot s) except -1
cdef int handle_snapshot_status(Raft r, Progress pr, Message m) except -1
