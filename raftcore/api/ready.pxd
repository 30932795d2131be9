# What a core asks its driver to do, in both forms: the Ready record, and storage messages with responses.
from cpython.object cimport PyObject

from raftcore.algorithm.state cimport Raft
from raftcore.base.lists cimport size_of
from raftcore.base.types cimport StateQuarantined, index_t, node_id_t, term_t
from raftcore.log.log cimport RaftLog, has_next_committed, has_next_unstable
from raftcore.log.slices cimport applying_size
from raftcore.values.message cimport Entries, HardState, Message, Snapshot

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
cdef inline bint anything_new(Raft r, const Told* told, bint plain) noexcept:
    cdef RaftLog log = r.log
    if r.state == StateQuarantined:
        return r.lead != told.lead or r.state != told.state  # that it is; it has no other work for anybody
    return (
        r.messages.count or r.after_append.count or size_of(<PyObject*> r.read_states)
        or r.lead != told.lead or r.state != told.state
        or r.term != told.term or r.vote != told.vote or log.committed != told.commit
        or has_next_unstable(log) or has_next_committed(log, plain)
        or (log.unstable.snapshot is not None and not log.unstable.snapshot_in_progress)
    )


# All of it but the messages, which the form decides.
cdef Ready new_ready(Raft r, const Told* told, bint plain)
# The same of a quarantined node, and remembered.
cdef Ready quarantined_ready(Raft r, Told* told)

# What `told` stands for is what the driver knows by now.
cdef inline void remember(Raft r, Told* told) noexcept:
    told.lead = r.lead
    told.state = r.state
    told.term = r.term
    told.vote = r.vote
    told.commit = r.log.committed


# The driver has everything that stood out, `committed` included (None: nothing to apply), in either form.
cdef inline int accept(Raft r, Told* told, Entries committed, bint plain) except -1:
    if size_of(<PyObject*> r.read_states):
        r.read_states = []
    r.reads.round_open = False  # its heartbeats are on their way: later reads need a round of their own
    if has_next_unstable(r.log) or r.log.unstable.snapshot is not None:
        r.log.accept_unstable()
    if committed is not None:
        r.log.accept_applying(committed.first + committed.count - 1, applying_size(committed), plain)
    remember(r, told)
    return 0


cdef bint append_response_needed(Raft r, Ready rd) except -1
# The confirmation of a write: of the log as it is now, and of the snapshot (None: no snapshot).
cdef Message append_response(Raft r, Snapshot snapshot)
cdef Message append_message(Raft r, Ready rd)
cdef Message apply_response(Raft r, Ready rd)
cdef Message apply_message(Raft r, Ready rd)
