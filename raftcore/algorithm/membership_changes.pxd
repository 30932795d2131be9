# Configuration changes in the log: applying, restoring, leaving a joint one (thesis 4).
from raftcore.algorithm.state cimport Raft
from raftcore.base.types cimport index_t
from raftcore.values.message cimport ConfState

cdef ConfState apply_change(Raft r, object change, index_t index)
cdef ConfState restore_configuration(Raft r, ConfState cs, index_t index)
cdef int leave_joint_when_due(Raft r) except -1
