# The state machine itself: the term check, the table of handlers, the clock.
from cpython.object cimport PyObject
from libc.stdint cimport uint32_t, uint64_t

from raftcore.algorithm.state cimport Raft
from raftcore.base.types cimport index_t
from raftcore.values.message cimport Entries, Message

cdef int step(Raft r, Message m) except -1
# The same when the sender's progress has been looked up (borrowed); NULL: it has not.
cdef int step_from(Raft r, Message m, PyObject* sender) except -1
cdef int tick(Raft r, uint32_t count) except -1
# Ticks until one may do more than count, that one included; LONGEST_WAIT when none will as things are.
cdef uint64_t ticks_until_due(Raft r) except 0
# The same, but `most` where it is more: at least 1, at most LONGEST_WAIT.
cdef uint64_t due_within(Raft r, uint64_t most) except 0
# As RawNode.report_no_leader: the shortest election timeout has passed, but for the tick an election may come with.
cdef int nobody_can_lead(Raft r) except -1
cdef int applied_to(Raft r, index_t index, Entries entries) except -1
