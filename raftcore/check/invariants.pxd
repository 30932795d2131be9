# What must hold within one node.
from raftcore.algorithm.state cimport Raft

# RAFTPY_INVARIANTS at build time: every call of a RawNode that changes something ends with check_raft.
cdef extern from *:
    """
    #ifdef RAFTPY_INVARIANTS
    #define RAFTPY_CHECK_EACH_STEP 1
    #else
    #define RAFTPY_CHECK_EACH_STEP 0
    #endif
    """
    const bint CHECK_EACH_STEP "RAFTPY_CHECK_EACH_STEP"

# each_entry: also each entry of the log, which cannot have changed where the log has not; configuration: also who is a
# member, which can only change with an entry.
cdef int check_raft(Raft r, bint each_entry=*, bint configuration=*) except -1
