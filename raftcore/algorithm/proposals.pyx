"""Appending to the leader's own log (paper 5.3), and the limit on what may lie there uncommitted."""

from libc.stdint cimport uint64_t

from raftcore.algorithm.state cimport Raft
from raftcore.base.types cimport NO_LIMIT, EntryConfChange, EntryConfChangeV2, EntryNoop, MsgAppResp, index_t
from raftcore.values.message cimport new_message

cdef tuple NO_PAYLOAD = (b"",)


cdef index_t append_payloads(Raft r, object payloads, int kind) except? 0:
    cdef index_t first
    cdef uint64_t size = 0
    if r.options.max_uncommitted_size != NO_LIMIT:
        size = size_of_all(payloads)
        if not within_limit(r, size):
            return 0
    first = r.log.append_commands(payloads, r.term, kind, r.now_ms)
    r.uncommitted_size += size
    acknowledge_own(r)
    return first


cdef uint64_t size_of_all(object payloads) except? 0:
    cdef uint64_t size = 0
    for payload in payloads:
        size += <uint64_t> len(payload)
    return size


cdef bint within_limit(Raft r, uint64_t size) noexcept:
    # Whatever its size, the first is taken; an empty payload always is (a new leader's entry, leaving a joint
    # configuration), so that a full log can still make progress.
    return r.uncommitted_size == 0 or size == 0 or r.uncommitted_size + size <= r.options.max_uncommitted_size


cdef int acknowledge_own(Raft r) except -1:
    """Counted once the entries are durable here, as a follower's acknowledgement is (thesis 10.2.1)."""
    m = new_message(MsgAppResp, r.id)
    m.index = r.log._last
    return r.send(m)


cdef index_t append_runs(Raft r, list runs) except? 0:
    cdef index_t first, next_first
    cdef uint64_t size = 0
    cdef int kind
    if r.options.max_uncommitted_size != NO_LIMIT:
        for _, payloads in runs:
            size += size_of_all(payloads)
        if not within_limit(r, size):
            return 0
        r.uncommitted_size += size
    first = r.log.last_index() + 1
    for kind, payloads in runs:
        next_first = r.log.append_commands(payloads, r.term, kind, r.now_ms)
        if kind == EntryConfChange or kind == EntryConfChangeV2:
            r.pending_conf_index = next_first
    acknowledge_own(r)
    return first


cdef index_t append_noop(Raft r) except? 0:
    return append_payloads(r, NO_PAYLOAD, EntryNoop)


cdef void reduce_uncommitted(Raft r, uint64_t size) noexcept:
    # An underestimate at worst (entries of former leaders were never counted), so it stops at 0.
    r.uncommitted_size = 0 if size > r.uncommitted_size else r.uncommitted_size - size
