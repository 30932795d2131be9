"""Finding the last agreement of two logs in few round trips, however many terms they differ in.

A rejection's hint (index, term) moves the leader back by one of its terms at best: where the logs differ in 10,000
interleaved terms that is 10,000 round trips. With this option (beyond etcd/raft) the rejection also lists the
follower's runs of terms from the hint down, each as (last index, term), and the index below the oldest one listed. The
leader looks for the newest entry that both have with the same term: by log matching (paper 5.3) they agree up to there.

    index      1 2 3 4 5 6 7 8 9
    leader     1 1 3 3 5 5 7 7 7
    follower   1 1 2 2 4 4 6 6        lists (8, 6) (6, 4) (4, 2) (2, 1) and 0: they agree at 2

The list is a hint like any other: the next append still has to match.
"""

from raftcore.base.bytes cimport load64, store64
from raftcore.base.types cimport index_t, term_t
from raftcore.log.log cimport RaftLog
from raftcore.log.log_entries cimport find_conflict_by_term, term_at
from raftcore.wire.frame cimport RUN_SIZE


cdef bytes runs_below(RaftLog log, index_t index, int limit):
    """Up to limit runs of this log from index down, newest first, then the index below them (all little endian)."""
    cdef bytearray out = bytearray()
    cdef unsigned char[RUN_SIZE] raw
    cdef term_t term = 0
    cdef term_t below = 0
    cdef int count = 0
    # Up to the commit index the logs agree anyway.
    while count < limit and index > log.committed and term_at(log, index, &term):
        store64(raw, index)
        store64(raw + 8, term)
        out += (<char*> raw)[:RUN_SIZE]
        index = find_conflict_by_term(log, index, term - 1, &below)
        count += 1
    store64(raw, index)
    out += (<char*> raw)[:8]
    return bytes(out)


cdef index_t last_agreement(RaftLog log, bytes runs, index_t hint) except? 0:
    """The newest index at which this log and the listed runs have the same term; the bottom of the list if none."""
    cdef Py_ssize_t size = len(runs)
    cdef const unsigned char* raw = runs
    cdef Py_ssize_t at = 0
    cdef index_t last, below, index
    cdef term_t term
    cdef term_t own = 0
    if size % RUN_SIZE != 8:
        return hint  # not such a list
    while at + RUN_SIZE < size:
        last = load64(raw + at)
        term = load64(raw + at + 8)
        below = load64(raw + at + RUN_SIZE)
        if below >= last or last > hint or term == 0:
            return hint
        if last <= log.last_index():
            # Our newest entry at or below the run's end with a term that is not above the run's
            index = find_conflict_by_term(log, last, term, &own)
        else:
            index = find_conflict_by_term(log, log.last_index(), term, &own)
        if own == term and index > below:
            return index
        at += RUN_SIZE
    return min(hint, <index_t> load64(raw + at))
