# What one pass of the driver does, round by round.
from libc.stdint cimport uint32_t

from raftcore.types cimport node_id_t, term_t

from raftpy.runtime.applying cimport Applying
from raftpy.runtime.proposal cimport Proposals
from raftpy.runtime.reads cimport Reads
from raftpy.runtime.ticks cimport Ticks

cdef class Rounds:
    cdef public object raw             # the core
    cdef readonly object storage
    cdef readonly object transport
    cdef object monotonic              # the clock's
    cdef object wall_ms                # the clock's
    cdef object publish                # the commit feed's
    cdef object refusal                # makes the NotLeader of now
    cdef object role_changed           # called when this node's role or the leader it knows has changed
    cdef Proposals proposals
    cdef Applying applying
    cdef Ticks ticks
    cdef Reads reads
    cdef object membership
    cdef node_id_t id
    cdef term_t term                   # the one in which this node appended last
    cdef public bint closed            # ends the pass at the next opportunity
    cdef readonly bint resuming        # tasks that wait for results run now
    cdef bint queued                   # messages wait in the transport
    cdef readonly list appends         # MsgStorageAppend not yet submitted
    cdef readonly list written         # submits that have completed since, each a sequence of MsgStorageAppend
    cdef readonly list unreachable     # node ids whose address has refused a datagram
    cdef uint32_t due                  # ticks that this pass has still to tell the core

    cdef int take(self, bint look) except -1
    cdef int settle(self) except -1
    cdef bint write(self) except -1
    cdef int begin_ticks(self, uint32_t count) except -1
    cdef int finish_ticks(self) except -1
    cdef bint hear(self) except -1
    cdef int resume(self) except -1
    cdef int flush(self) except -1
    cdef int collect(self) except -1
    cdef int deliver(self, object done) except -1
    cdef int apply(self) except -1
    cdef int begin_reads(self) except -1
    cdef int append_proposals(self) except -1
