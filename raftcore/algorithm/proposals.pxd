# Appending to the leader's own log.
from libc.stdint cimport uint64_t

from raftcore.algorithm.state cimport Raft
from raftcore.base.types cimport index_t

# Appends payloads of one kind; the index of the first, or 0 when the limit on uncommitted bytes refuses them.
cdef index_t append_payloads(Raft r, object payloads, int kind) except? 0
# The same for runs of several kinds, each (kind, payloads): all of them, or none.
cdef index_t append_runs(Raft r, list runs) except? 0
cdef index_t append_noop(Raft r) except? 0
cdef void reduce_uncommitted(Raft r, uint64_t size) noexcept
