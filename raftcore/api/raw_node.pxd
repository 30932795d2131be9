# RawNode: the public face of the core, and what other modules of the core may see of it.
from libc.stdint cimport uint32_t, uint64_t

from raftcore.algorithm.state cimport Raft
from raftcore.api.ready cimport Ready
from raftcore.api.receive cimport Refused
from raftcore.api.take_ready cimport Reported, Writes

cdef enum:
    UNDECIDED = 0
    AS_READY = 1       # ready(), with advance() in the plain form
    IN_OUTBOX = 2      # collect(), written(), applied()

cdef class RawNode:
    cdef Raft raft
    cdef Reported reported           # what the last Ready, or outbox, said of leader, role and hard state
    cdef Writes writes               # with an outbox: which writes are under way
    cdef int form                    # how work is taken, once some was taken: as Ready or with an outbox
    cdef list on_advance             # plain form: what advance() will step; None when no Ready is out
    cdef Refused refused             # frames that were not stepped

    # For drivers in C: receive.pxd and take_ready.pxd have what the methods call; before the first collect, `_use` says
    # that work is taken with an outbox. The other two are the methods of the same names, without a Python call.
    cdef int _use(self, int form) except -1
    cdef int _tick(self, uint64_t now_ms, uint32_t count) except -1
    cdef uint64_t _due_within(self, uint64_t most) except 0
    cdef int _collect_plain(self, Ready rd) except -1
