# What a core asks its driver to do, in both forms: the Ready record, and storage messages with responses.
from raftcore.algorithm.state cimport Raft
from raftcore.api.take_ready cimport Reported
from raftcore.base.types cimport node_id_t
from raftcore.values.message cimport Entries, HardState, Message, Snapshot

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

# Everything in the next Ready except its messages: those depend on the form.
cdef Ready new_ready(Raft r, const Reported* reported, bint plain)
# The one Ready of a quarantined node: its role, and no work. It counts as reported.
cdef Ready quarantined_ready(Raft r, Reported* reported)

cdef bint append_response_needed(Raft r, Ready rd) except -1
cdef Message append_message(Raft r, Ready rd)
cdef Message apply_response(Raft r, Ready rd)
cdef Message apply_message(Raft r, Ready rd)
