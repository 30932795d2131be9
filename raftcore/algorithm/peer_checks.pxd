# The checks that refuse what no correct peer sends.
from raftcore.algorithm.state cimport Raft
from raftcore.base.types cimport node_id_t
from raftcore.values.message cimport Message

cdef int check_peer(Raft r, Message m) except -1
# Fills in the sender of a message that came in a datagram from `sender`: it is the datagram's, unless the message was
# forwarded and names another one. PeerFault when it is not for this node (`own`), or names a sender that it must not.
cdef inline int check_origin(Message m, node_id_t sender, node_id_t own) except -1:
    if m.from_ != 0 or m.to != 0 or sender == 0 or sender == own:
        return check_origin_general(m, sender, own)
    m.from_ = sender
    return 0


cdef int check_origin_general(Message m, node_id_t sender, node_id_t own) except -1
