"""What no correct peer sends: refused with PeerFault before anything changes.

etcd/raft panics in most of these places. A damaged or hostile peer must not be able to stop this node, so here the
message is refused as a whole, and counted by whoever stepped it. One kind has a consequence when it is repeated: a
leader's contradiction of what is committed here (:mod:`raftcore.algorithm.quarantine`).
"""

from raftcore.base.errors import ConfChangeError, PeerFault

from libc.stdint cimport UINT64_MAX

from raftcore.algorithm.quarantine cimport contradicted
from raftcore.algorithm.state cimport Raft
from raftcore.base.types cimport (
    FORWARDABLE_TYPES,
    NO_LIMIT,
    TERM_OPTIONAL_TYPES,
    TERMLESS_TYPES,
    MsgApp,
    MsgAppResp,
    MsgHeartbeat,
    MsgReadIndex,
    MsgSnap,
    StateLeader,
    StateQuarantined,
    index_t,
    is_one_of,
    node_id_t,
    term_t,
)
from raftcore.log.log_entries cimport match_term
from raftcore.log.term_runs cimport runs_at, runs_last
from raftcore.membership cimport confchange
from raftcore.values.message cimport Entries, Message, Snapshot

# A log that begins behind this would soon reach indexes that no message can carry.
cdef index_t LAST_SNAPSHOT = UINT64_MAX >> 2


cdef int check_peer(Raft r, Message m) except -1:
    """m came from another node. Messages of former terms are not looked at: they are ignored anyway."""
    cdef int type = m.type
    if m.term == 0:
        if not is_one_of(type, TERMLESS_TYPES | TERM_OPTIONAL_TYPES):
            raise PeerFault(f"message type {type} from {m.from_} without a term")
        if type == MsgReadIndex and m.context is None:
            raise PeerFault(f"a read index is asked for by {m.from_} under no name")
        return 0
    if m.term < r.term:
        return 0
    if type == MsgApp:
        check_leader(r, m)
        return check_append(r, m)
    if type == MsgHeartbeat:
        check_leader(r, m)
        if m.commit > r.log._last:
            # The leader believes that this node holds entries that it does not have: one of the two has lost data.
            raise PeerFault(
                f"heartbeat from {m.from_} commits index {m.commit} beyond the last index {r.log._last}"
            )
    elif type == MsgSnap:
        check_leader(r, m)
        if m.snapshot is None or m.snapshot.index == 0 or not m.snapshot.conf_state.voters:
            raise PeerFault(f"snapshot from {m.from_} is empty or has no voters")
        if m.snapshot.term > m.term:
            raise PeerFault(f"snapshot from {m.from_} of term {m.snapshot.term} in a message of term {m.term}")
        return check_snapshot(r, m)
    elif type == MsgAppResp:
        if m.term == r.term and r.state == StateLeader and not m.reject and m.index > r.log._last:
            raise PeerFault(
                f"node {m.from_} acknowledges index {m.index} beyond the last index {r.log._last}"
            )
    return 0


cdef int check_origin_general(Message m, node_id_t sender, node_id_t own) except -1:
    if sender == 0 or sender == own:
        raise PeerFault(f"a datagram from node {sender} reached node {own}")
    if m.to != 0 and m.to != own:
        raise PeerFault(f"a message for node {m.to} from {sender} reached node {own}")
    if m.from_ == 0:
        m.from_ = sender
    elif m.from_ != sender and not is_one_of(m.type, FORWARDABLE_TYPES):
        # Only requests are passed on for others; nobody speaks for another member, least of all for this node.
        raise PeerFault(f"message type {m.type} from {sender} in the name of {m.from_}")
    return 0


cdef int check_leader(Raft r, Message m) except -1:
    """A term has one leader (election safety, Figure 3)."""
    if m.term == r.term and (r.state == StateLeader or (r.lead != 0 and r.lead != m.from_)):
        raise PeerFault(f"node {m.from_} acts as leader of term {m.term}, whose leader is {r.lead}")
    return 0


