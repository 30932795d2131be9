# The configuration and every member's progress; votes of the running election.
cimport cython
from cpython.object cimport PyObject

from raftcore.base.lists cimport item_of
from raftcore.base.types cimport index_t, node_id_t
from raftcore.membership.progress cimport Progress
from raftcore.membership.quorum cimport VoteResult
from raftcore.values.message cimport ConfState


cdef enum:
    FEW = 16  # up to here a walk is cheaper than a look into a dict, which needs a Python number for its key


@cython.final
cdef class TrackerConfig:
    # Each tuple sorted ascending; voters_outgoing empty when not joint. Immutable.
    #   1. voters and learners are disjoint; a learner is in neither half of a joint configuration
    #   2. learners_next is a subset of voters_outgoing
    cdef readonly tuple voters
    cdef readonly tuple voters_outgoing
    cdef readonly tuple learners
    cdef readonly tuple learners_next
    cdef readonly bint auto_leave


@cython.final
cdef class Tracker:
    cdef readonly TrackerConfig config
    cdef readonly dict progress          # node id -> Progress
    cdef int few                         # members; their ids, if they are at most FEW
    cdef node_id_t[FEW] ids
    cdef list ordered                    # every Progress, ascending by id: the order in which they are visited
    cdef list incoming                   # Progress of config.voters, by id (a voter without progress cannot be)
    cdef list outgoing                   # Progress of config.voters_outgoing
    cdef readonly dict votes             # node id -> bool
    cdef readonly int max_inflight
    cdef readonly object max_inflight_bytes

    cpdef int install(self, TrackerConfig config, dict progress) except -1
    cpdef Progress get(self, node_id_t id)         # None when unknown
    cpdef bint is_singleton(self) noexcept
    cpdef bint is_joint(self) noexcept
    cpdef index_t committed(self) except? 0
    cpdef bint quorum_active(self) except -1
    cpdef bint quorum_active_from(self, index_t index) except -1
    cpdef tuple voter_ids(self)                    # both halves, sorted, no repeats
    cpdef void reset_votes(self) except *
    cpdef void record_vote(self, node_id_t id, bint granted) except *
    cpdef bint has_quorum(self, object ids) except -1  # would these voters be a quorum (of both halves)?
    cpdef ConfState conf_state(self)
    cpdef Tracker clone(self)


# How the election stands; granted and rejected count the members that may vote. For Python: Tracker.tally_votes.
cdef VoteResult tally_votes(Tracker tracker, int* granted, int* rejected) except *


# As Tracker.get, without a reference that the caller would own; NULL for a node that is not in the configuration.
cdef inline PyObject* borrowed_progress(Tracker tracker, node_id_t id) except? NULL:
    cdef int i
    if tracker.few > FEW:
        return <PyObject*> tracker.progress[id] if id in tracker.progress else NULL
    for i in range(tracker.few):
        if tracker.ids[i] == id:
            return item_of(<PyObject*> tracker.ordered, i)
    return NULL
