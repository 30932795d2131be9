# What a core wants done, put into an outbox; and the answers to it. What is outstanding, and that it was taken, is the
# same for both forms, and stands here.
from cpython.object cimport PyObject
from libc.stdint cimport uint64_t

from raftcore.algorithm.state cimport Raft
from raftcore.api.outbox cimport Outbox
from raftcore.base.lists cimport size_of
from raftcore.base.types cimport StateQuarantined, index_t, node_id_t, term_t
from raftcore.log.log cimport RaftLog, has_next_committed, has_next_unstable
from raftcore.log.slices cimport applying_size
from raftcore.values.message cimport Entries, Message, Snapshot

# Leader, role and hard state as they were reported to the driver last: the next Ready names what has changed since.
cdef struct Reported:
    node_id_t lead
    int state
    term_t term
    node_id_t vote
    index_t commit

# Which writes are under way, and what they say.
cdef struct Writes:
    uint64_t begun     # appends put into an outbox; also the number of the last of them
    uint64_t done      # of these: reported as written
    index_t commit     # the commit index in the last of them

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


# The driver has been given leader, role and hard state as they are now.
cdef inline void mark_reported(Raft r, Reported* reported) noexcept:
    reported.lead = r.lead
    reported.state = r.state
    reported.term = r.term
    reported.vote = r.vote
    reported.commit = r.log.committed


# The driver, in either form, has been given everything there was, entries up to the index `committed` to be applied
# included, which count for `size`; 0: there are none.
cdef inline int accept_up_to(Raft r, Reported* reported, index_t committed, uint64_t size, bint plain) except -1:
    if size_of(<PyObject*> r.read_states):
        r.read_states = []
    r.reads.round_open = False  # its heartbeats are on their way: later reads need a round of their own
    if has_next_unstable(r.log) or r.log.unstable.snapshot is not None:
        r.log.accept_unstable()
    if committed:
        r.log.accept_applying(committed, size, plain)
    mark_reported(r, reported)
    return 0


# The same, where all that is to be applied is `committed`; None: nothing.
cdef inline int accept_ready(Raft r, Reported* reported, Entries committed, bint plain) except -1:
    if committed is None:
        return accept_up_to(r, reported, 0, 0, plain)
    return accept_up_to(r, reported, committed.first + committed.count - 1, applying_size(committed), plain)


# The confirmation of a write: of the log as it is now, and of the snapshot (None: no snapshot).
cdef Message append_response(Raft r, Snapshot snapshot)

# Puts all outstanding work into `out`. Was there any?
cdef bint collect(Raft r, Reported* reported, Writes* writes, Outbox out) except -1
# The answers: these appends (any iterable of them) are written; these entries are applied.
cdef int written(Raft r, Writes* writes, object appends, Outbox out) except -1
cdef int applied(Raft r, Entries entries) except -1
