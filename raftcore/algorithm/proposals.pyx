"""Proposals (paper 5.3): who may make one, what of it is let in, and how it comes to be in the leader's own log.

What may lie there uncommitted is limited. A configuration change is refused until the last one is applied (thesis 4).
"""

from libc.stdint cimport uint64_t

from raftcore.base.errors import ConfChangeError, DecodeError, PeerFault, ProposalDropped
from raftcore.membership.confchange import ConfChange, ConfChangeV2
from raftcore.values.message import Entry as PyEntry

from raftcore.algorithm.read_index cimport committed_in_term
from raftcore.algorithm.sending cimport broadcast_append, send
from raftcore.algorithm.state cimport Raft
from raftcore.base.types cimport (
    NO_LIMIT, EntryConfChange, EntryConfChangeV2, EntryNoop, EntryNormal, MsgAppResp, MsgProp, StateFollower,
    StateQuarantined, index_t, node_id_t,
)
from raftcore.membership.tracker cimport borrowed_progress
from raftcore.values.message cimport Entries, Message, new_message

cdef tuple NO_PAYLOAD = (b"",)


cdef index_t append_payloads(Raft r, object payloads, int kind) except? 0:
    cdef index_t first
    cdef uint64_t size = 0
    if r.options.max_uncommitted_size != NO_LIMIT:
        size = size_of_all(payloads)
        if not within_limit(r, size):
            return 0
    first = r.log.append_commands(payloads, r.term, kind, r.now_ms, r.message_size)
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
    return send(r, m)


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
        next_first = r.log.append_commands(payloads, r.term, kind, r.now_ms, r.message_size)
        if kind == EntryConfChange or kind == EntryConfChangeV2:
            r.pending_conf_index = next_first
    acknowledge_own(r)
    return first


cdef index_t append_noop(Raft r) except? 0:
    return append_payloads(r, NO_PAYLOAD, EntryNoop)


cdef void reduce_uncommitted(Raft r, uint64_t size) noexcept:
    # An underestimate at worst (entries of former leaders were never counted), so it stops at 0.
    r.uncommitted_size = 0 if size > r.uncommitted_size else r.uncommitted_size - size


cdef object decode_change(int kind, bytes payload):
    """The change as v2, whichever kind of entry carries it."""
    if kind == EntryConfChange:
        return ConfChange.decode(payload).as_v2()
    return ConfChangeV2.decode(payload)


cdef object refusal(Raft r, int kind, bytes payload):
    """Why this leader does not let the change into its log now, or None."""
    change = decode_change(kind, payload)
    cdef bint joint = r.tracker.is_joint()
    cdef bint leave = change.leave_joint()
    if r.options.disable_conf_change_validation:
        return None
    if r.pending_conf_index > r.log.applied:
        return f"possible unapplied conf change at index {r.pending_conf_index} (applied to {r.log.applied})"
    if joint and not leave:
        return "must transition out of joint config first"
    if not joint and leave:
        return "not in joint state; refusing empty conf change"
    if r.options.conf_change_after_own_commit and not committed_in_term(r):
        return f"no entry of term {r.term} is committed yet"
    return None


cdef int check_may_propose(Raft r) except -1:
    if borrowed_progress(r.tracker, r.id) == NULL:
        raise ProposalDropped("removed")
    if r.transferee != 0:
        raise ProposalDropped("transferring")
    return 0


cdef index_t propose_payloads(Raft r, object payloads, int kind) except? 0:
    """Leader: appends and sends them; the index of the first. ProposalDropped when it may not."""
    cdef index_t first
    check_may_propose(r)
    first = append_payloads(r, payloads, kind)
    if first == 0:
        raise ProposalDropped("uncommitted_limit")
    if kind == EntryConfChange or kind == EntryConfChangeV2:
        r.pending_conf_index = first
    broadcast_append(r)
    return first


cdef int check_may_forward(Raft r) except -1:
    if r.state == StateQuarantined:
        raise ProposalDropped("quarantined")
    if r.lead == 0 or r.state != StateFollower:
        raise ProposalDropped("no_leader")
    if r.options.disable_proposal_forwarding:
        raise ProposalDropped("not_leader")
    return 0


cdef int forward_payloads(Raft r, object payloads, int kind) except -1:
    """Passes this node's own proposal on, or ProposalDropped. Indexes and terms are the leader's to give: here 1, as
    the byte form allows."""
    check_may_forward(r)
    return forward(r, r.id, Entries.build([PyEntry(1, i + 1, kind, payload) for i, payload in enumerate(payloads)]))


cdef int forward_proposal(Raft r, Message m) except -1:
    """Passes another node's proposal on, or ProposalDropped."""
    check_may_forward(r)
    return forward(r, m.from_, m.entries)


cdef int forward(Raft r, node_id_t origin, Entries entries) except -1:
    m = new_message(MsgProp, r.lead)
    m.from_ = origin
    m.entries = entries
    return send(r, m)


cdef int leader_proposal(Raft r, Message m) except -1:
    """A forwarded proposal: all its entries, or none, in one append and one broadcast (as etcd/raft).

    They carry payloads and kinds; indexes and terms are this leader's to give.
    """
    cdef list runs
    if m.entries is None:
        raise ProposalDropped("empty")
    check_may_propose(r)
    runs = admitted(r, m)
    if append_runs(r, runs) == 0:
        raise ProposalDropped("uncommitted_limit")
    return broadcast_append(r)


cdef list admitted(Raft r, Message m):
    """(kind, payloads) of each run of normal entries and each configuration change; a no-op for a refused change."""
    cdef list runs = []
    cdef list payloads = m.entries.commands()
    cdef Py_ssize_t at = 0
    cdef Py_ssize_t count
    cdef int kind
    cdef bint taken = False  # a change before it in this message is as pending as one in the log
    for _, count, _, kind, _ in m.entries.runs():
        if kind == EntryNoop:
            raise ProposalDropped("empty")
        if kind == EntryNormal:
            runs.append((kind, payloads[at:at + count]))
        else:
            for payload in payloads[at:at + count]:
                check_change(m, kind, payload)
                if refusal(r, kind, payload) is None and (not taken or r.options.disable_conf_change_validation):
                    runs.append((kind, (payload,)))
                    taken = True
                else:
                    runs.append((EntryNoop, (b"",)))
        at += count
    return runs


cdef int check_change(Message m, int kind, bytes payload) except -1:
    try:
        decode_change(kind, payload)
    except (DecodeError, ConfChangeError) as error:
        raise PeerFault(f"node {m.from_} proposes a configuration change that is none: {error}") from error
    return 0