cdef int check_snapshot(Raft r, Message m) except -1:
    cdef Snapshot s = m.snapshot
    if s.index > LAST_SNAPSHOT:
        raise PeerFault(f"snapshot from {m.from_} at index {s.index}, at most {LAST_SNAPSHOT} leaves room for a log")
    if s.conf_index > s.index:
        raise PeerFault(f"snapshot from {m.from_} at index {s.index} has a configuration of index {s.conf_index}")
    try:
        confchange.restore(r.tracker, s.index, s.conf_state)
    except ConfChangeError as error:
        raise PeerFault(f"snapshot from {m.from_} at index {s.index} has no possible configuration: {error}") from error
    return check_covered(r, m)


cdef int check_covered(Raft r, Message m) except -1:
    """As check_history: the last entry that a snapshot covers is the leader's, and was committed when it was taken."""
    cdef Snapshot s = m.snapshot
    cdef index_t before = runs_at(&r.log._terms, 0).first
    if s.index > r.log.committed:
        if s.term < r.log.term_or_zero(r.log.committed):
            return contradicted_at(r, m, r.log.committed, s.term)
    elif s.index < before:
        if s.term > r.log.term_or_zero(before):
            return contradicted_at(r, m, before, s.term)
    elif not match_term(r.log, s.index, s.term):
        return contradicted_at(r, m, s.index, s.term)
    if r.suspicion.rounds and m.term == r.term and s.index >= r.suspicion.index:
        # It covers the suspected entry: to acknowledge or to restore it would be to acknowledge the leader's version.
        raise PeerFault(
            f"snapshot from {m.from_} at index {s.index} covers committed index {r.suspicion.index}, which its leader "
            f"has told otherwise"
        )
    return check_covers_acknowledged(r, m)


cdef int check_append(Raft r, Message m) except -1:
    # That the entries follow m.index has been seen to where m came in (raftcore.values.message).
    if m.log_term > m.term or (m.log_term == 0) != (m.index == 0):
        raise PeerFault(f"append from {m.from_} in term {m.term} follows index {m.index} of term {m.log_term}")
    if m.entries is not None and (m.entries.first_term < m.log_term or m.entries.last_term > m.term):
        raise PeerFault(
            f"append from {m.from_} in term {m.term} after term {m.log_term} holds terms "
            f"{m.entries.first_term} to {m.entries.last_term}"
        )
    check_history(r, m)
    # Most appends follow what was acknowledged. That is asked here, before the call.
    return check_acknowledged(r, m) if m.index < r.acknowledged else 0


cdef int check_acknowledged(Raft r, Message m) except -1:
    """What this node has acknowledged to the leader of its term that leader does not tell otherwise.

    It can where the term was used twice: a majority of disks has forgotten it. An entry that was acknowledged may have
    been committed by that, so it is not replaced (nor are those behind it, which may be right and would not be sent
    again); and the other one is not acknowledged, because this node does not hold it.
    """
    cdef index_t hi, conflict
    if m.term != r.term or m.entries is None or m.index < r.log.committed:
        return 0
    if r.state == StateQuarantined or not match_term(r.log, m.index, m.log_term):
        return 0
    hi = min(m.index + m.entries.count, r.acknowledged) + 1
    conflict = r.log.find_conflict(m.entries)
    if conflict != 0 and conflict < hi:
        raise PeerFault(f"append from {m.from_} replaces index {conflict}, which was acknowledged to it")
    if m.entries.first < hi:
        conflict = r.log.first_other_contents(m.entries, m.entries.first, hi, NO_LIMIT)
        if conflict != 0:
            raise PeerFault(f"append from {m.from_} gives index {conflict} other contents in the same term than those "
                            f"acknowledged to it")
    return 0


