# What a pass does for one group: the part of it that no other group shares.
from libc.stdint cimport uint32_t, uint64_t

from raftcore.api.raw_node cimport RawNode
from raftcore.base.types cimport node_id_t, term_t

from raftpy.runtime.applying cimport Applying
from raftpy.runtime.pending_proposals cimport Proposals
from raftpy.runtime.reads cimport Reads

cdef class GroupWork:
    cdef readonly uint64_t id          # of the group
    cdef readonly RawNode raw          # its core
    cdef object request                # the host's Passes.note
    cdef Proposals proposals           # None until bind, as the next two
    cdef Applying applying
    cdef Reads reads
    cdef object publish                # the commit feed's
    cdef object refusal                # makes the NotLeader of now
    cdef object role_changed           # called when this node's role in it or the leader it knows has changed
    cdef object failed                 # called with the exception that has ended it; False: the host ends, too
    cdef object offered                # called with a MsgSnap that the leader has sent, instead of stepping it
    cdef object installed              # called when a snapshot has taken the log's place, durably
    cdef bint installing               # one is being written
    cdef term_t term                   # the one in which this node appended last
    cdef node_id_t leader              # as role_changed was last told
    cdef int role                      # the same
    cdef uint32_t due                  # ticks that this pass has still to tell the core
    cdef readonly list appends         # MsgStorageAppend not yet submitted
    cdef readonly bint noted           # the pass under way, or the next one, looks at it
    cdef public bint moved             # the core may have decided something that was not collected yet
    cdef public bint cuts              # the store was told to cut the log, which rides in the group's next batch
    cdef public bint closed            # it has ended: it is as if it were not there

    cdef bint has_left(self) except -1
    cdef bint has_queued(self) noexcept
    cdef bint is_awaited(self) noexcept
    cdef int begin_ticks(self, uint32_t count, uint64_t wall_ms) except -1
    cdef bint expire(self, double now) except -1
    cdef int look_at_role(self) except -1
    cdef int lose(self) except -1
    cdef int offer(self) except -1
    cdef int install(self) except -1
    cdef int look_at_snapshot(self) except -1
    cdef bint resume(self) except -1
    cdef double begin_reads(self, uint64_t wall_ms, double now) except? -1
    cdef double append_proposals(self, uint64_t wall_ms, double now) except? -1
