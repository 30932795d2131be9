# What one pass of the driver does, round by round.
from libc.stdint cimport uint32_t

from raftcore.api.outbox cimport Outbox
from raftcore.api.raw_node cimport RawNode
from raftcore.base.types cimport node_id_t, term_t

from raftpy.runtime.applying cimport Applying
from raftpy.runtime.pending_proposals cimport Proposals
from raftpy.runtime.reads cimport Reads
from raftpy.runtime.ticks cimport Ticks

cdef class Rounds:
    cdef readonly RawNode raw          # the core
    cdef object owner                  # the Owner: who may touch the parts
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
    cdef object linger                 # what the clock waits for answers with, or a Linger
    cdef Reads reads
    cdef object member_operations
    cdef Outbox outbox                 # what the core has decided and nobody has taken yet
    cdef term_t term                   # the one in which this node appended last
    cdef node_id_t leader              # as role_changed was last told
    cdef int role                      # the same
    cdef public bint takes_part        # until then the core hears nothing, and no time passes for it
    cdef public bint closed            # ends the pass at the next opportunity
    cdef bint disowned                 # this is a forked child: the parts are the parent's
    cdef readonly bint resuming        # tasks that wait for results run now
    cdef bint queued                   # messages wait to be flushed
    cdef bint heard                    # this round has met a datagram
    cdef bint answering                # this pass has sent what hung on a write: whoever hears it will go on
    cdef readonly list appends         # MsgStorageAppend not yet submitted
    cdef object slow_writes            # hears of writes that take a tick or longer, and of the next ones then
    cdef double tick_s
    cdef list begun                    # when each submit under way was made
    cdef bint slow                     # a write of less than a tick is of interest, too
    cdef list under_way                # submits after the first that is not reported: None, or written at once: appends
    cdef readonly list written         # submits that have completed since, each a sequence of MsgStorageAppend
    cdef readonly list unreachable     # node ids whose address has refused a datagram
    cdef uint32_t due                  # ticks that this pass has still to tell the core

    cpdef run(self)
    cdef int check_owner(self) except -1
    cdef bint has_left(self) except -1
    cdef int take(self, bint look) except -1
    cdef int serve_callers(self) except -1
    cdef bint write(self) except -1
    cdef int measure(self, object appends, double begun) except -1
    cdef int begin_ticks(self, uint32_t count) except -1
    cdef int finish_ticks(self) except -1
    cdef bint hear(self) except -1
    cdef int resume(self) except -1
    cdef int flush(self) except -1
    cdef int collect(self) except -1
    cdef int look_at_role(self) except -1
    cdef int send(self) except -1
    cdef int completed(self, object appends) except -1
    cdef int apply(self) except -1
    cdef int begin_reads(self) except -1
    cdef int append_proposals(self) except -1
    cdef int wake_by(self, double deadline) except -1