cdef int check_covers_acknowledged(Raft r, Message m) except -1:
    """As check_acknowledged: the log that a snapshot is of holds what was acknowledged to this term's leader."""
    cdef index_t at = min(m.snapshot.index, r.acknowledged)
    cdef term_t held
    if m.term != r.term or at <= r.log.committed or r.state == StateQuarantined:
        return 0
    held = r.log.term_or_zero(at)
    if m.snapshot.term < held or (at == m.snapshot.index and m.snapshot.term != held):
        raise PeerFault(f"snapshot from {m.from_} at index {m.snapshot.index} has term {m.snapshot.term}, but index "
                        f"{at} was acknowledged to it with term {held}")
    return 0


cdef int check_history(Raft r, Message m) except -1:
    """Below the commit index a leader of this term or a later one agrees with us (leader completeness, Figure 3).

    The terms of a log never decrease. So the entry before m's, and m's last entry, also say what the leader cannot have
    at the two ends of what this node knows of its committed entries: just before its log begins, and at its commit
    index. So a leader whose log differs from ours below the commit index shows it in its appends: at the latest in the
    one with the first entry of its own term.

      index      1 2 3 4 5 6 7 8
      we         . . . 2 2 2 4 4        compacted up to 4, committed up to 8
      leader     1 1 5 ?                an append after 2: at 4 it has at least term 5, we have term 2
      leader     ? ? ? ? ? ? ? ? 3      an append after 9: at 8 it has at most term 3, we have term 4
    """
    cdef index_t before = runs_at(&r.log._terms, 0).first  # the compacted entry with a known term, or 0
    if m.index >= r.log.committed:
        if m.log_term < runs_last(&r.log._terms).value and m.log_term < r.log.term_or_zero(r.log.committed):
            return contradicted_at(r, m, r.log.committed, m.log_term)
        if m.index > r.log.committed:
            return 0
    if m.index < before:
        return check_compacted(r, m, before)
    if not match_term(r.log, m.index, m.log_term):
        return contradicted_at(r, m, m.index, m.log_term)
    if m.entries is not None and m.index < r.log.committed:
        return check_committed(r, m, m.entries)
    return 0


cdef int check_committed(Raft r, Message m, Entries entries) except -1:
    """The entries follow one that is in this log; as far as that is committed they are the same, contents too."""
    cdef index_t conflict = r.log.find_conflict(entries)
    if conflict != 0 and conflict <= r.log.committed:
        return contradicted(r, m, conflict, term_in(entries, conflict),
                            f"append from {m.from_} replaces committed index {conflict}")
    if r.state == StateQuarantined:
        return 0
    # The log is read back where it has left the memory; never much more of it than was sent.
    conflict = r.log.first_other_contents(
        entries, entries.first, min(entries.first + entries.count - 1, r.log.committed) + 1, 2 * len(entries.data))
    if conflict != 0:
        return contradicted(r, m, conflict, term_in(entries, conflict),
                            f"append from {m.from_} gives committed index {conflict} other contents in the same term")
    return 0


cdef int check_compacted(Raft r, Message m, index_t before) except -1:
    """An append after an entry below the log. Of what is compacted only the last entry's term can be compared."""
    cdef term_t known = r.log.term_or_zero(before)
    cdef index_t at = m.index
    cdef term_t term = m.log_term
    if m.entries is not None:
        at = min(before, m.index + m.entries.count)
        term = term_in(m.entries, at)
    if term > known or (at == before and term != known):
        return contradicted_at(r, m, before, term)
    if m.entries is not None and m.index + m.entries.count > before and before < r.log.committed:
        return check_committed(r, m, m.entries.slice(before + 1, m.index + m.entries.count + 1))
    return 0


cdef int contradicted_at(Raft r, Message m, index_t index, term_t leader_term) except -1:
    what = "snapshot" if m.type == MsgSnap else "append"
    return contradicted(r, m, index, leader_term,
                        f"{what} from {m.from_} gives committed index {index} the term {leader_term}")


cdef term_t term_in(Entries entries, index_t index):
    return entries.entry_at(index - entries.first).term
