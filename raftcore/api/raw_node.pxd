# RawNode: the public face of the core, and what other modules of the core may see of it.
from libc.stdint cimport uint32_t, uint64_t

from raftcore.algorithm.state cimport Raft
from raftcore.api.outbox cimport Outbox
from raftcore.api.ready cimport Ready
from raftcore.api.receive cimport Refused
from raftcore.api.take_ready cimport Reported, Writes
from raftcore.base.types cimport index_t
from raftcore.values.message cimport Entries

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

    # For drivers in C: the methods of the same names, without a Python call. step_frame: at[0] < size moves behind the
    # frame.
    cdef int _tick(self, uint64_t now_ms, uint32_t count) except -1
    cdef uint64_t _ticks_until_due(self) except 0
    cdef index_t _propose(self, object commands, uint64_t now_ms) except? 0
    cdef Py_ssize_t _step_frames(self, object buffer, Py_ssize_t offset, uint64_t group) except -1
    cdef int _step_frame(self, const unsigned char* data, Py_ssize_t size, Py_ssize_t* at) except -1
    cdef bint _collect(self, Outbox outbox) except -1
    cdef int _written(self, object appends, Outbox outbox) except -1
    cdef int _applied(self, Entries entries) except -1
    cdef int _collect_plain(self, Ready rd) except -1
    cdef int _set_now(self, uint64_t now_ms) except -1
    cdef int _use(self, int form) except -1
