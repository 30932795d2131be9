# What a core asks its driver to do, in both forms: the Ready record, and storage messages with responses.
from raftcore.message cimport Entries, HardState, Message, Snapshot
from raftcore.state cimport Raft
from raftcore.types cimport node_id_t

cdef class SoftState:
    cdef readonly node_id_t lead
    cdef readonly int state

cdef class Ready:
    cdef readonly SoftState soft_state
    cdef readonly HardState hard_state
    cdef readonly list read_states
    cdef readonly Entries entries
    cdef readonly Snapshot snapshot
    cdef readonly Entries committed_entries
    cdef readonly list messages
    cdef readonly bint must_sync

cdef bint append_response_needed(Raft r, Ready rd) except -1
cdef Message append_response(Raft r, Ready rd)
cdef Message append_message(Raft r, Ready rd)
cdef Message apply_response(Raft r, Ready rd)
cdef Message apply_message(Raft r, Ready rd)
