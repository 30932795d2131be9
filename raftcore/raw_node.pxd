# RawNode: the public face of the core, and what other modules of the core may see of it.
from libc.stdint cimport uint64_t

from raftcore.message cimport Message
from raftcore.ready cimport Ready
from raftcore.state cimport Raft
from raftcore.types cimport index_t, node_id_t, term_t

cdef class RawNode:
    cdef Raft raft
    cdef bint async_storage_writes
    # What the last Ready said, so that the next says only what has changed since
    cdef node_id_t previous_lead
    cdef int previous_state
    cdef term_t previous_term
    cdef node_id_t previous_vote
    cdef index_t previous_commit
    cdef list on_advance             # plain form: what advance() will step; None when no Ready is out
    cdef readonly uint64_t faults    # frames refused: undecodable, or what no correct peer sends
    cdef readonly uint64_t ignored   # messages that did not concern this node: unknown senders, dropped proposals

    cdef bint _has_ready(self) except -1
    cdef int _collect_plain(self, Ready rd) except -1
    cdef int _accept(self, Ready rd) except -1
    cdef int _set_now(self, uint64_t now_ms) except -1
    cdef int _remember(self) except -1
    cdef int _forward(self, int kind, object payloads) except -1
