# Finding the last agreement of two logs in few round trips, however many terms they differ in.
from raftcore.base.types cimport index_t
from raftcore.log.log cimport RaftLog

cdef bytes runs_below(RaftLog log, index_t index, int limit)
cdef index_t last_agreement(RaftLog log, bytes runs, index_t hint) except? 0
