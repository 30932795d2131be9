"""From a leader that contradicts what is committed here to this node's quarantine (docs/design.md, decision 1).

By leader completeness (Figure 3) every leader of a later term holds what was committed before it. A leader that gives a
committed entry another term, or other contents, is therefore proof that a disk has forgotten what it had acknowledged:
an older copy of a data directory was put back, and a majority without the newest entries went on. It may be this node's
disk, or some of the others'. Nothing that this node says or serves can be relied on then, and nothing it could do would
mend it.

One such message is a fault of a peer like any other (:mod:`raftcore.algorithm.peer_checks`): it may be damaged or
forged. It counts only as the word of the leader that this node follows in its current term, a voter by its own
configuration; and it has to be said in three rounds. A round ends with a heartbeat of that leader, which does not
itself say that the logs agree so far, and is no shorter than this node's own heartbeat interval: a datagram that the
network repeats stays one round.

     conflict               heartbeat, and an interval        the same conflict
    ----------> suspected ----------------------------> ... -------------------> (the third round) quarantined
                 |     ^
                 +-----+  another conflict, another leader, another term: counted from one again
                 |
                 +------> a heartbeat that commits the entry: the leader holds it as this node does; nothing suspected
"""

from raftcore.base.conflict import Conflict
from raftcore.base.errors import PeerFault

from raftcore.algorithm.roles cimport become_quarantined
from raftcore.algorithm.state cimport Raft, Suspicion
from raftcore.base.types cimport StateQuarantined, index_t, term_t
from raftcore.values.message cimport Message

cdef enum:
    ROUNDS = 3


cdef int contradicted(Raft r, Message m, index_t index, term_t leader_term, str text) except -1:
    if r.state == StateQuarantined:
        return 0  # it is quarantined already
    if not speaks_for_the_term(r, m):
        raise PeerFault(text)
    count_round(r, m, index, leader_term)
    if r.suspicion.rounds < ROUNDS:
        raise PeerFault(text)
    return become_quarantined(r, Conflict(index, r.log.term_or_zero(index), m.from_, leader_term, r.term))


cdef bint speaks_for_the_term(Raft r, Message m) except -1:
    """Is m of the leader that this node follows, and that one a voter?"""
    if m.term != r.term or r.lead == 0 or m.from_ != r.lead:
        return False
    return m.from_ in r.tracker.config.voters or m.from_ in r.tracker.config.voters_outgoing


cdef int count_round(Raft r, Message m, index_t index, term_t leader_term) except -1:
    cdef Suspicion* s = &r.suspicion
    if s.rounds == 0 or s.index != index or s.leader_term != leader_term or s.leader != m.from_:
        s.index = index
        s.leader_term = leader_term
        s.leader = m.from_
        s.rounds = 1
    elif s.heartbeat and s.elapsed >= r.options.heartbeat_timeout:
        s.rounds += 1
    else:
        return 0  # the same round
    s.heartbeat = False
    s.elapsed = 0
    return 0


cdef int suspected_leader_lives(Raft r, Message m) except -1:
    if m.commit >= r.suspicion.index:
        # A leader lets a follower commit only entries of which it knows that both have the same.
        r.suspicion.rounds = 0
    else:
        r.suspicion.heartbeat = True
    return 0


cdef bint rests_on_suspected(Raft r, Message m) except -1:
    cdef Suspicion* s = &r.suspicion
    if m.index >= s.index:
        return True
    if m.entries is not None and s.index <= m.index + m.entries.count:
        s.rounds = 0  # the leader has the entry as this node has it (peer_checks): the conflict was forged
    return False
