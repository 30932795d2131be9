# What a core asks its driver to do, in both forms: the Ready record, and storage messages with responses.
from cpython.object cimport PyObject

from raftcore.algorithm.state cimport Raft
from raftcore.base.lists cimport size_of
from raftcore.base.types cimport StateQuarantined, index_t, node_id_t, term_t
from raftcore.log.log cimport RaftLog, has_next_committed, has_next_unstable
from raftcore.log.slices cimport applying_size
from raftcore.values.message cimport Entries, HardState, Message, Snapshot

# Leader, role and hard state as they were reported to the driver last: the next Ready names what has changed since.
cdef struct Reported:
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
cdef inline bint has_ready(Raft r, const Reported* reported, bint plain) noexcept:
    cdef RaftLog log = r.log
    if r.state == StateQuarantined:
        # The quarantine itself is reported once; after that there is no work for anybody.
        return r.lead != reported.lead or r.state != reported.state
    return (
        r.messages.count or r.after_append.count or size_of(<PyObject*> r.read_states)
        or r.lead != reported.lead or r.state != reported.state
        or r.term != reported.term or r.vote != reported.vote or log.committed != reported.commit
        or has_next_unstable(log) or has_next_committed(log, plain)
        or (log.unstable.snapshot is not None and not log.unstable.snapshot_in_progress)
    )


# Everything in the next Ready except its messages: those depend on the form.
cdef Ready new_ready(Raft r, const Reported* reported, bint plain)
# The one Ready of a quarantined node: its role, and no work. It counts as reported.
cdef Ready quarantined_ready(Raft r, Reported* reported)

# The driver has been given leader, role and hard state as they are now.
cdef inline void mark_reported(Raft r, Reported* reported) noexcept:
    reported.lead = r.lead
    reported.state = r.state
    reported.term = r.term
    reported.vote = r.vote
    reported.commit = r.log.committed


# The driver, in either form, has been given everything there was, `committed` to be applied (None: nothing) included.
cdef inline int accept_ready(Raft r, Reported* reported, Entries committed, bint plain) except -1:
    if size_of(<PyObject*> r.read_states):
        r.read_states = []
    r.reads.round_open = False  # its heartbeats are on their way: later reads need a round of their own
    if has_next_unstable(r.log) or r.log.unstable.snapshot is not None:
        r.log.accept_unstable()
    if committed is not None:
        r.log.accept_applying(committed.first + committed.count - 1, applying_size(committed), plain)
    mark_reported(r, reported)
    return 0


cdef bint append_response_needed(Raft r, Ready rd) except -1
# The confirmation of a write: of the log as it is now, and of the snapshot (None: no snapshot).
cdef Message append_response(Raft r, Snapshot snapshot)
cdef Message append_message(Raft r, Ready rd)
cdef Message apply_response(Raft r, Ready rd)
cdef Message apply_message(Raft r, Ready rd)
