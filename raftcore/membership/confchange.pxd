# Configuration changes, single and joint (thesis 4.1 to 4.3), in etcd/raft's terms.
from raftcore.base.types cimport index_t
from raftcore.membership.tracker cimport Tracker
from raftcore.values.message cimport ConfState

# Each returns (TrackerConfig, dict of Progress), new objects that Tracker.install takes; ConfChangeError when not
# possible, in which case nothing has changed. `changes` is a sequence of ConfChange (type, node id).
cpdef tuple simple(Tracker tracker, index_t last_index, object changes)
cpdef tuple enter_joint(Tracker tracker, index_t last_index, bint auto_leave, object changes)
cpdef tuple leave_joint(Tracker tracker, index_t last_index)
# Brings an empty tracker to the configuration cs.
cpdef tuple restore(Tracker tracker, index_t last_index, ConfState cs)
