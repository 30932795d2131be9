# From a leader that contradicts what is committed here to this node's quarantine.
from raftcore.algorithm.state cimport Raft
from raftcore.base.types cimport index_t, term_t
from raftcore.values.message cimport Message

# m, from a leader of this term or a later one, gives the committed entry at index another term. PeerFault with this
# text, until the conflict counts: then the node is quarantined, and 0 comes back.
cdef int contradicted(Raft r, Message m, index_t index, term_t leader_term, str text) except -1
# While a conflict is suspected: a heartbeat of this term's leader, which commits that far, was taken.
cdef int suspected_leader_lives(Raft r, Message m) except -1
# While a conflict is suspected: does this append follow the suspected entry? Where two leaders had one term, index and
# term there may agree although the entries differ. To acknowledge the append would be to acknowledge the leader's
# entry.
cdef bint rests_on_suspected(Raft r, Message m) except -1
