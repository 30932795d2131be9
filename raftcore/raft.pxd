# The state machine itself: the term check, the table of handlers, the clock.
from raftcore.message cimport Entries, Message
from raftcore.state cimport Raft
from raftcore.types cimport index_t

cdef int step(Raft r, Message m) except -1
cdef int tick(Raft r) except -1
cdef index_t propose_payloads(Raft r, object payloads, int kind) except? 0
cdef int applied_to(Raft r, index_t index, Entries entries) except -1
