# What goes to one peer in fragments.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

cimport cython

from raftcore.wire.bbr cimport Leaving
from raftcore.wire.congestion cimport Congestion
from raftcore.wire.parity cimport Parity

# A message that goes in fragments.
@cython.final
cdef class Pending:
    cdef uint64_t number
    cdef object key
    cdef bint urgent           # goes before those that are not
    cdef bytes datagram        # the whole one
    cdef uint32_t size         # bytes behind its header
    cdef uint32_t step         # bytes of each fragment but the last
    cdef uint32_t count        # fragments
    cdef uint32_t begun        # fragments that have been sent once, from the first on
    cdef uint32_t done         # fragments that have arrived
    cdef uint32_t lost         # fragments that have to be sent again,
    cdef uint32_t first_lost   # none of which is before this one
    cdef uint8_t* states       # of each fragment

# A datagram with a fragment that has left.
cdef struct Departure:
    uint64_t message
    uint32_t index             # of the fragment
    int fate
    Leaving leaving

@cython.final
cdef class Outgoing:
    cdef readonly Congestion congestion
    cdef readonly Parity parity          # what makes up for losses
    cdef readonly int64_t room           # bytes of messages that the peer puts together at a time
    cdef public int64_t burst            # bytes that it can take without reading
    cdef readonly int64_t waiting        # bytes of messages that are not done
    cdef readonly uint64_t fragments     # sent, repeated ones too
    cdef readonly uint64_t repeated      # of these, sent before
    cdef readonly uint64_t lost          # datagrams taken for lost
    cdef readonly uint64_t late          # of these, that arrived after all
    cdef readonly uint64_t messages      # that have arrived
    cdef readonly uint64_t given_up      # that have not
    cdef uint32_t step                   # of what begins
    cdef readonly int64_t large_us       # when a datagram above SURE_SIZE arrived last
    cdef int64_t large_sent_us           # when the first such left since then, if any has,
    cdef uint64_t large_count            # and how many have
    cdef readonly uint64_t last          # number of the message that began last
    cdef list queue                      # Pending that have not begun
    cdef list open                       # Pending that have
    cdef int64_t open_bytes
    cdef int patient                     # of the open ones, not urgent
    cdef uint64_t urgent_run             # datagrams that have left since the last that was not urgent
    cdef list done                       # keys of urgent ones that have arrived
    cdef Departure* ring                 # those from number base up to next, at number % capacity
    cdef uint64_t capacity
    cdef uint64_t base                   # what is before is not remembered,
    cdef uint64_t first                  # what is before this is not on its way
    cdef uint64_t next
    cdef uint64_t newest                 # the largest number acknowledged
    cdef uint64_t recovery               # what was lost begins to be made up for with this number; 0: nothing is
    cdef uint64_t widened                # the reordering window was made wider before this one left
    cdef int64_t loss_us                 # when something may count as lost; INT64_MAX: nothing
    cdef int64_t last_us                 # when the last datagram left
    cdef int64_t progress_us             # when something arrived last, or began after silence
    cdef int timeouts                    # probe timeouts in a row
    cdef int probes                      # datagrams that may leave beside the window

    cdef int forget_under_way(self, list messages) except -1
    cdef Departure* at(self, uint64_t number) noexcept
    cdef Pending find(self, uint64_t number)
    cdef bint may_leave(self, int64_t size, int64_t now_us) except -1
    cdef int64_t parity_size(self) noexcept
    cdef bytes build_parity(self, int64_t now_us)
    cdef bytes take_next(self, int64_t most, int64_t now_us)
    cdef Pending choose(self)
    cdef Pending begin(self, bint urgent)
    cdef Py_ssize_t urgent_ones(self) except -1
    cdef uint32_t choose_fragment(self, Pending message) noexcept
    cdef Pending repeat_oldest(self, uint32_t* index)
    cdef bytes build(self, Pending message, uint32_t index, int64_t now_us)
    cdef int push(self, uint64_t message, uint32_t index, Py_ssize_t size, int64_t now_us) except -1
    cdef int arrived(self, uint64_t number, int64_t now_us) except -1
    cdef int note_overtaken(self, uint64_t number, bint missed) except -1
    cdef int find_lost(self, int64_t now_us) except -1
    cdef int forget_settled(self) noexcept
    cdef int64_t probe_us(self) noexcept
    cdef int drop_all(self) except -1
