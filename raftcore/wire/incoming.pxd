# What comes from one peer in fragments.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

cimport cython

from raftcore.wire.fragment cimport Fragment, Range
from raftcore.wire.parity cimport Groups

cdef enum:
    MOST_PATIENT = 16          # messages of a peer that are under way at a time and not urgent,
    MOST_OPEN = 128            # and of all
    MOST_DONE = 512            # messages that are remembered as done
    MOST_RANGES = 512          # stretches of numbers that are remembered as come

# A message of which not all has come.
@cython.final
cdef class Partial:
    cdef uint64_t number
    cdef uint32_t checksum, size, step, count
    cdef uint32_t have         # fragments that have come
    cdef int64_t heard_us      # when the last of them did
    cdef bytes datagram        # header, then the bytes that have come
    cdef uint8_t* there        # of each fragment: has it come?

@cython.final
cdef class Incoming:
    cdef readonly int64_t room           # bytes of messages that are put together at a time
    cdef readonly int64_t held           # bytes of them now
    cdef readonly uint64_t fragments     # taken, repeated ones too
    cdef readonly uint64_t repeated      # of these, had come before, or were of a message that is over
    cdef readonly uint64_t messages      # whole ones handed out
    cdef readonly uint64_t given_up      # messages of which not all came
    cdef readonly bint heard             # something has come since the last acknowledgement
    cdef readonly uint64_t restored      # that did not come, and were made up for
    cdef Groups groups                   # to make up for some with, or None while no parity has come
    cdef list found                      # bodies of fragments that were missing
    cdef bytes opening                   # of each datagram's header, behind the checksum
    cdef list partials                   # Partial, by ascending number
    cdef uint64_t done[MOST_DONE]        # numbers of messages that are over, as a ring
    cdef int next_done
    cdef uint64_t floor                  # all messages up to here are over
    cdef Range ranges[MOST_RANGES]       # datagrams that have come, the newest first,
    cdef bint untold[MOST_RANGES]        # and which of these no acknowledgement has named as they are now
    cdef int count

    cdef Partial find(self, const Fragment* fragment)
    cdef bytes insert(self, Partial partial, const Fragment* fragment, int64_t now_us)
    cdef int add_to_group(self, uint64_t packet, const uint8_t* body, Py_ssize_t size) except -1
    cdef int note(self, uint64_t packet) noexcept
    cdef int move(self, int at, int to, int count) noexcept
    cdef bint is_over(self, uint64_t number) noexcept
    cdef bint make_room(self, const Fragment* fragment) except -1
    cdef Py_ssize_t place_of(self, Partial partial) except -1
    cdef int finish(self, Partial partial) except -1
