"""Majority arithmetic: who has won an election, and up to where a majority has the log.

A joint configuration needs both majorities at once (thesis 4.3): it has lost what either half has lost, and has
committed what both halves have. A half without members decides nothing, so a plain configuration is a joint one whose
second half is empty.

The C functions take arrays of whatever length the caller has; the two Python functions are for tests, tables and
curious users.
"""

from libc.stdint cimport uint64_t
from libc.stdlib cimport free, malloc, qsort

from raftcore.base.types cimport NO_LIMIT, index_t

# Up to here insertion sort is faster than a call of qsort; clusters are smaller than this.
cdef enum:
    SMALL = 16


cdef VoteResult majority_vote(const unsigned char* votes, int count) noexcept nogil:
    cdef int granted = 0, rejected = 0, quorum = count // 2 + 1, i
    if count == 0:
        return VoteWon
    for i in range(count):
        granted += votes[i] == 1
        rejected += votes[i] == 2
    if granted >= quorum:
        return VoteWon
    if count - rejected >= quorum:
        return VotePending
    return VoteLost


cdef VoteResult joint_vote(VoteResult incoming, VoteResult outgoing) noexcept nogil:
    if incoming == outgoing:
        return incoming
    if incoming == VoteLost or outgoing == VoteLost:
        return VoteLost
    return VotePending


cdef int compare_indexes(const void* left, const void* right) noexcept nogil:
    cdef index_t a = (<const index_t*> left)[0], b = (<const index_t*> right)[0]
    return (a > b) - (a < b)


cdef void sort_indexes(index_t* values, int count) noexcept nogil:
    cdef int i, j
    cdef index_t value
    if count > SMALL:
        qsort(values, count, sizeof(index_t), compare_indexes)
        return
    for i in range(1, count):
        value = values[i]
        j = i
        while j > 0 and values[j - 1] > value:
            values[j] = values[j - 1]
            j -= 1
        values[j] = value


cdef index_t majority_committed(index_t* matched, int count) noexcept nogil:
    if count == 0:
        return NO_LIMIT
    # Ascending, the members from position count - quorum on are a majority, and the first of them has the least.
    sort_indexes(matched, count)
    return matched[count - (count // 2 + 1)]


cdef VoteResult half_vote(list votes) except *:
    cdef int count = len(votes), i
    cdef unsigned char* coded = <unsigned char*> malloc(max(count, 1))
    if coded == NULL:
        raise MemoryError
    try:
        for i in range(count):
            vote = votes[i]
            coded[i] = 0 if vote is None else 1 if vote else 2
        return majority_vote(coded, count)
    finally:
        free(coded)


cdef uint64_t half_committed(list matched) except? 0:
    cdef int count = len(matched), i
    cdef index_t* values = <index_t*> malloc(max(count, 1) * sizeof(index_t))
    if values == NULL:
        raise MemoryError
    try:
        for i in range(count):
            values[i] = matched[i]
        return majority_committed(values, count)
    finally:
        free(values)


def vote_result(incoming, outgoing=()):
    """How an election stands. Each argument holds the votes of one half's members: True granted, False rejected,
    None not in yet. An empty half counts as won."""
    return VoteResult(joint_vote(half_vote(list(incoming)), half_vote(list(outgoing))))


def committed_index(incoming, outgoing=()):
    """The highest index that a majority of each half has; each argument holds the match indexes of one half's members
    (0 where nothing is known). UNLIMITED when both halves are empty."""
    return min(half_committed(list(incoming)), half_committed(list(outgoing)))
