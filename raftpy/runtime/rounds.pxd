# What one pass of a host does, round by round.
from libc.stdint cimport uint32_t, uint64_t

from raftcore.api.outbox cimport Outbox

from raftpy.members.due cimport Due
from raftpy.runtime.group_work cimport GroupWork

cdef class Rounds:
    cdef object owner                  # the Owner: who may touch the parts
    cdef readonly object storage
    cdef readonly object transport
    cdef bint reads_system             # the clock is the system's, which is read without it
    cdef object monotonic              # the clock's, or None
    cdef object wall_clock             # the clock's wall_ms
    cdef list groups                   # GroupWork, by ascending id
    cdef GroupWork first               # group 0
    cdef GroupWork alone               # the only one, or None when there are several
    cdef list noted                    # those that the pass under way, or the next one, looks at
    cdef double deadline               # when the first wait ends of those that have begun in this pass
    cdef object linger                 # what the clock waits for answers with, or a Linger
    cdef Due member_operations         # group 0's
    cdef Outbox outbox                 # what a core has decided and nobody has taken yet
    cdef public bint takes_part        # until then the cores hear nothing, and no time passes for them
    cdef public bint closed            # ends the pass at the next opportunity
    cdef bint disowned                 # this is a forked child: the parts are the parent's
    cdef readonly bint resuming        # tasks that wait for results run now
    cdef bint queued                   # messages wait to be flushed
    cdef bint heard                    # this round has met a datagram
    cdef bint answering                # this pass has sent what hung on a write: whoever hears it will go on
    cdef bint nothing_waits            # in the socket, as of this pass's beginning: set by whoever has seen so
    cdef bint ticks_due                # noted groups have ticks of this pass still to be told
    cdef object slow_writes            # hears of writes that take a tick or longer, and of the next ones then
    cdef double tick_s
    cdef list begun                    # when each submit under way was made
    cdef bint slow                     # a write of less than a tick is of interest, too
    cdef list under_way                # submits after the first that is not reported: None, or written at once: batch
    cdef readonly list written         # submits that have completed since, each a batch: (group id, appends)
    cdef readonly list unreachable     # node ids whose address has refused a datagram
    cdef readonly uint64_t strangers   # with several groups: frames of others, or of those that ended
    cdef GroupWork next_awaited        # whose turn to apply it is where somebody waits; None: the first's
    cdef GroupWork next_of_all         # the same among all

    cdef double now(self) except? -1
    cdef uint64_t wall_ms(self) except? 0
    cpdef run(self, double now, uint32_t count)
    cpdef int note(self, GroupWork group) except -1
    cdef int check_owner(self) except -1
    cdef int rest(self, bint again) except -1
    cdef GroupWork at(self, Py_ssize_t position)
    cdef Py_ssize_t position(self, GroupWork group)
    cdef GroupWork find(self, uint64_t group_id)
    cdef bint is_leading(self) except -1
    cdef double due_within(self, uint32_t* ticks) except? -1
    cdef bint has_left(self) except -1
    cdef bint has_queued(self) except -1
    cdef bint is_awaited(self) except -1
    cdef int begin_ticks(self, uint32_t count, double now) except -1
    cdef int finish_ticks(self) except -1
    cdef int take(self, bint look) except -1
    cdef int lost_sight_of(self, node_id) except -1
    cdef int serve_callers(self) except -1
    cdef bint write(self) except -1
    cdef int completed(self, object batch) except -1
    cdef int report_written(self, object batch, bint collect) except -1
    cdef int measure(self, object batch, double begun) except -1
    cdef bint hear(self) except -1
    cdef int hand_out(self, bytes datagram) except -1
    cdef int flush(self) except -1
    cdef int collect(self, GroupWork group) except -1
    cdef int send(self, uint64_t group_id) except -1
    cdef int apply(self, bint awaited) except -1
    cdef int set_next_to_apply(self, bint awaited, GroupWork group) except -1
    cdef bint may_apply(self, GroupWork group, bint awaited) except -1
    cdef int apply_one(self, GroupWork group, double share) except -1
    cdef int resume(self) except -1
