# What no correct peer sends.
from raftcore.algorithm.state cimport Raft
from raftcore.base.types cimport node_id_t
from raftcore.values.message cimport Message

cdef int check_peer(Raft r, Message m) except -1
# A message out of a datagram: its sender is the datagram's, unless it was forwarded; it is for this node.
cdef inline int check_origin(Message m, node_id_t sender, node_id_t own) except -1:
    if m.from_ != 0 or m.to != 0 or sender == 0 or sender == own:
        return check_odd_origin(m, sender, own)
    m.from_ = sender
    return 0


cdef int check_odd_origin(Message m, node_id_t sender, node_id_t own) except -1
