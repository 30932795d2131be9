# Majority arithmetic over plain arrays. A joint configuration needs both majorities (thesis 4.3).
from libc.stdint cimport uint64_t

from raftcore.base.types cimport index_t

cpdef enum VoteResult:
    VotePending = 1
    VoteLost = 2
    VoteWon = 3

# votes[i]: 0 nothing yet, 1 granted, 2 rejected
cdef VoteResult majority_vote(const unsigned char* votes, int count) noexcept nogil
cdef VoteResult joint_vote(VoteResult incoming, VoteResult outgoing) noexcept nogil
# The highest index that a majority of `matched` has reached. The array is reordered. NO_LIMIT when count is 0.
cdef index_t majority_committed(index_t* matched, int count) noexcept nogil
