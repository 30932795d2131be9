"""Linearizable reads that leave no entry in the log (thesis 6.4).

The leader notes its commit index, lets a quorum confirm that it still leads, and answers with that index; whoever
asked serves the read once it has applied as far. Confirmation rides on heartbeats: each carries the number of the
newest round of reads, each answer echoes it (ReadOnly, state.pxd).
"""

from libc.stdint cimport uint64_t
from libc.stdlib cimport free, malloc

from raftcore.algorithm.options cimport lease
from raftcore.algorithm.sending cimport broadcast_heartbeat, send
from raftcore.algorithm.state cimport Raft, ReadOnly
from raftcore.base.types cimport MsgReadIndex, MsgReadIndexResp, index_t, node_id_t
from raftcore.membership.quorum cimport majority_committed
from raftcore.membership.tracker cimport Tracker
from raftcore.values.message cimport Message, new_message


# --- Rounds of reads ------------------------------------------------------------------------------------------------


cdef bint add(ReadOnly reads, index_t index, Message request):
    """True: this request opened a round, broadcast it."""
    opened = open_round(reads)
    reads.requests.append((reads.round, index, request))
    return opened


cdef bint open_round(ReadOnly reads) noexcept:
    """True: a new round, whose heartbeats must go out now."""
    if reads.round_open:
        return False
    reads.round += 1
    reads.round_open = True
    return True


cdef void acknowledge(ReadOnly reads, node_id_t node, uint64_t round):
    # A round that this leadership has not begun: its number is from an earlier incarnation, or forged.
    if round <= reads.round and reads.acknowledged.get(node, 0) < round:
        reads.acknowledged[node] = round


cdef uint64_t newest_confirmed(ReadOnly reads, Tracker tracker, node_id_t self_id) except? 0:
    """The newest round that a quorum (of both halves of a joint configuration) has answered."""
    incoming = confirmed_by(reads, tracker.config.voters, self_id)
    outgoing = confirmed_by(reads, tracker.config.voters_outgoing, self_id)
    return min(incoming, outgoing)


cdef uint64_t confirmed_by(ReadOnly reads, tuple voters, node_id_t self_id) except? 0:
    cdef int count = <int> len(voters)
    cdef int i = 0
    cdef index_t* rounds = <index_t*> malloc((count + 1) * sizeof(index_t))
    if rounds == NULL:
        raise MemoryError()
    try:
        for voter in voters:
            rounds[i] = reads.round if <node_id_t> voter == self_id else <uint64_t> reads.acknowledged.get(voter, 0)
            i += 1
        return majority_committed(rounds, count)
    finally:
        free(rounds)


cdef list release(ReadOnly reads, uint64_t round):
    """The requests of rounds <= round, taken out."""
    cdef Py_ssize_t taken = 0
    for entry in reads.requests:
        if <uint64_t> entry[0] > round:
            break
        taken += 1
    released = reads.requests[:taken]
    del reads.requests[:taken]
    return released


# --- Their number in a heartbeat ------------------------------------------------------------------------------------


cdef bytes round_bytes(uint64_t round):
    cdef unsigned char[8] raw
    cdef int i
    for i in range(8):
        raw[i] = (round >> (8 * i)) & 0xFF
    return (<char*> raw)[:8]


cdef uint64_t round_number(bytes context) noexcept:
    """The round in a heartbeat's context; 0, which confirms nothing, when there is none."""
    cdef uint64_t round = 0
    cdef int i
    cdef const unsigned char* raw
    if context is None or len(context) != 8:
        return 0
    raw = context
    for i in range(8):
        round |= <uint64_t> raw[i] << (8 * i)
    return round


cdef bytes newest_round(Raft r):
    """Context of a periodic heartbeat: the newest round that still has someone waiting, or None.

    With a lease each heartbeat is a round of its own: its confirmation prolongs the lease.
    """
    if r.options.lease_ms != 0:
        open_round(r.reads)
        lease.round_sent(r)
    elif not r.reads.requests:
        return None
    return round_bytes(r.reads.round)


# --- On the leader ---------------------------------------------------------------------------------------------------


cdef bint committed_in_term(Raft r) noexcept:
    """Has this leader committed an entry of its own term? Until then its commit index may lie behind the cluster's."""
    return r.log.term_or_zero(r.log.committed) == r.term


cdef int leader_read(Raft r, Message m) except -1:
    if not committed_in_term(r):
        r.postponed_reads.append(m)
        return 0
    return begin(r, m)


cdef int begin(Raft r, Message m) except -1:
    if r.tracker.is_singleton() and r.tracker.voter_ids()[0] == r.id:
        # The only voter is a quorum by itself; a leader that was removed is not, even if one voter is left.
        return answer(r, m, r.log.committed)
    # Only a local request brings the time along: when one from another node is stepped, now_ms may be out of date.
    if m.from_ == r.id and lease.holds(r):
        return answer(r, m, r.log.committed)
    if add(r.reads, r.log.committed, m):
        lease.round_sent(r)
        broadcast_heartbeat(r, round_bytes(r.reads.round))
    return 0


cdef int release_postponed(Raft r) except -1:
    """The first commit of this term has happened: the reads that waited for it may begin."""
    if not r.postponed_reads or not committed_in_term(r):
        return 0
    waiting = r.postponed_reads
    r.postponed_reads = []
    for m in waiting:
        begin(r, m)
    return 0


cdef int acknowledge_round(Raft r, Message m) except -1:
    """A member answered a heartbeat of this term: whatever rounds a quorum has now answered are confirmed."""
    cdef uint64_t round = round_number(m.context)
    cdef uint64_t confirmed
    if round == 0 or (r.options.lease_ms == 0 and not r.reads.requests):
        return 0
    acknowledge(r.reads, m.from_, round)
    confirmed = newest_confirmed(r.reads, r.tracker, r.id)
    lease.round_confirmed(r, confirmed)
    for _, index, request in release(r.reads, confirmed):
        answer(r, request, index)
    return 0


cdef int answer(Raft r, Message request, index_t index) except -1:
    if request.from_ == 0 or request.from_ == r.id:
        r.read_states.append((index, request.context))
        return 0
    m = new_message(MsgReadIndexResp, request.from_)
    m.index = index
    m.context = request.context
    send(r, m)
    return 0


# --- On the others ---------------------------------------------------------------------------------------------------


cdef int follower_read(Raft r, Message m) except -1:
    """Passes the request on to the leader; without one it is dropped, and the caller asks again."""
    if r.lead == 0:
        return 0
    forwarded = new_message(MsgReadIndex, r.lead)
    forwarded.from_ = m.from_
    forwarded.context = m.context
    send(r, forwarded)
    return 0


cdef int follower_read_response(Raft r, Message m) except -1:
    if m.context is not None:
        r.read_states.append((m.index, m.context))
    return 0
