# Proposals, and appending them to the leader's own log.
from libc.stdint cimport uint64_t

from raftcore.algorithm.state cimport Raft
from raftcore.base.types cimport index_t
from raftcore.values.message cimport Message

# Appends payloads of one kind; the index of the first, or 0 when the limit on uncommitted bytes refuses them.
cdef index_t append_payloads(Raft r, object payloads, int kind) except? 0
# The same for runs of several kinds, each (kind, payloads): all of them, or none.
cdef index_t append_runs(Raft r, list runs) except? 0
cdef index_t append_noop(Raft r) except? 0
cdef void reduce_uncommitted(Raft r, uint64_t size) noexcept

# Leader: appends and sends them; the index of the first. ProposalDropped when it may not.
cdef index_t propose_payloads(Raft r, object payloads, int kind) except? 0
# Not the leader: passes on this node's own proposal, or another's, or ProposalDropped.
cdef int forward_payloads(Raft r, object payloads, int kind) except -1
cdef int forward_proposal(Raft r, Message m) except -1
# A forwarded proposal, at the leader.
cdef int leader_proposal(Raft r, Message m) except -1
# Why this leader does not let a configuration change into its log now, or None. DecodeError or ConfChangeError when the
# payload is no change.
cdef object refusal(Raft r, int kind, bytes payload)
