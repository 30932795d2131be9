# What a core asks its driver to do, in both forms: the Ready record, and storage messages with responses.
from raftcore.message cimport Entries, HardState, Message, Snapshot
from raftcore.state cimport Raft
from raftcore.types cimport index_t, node_id_t, term_t

# What the driver was told last, so that it hears only what has changed since.
cdef struct Told:
    node_id_t lead
    int state
    term_t term
    node_id_t vote
    index_t commit

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

# Is there anything in the next Ready? `plain`: in the plain form.
cdef bint anything_new(Raft r, const Told* told, bint plain) except -1
# All of it but the messages, which the form decides.
cdef Ready new_ready(Raft r, const Told* told, bint plain)
cdef void remember(Raft r, Told* told) noexcept
cdef bint append_response_needed(Raft r, Ready rd) except -1
# The confirmation of a write: of the log as it is now, and of the snapshot (None: no snapshot).
cdef Message append_response(Raft r, Snapshot snapshot)
cdef Message append_message(Raft r, Ready rd)
cdef Message apply_response(Raft r, Ready rd)
cdef Message apply_message(Raft r, Ready rd)
