# What the leader knows of one follower: etcd/raft's tracker.Progress, with its transitions.
cimport cython
from libc.stdint cimport uint64_t

from raftcore.base.types cimport index_t, node_id_t
from raftcore.membership.inflights cimport Inflights

cpdef enum ProgressState:
    StateProbe = 0
    StateReplicate = 1
    StateSnapshot = 2


@cython.final
cdef class Progress:
    # match < next always; in StateSnapshot next == pending_snapshot + 1
    cdef readonly node_id_t id
    cdef public index_t match
    cdef public index_t next
    cdef public index_t sent_commit          # highest commit index sent in the current state
    cdef public int state
    cdef public index_t pending_snapshot     # index of the snapshot on its way, 0 otherwise
    cdef public bint recent_active           # heard from since the last check-quorum
    cdef public bint msg_app_flow_paused     # a probe, or a full window, is waiting for an answer
    cdef public uint64_t heard_ms            # the core's now_ms at this member's last answer, 0 before the first
    cdef public bint bare_probe              # probes go without payload: it is not known where the logs agree
    cdef public bint is_learner
    cdef public index_t conf_index           # configuration entry that made this progress
    cdef readonly Inflights inflights

    cpdef void reset(self, index_t match, index_t next) noexcept
    cpdef void reset_state(self, int state) noexcept
    cpdef void become_probe(self) noexcept
    cpdef void become_replicate(self) noexcept
    cpdef void become_snapshot(self, index_t snapshot_index) noexcept
    cpdef int sent_entries(self, uint64_t entries, uint64_t bytes) except -1
    cpdef bint can_bump_commit(self, index_t index) noexcept
    cpdef void sent_commit_to(self, index_t commit) noexcept
    cpdef bint maybe_update(self, index_t n) noexcept
    cpdef bint maybe_decr_to(self, index_t rejected, index_t match_hint) noexcept
    cpdef bint is_paused(self) noexcept
    cpdef Progress clone(self)


# Methods of Progress for the core's own modules, under the same names: as C functions they are inlined there.
cdef inline bint is_paused(Progress pr) noexcept:
    return pr.state == StateSnapshot or pr.msg_app_flow_paused


cdef inline bint can_bump_commit(Progress pr, index_t index) noexcept:
    return index > pr.sent_commit and pr.sent_commit < pr.next - 1


cdef inline bint maybe_update(Progress pr, index_t n) noexcept:
    if n <= pr.match:
        return False
    pr.match = n
    pr.next = max(pr.next, n + 1)
    pr.msg_app_flow_paused = False
    return True
