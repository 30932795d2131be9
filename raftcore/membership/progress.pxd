# What the leader knows of one follower: the window of appends on their way to it, etcd/raft's tracker.Progress with its
# transitions, and, at the end, when a follower counts as caught up.
cimport cython
from libc.stdint cimport uint64_t

from raftcore.base.types cimport index_t, node_id_t

cpdef enum ProgressState:
    StateProbe = 0
    StateReplicate = 1
    StateSnapshot = 2


# The window of append messages that are on their way to one follower.
cdef struct Inflight:
    index_t index     # last entry in the message
    uint64_t bytes


@cython.final
cdef class Inflights:
    # A ring of at most `size` messages and about `max_bytes` bytes; oldest first, indexes never decrease.
    #   1. count <= capacity <= size;  bytes is the sum over the `count` messages from `start` on
    #   2. the message that crosses max_bytes is still let in: a message larger than the limit must be sendable
    cdef readonly int size             # limit in messages
    cdef readonly uint64_t max_bytes   # limit in bytes, 0 for none
    cdef readonly int count
    cdef readonly uint64_t bytes
    cdef int start
    cdef int capacity                  # allocated slots; grows on demand up to size
    cdef Inflight* ring

    cdef int grow(self) except -1
    cpdef int add(self, index_t index, uint64_t bytes) except -1
    cpdef void free_le(self, index_t index) noexcept
    cpdef bint is_full(self) noexcept
    cpdef void reset(self) noexcept
    cpdef Inflights clone(self)


# The method of Inflights for the core's own modules, under the same name: as a C function it is inlined there.
cdef inline bint is_full(Inflights inflights) noexcept:
    return inflights.count == inflights.size or (inflights.max_bytes != 0 and inflights.bytes >= inflights.max_bytes)


@cython.final
cdef class Progress:
    # match < next always; in StateSnapshot next == pending_snapshot + 1; awaits_entries ends when next changes
    cdef readonly node_id_t id
    cdef public index_t match
    cdef public index_t next
    cdef public index_t sent_commit          # highest commit index sent in the current state
    cdef public int state
    cdef public index_t pending_snapshot     # index of the snapshot on its way, 0 otherwise
    cdef public bint recent_active           # heard from since the last check-quorum
    cdef public bint msg_app_flow_paused     # a probe, or a full window, is waiting for an answer
    cdef public bint awaits_entries          # the storage is reading the entries from next on
    cdef public bint spare                   # nobody's commit needs it: at the last check of the quorum
    cdef public uint64_t heard_ms            # the core's now_ms at this member's last answer, 0 before the first
    cdef public bint bare_probe              # probes go without payload: it is not known where the logs agree
    cdef public int takeover_pause           # election timeouts for which nothing is handed over to it by itself
    cdef public int takeover_tries           # so often that was tried in this leadership, and it did not stand
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


# The bodies of three methods of Progress, under the same names; what they are for is said at the methods, progress.pyx.
# As C functions they are inlined into the core's own modules.
cdef inline bint is_paused(Progress pr) noexcept:
    return pr.state == StateSnapshot or pr.msg_app_flow_paused or pr.awaits_entries


cdef inline bint can_bump_commit(Progress pr, index_t index) noexcept:
    return index > pr.sent_commit and pr.sent_commit < pr.next - 1


cdef inline bint maybe_update(Progress pr, index_t n) noexcept:
    if n <= pr.match:
        return False
    pr.match = n
    if pr.next <= n:
        pr.next = n + 1
        pr.awaits_entries = False
    pr.msg_app_flow_paused = False
    return True


# When a follower counts as caught up. There are three answers, and who asks picks one:
#
#   is_replicating   the logs are known to fit up to match, so entries go out as they come (etcd/raft's StateReplicate).
#                    Says nothing of how far match is behind. Asked where entries are sent and acknowledged.
#   keeps_up         that, and match has reached the commit index: it holds all that a leader must hold (Leader
#                    Completeness, paper 5.4.3) and lacks at most what is on its way. Whom a leader may pick to hand
#                    over to (transfer.successors, options/priority.prefer).
#   holds_whole_log  match has reached the end of the leader's log. Who is told to stand for election now must
#                    (thesis 3.10, transfer.pyx): otherwise a voter that has more refuses it (paper 5.4.1), and entries
#                    that are not committed yet may be lost with the change of leaders. And who does not is sent
#                    something at its next heartbeat's answer, since an append may have been lost (replication.pyx).
#
# Each is a word about the last answer that came in. That it came in lately is recent_active; that its member may lead
# at all, no learner and no witness, is transfer.may_take_over.
cdef inline bint is_replicating(Progress pr) noexcept:
    """The leader replicates to it rather than probes it, and no snapshot is on its way (states: progress.pyx)."""
    return pr.state == StateReplicate


cdef inline bint keeps_up(Progress pr, index_t committed) noexcept:
    """It takes entries as they come and holds the log up to ``committed``, the leader's commit index."""
    return is_replicating(pr) and pr.match >= committed


cdef inline bint holds_whole_log(Progress pr, index_t last) noexcept:
    """It holds the log up to ``last``, the last index of the leader's log (thesis 3.10)."""
    return pr.match >= last
