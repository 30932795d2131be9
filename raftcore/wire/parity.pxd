# What makes up for one lost datagram in a group of fragments without its repetition.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

cimport cython

from raftcore.wire.fragment cimport FRAGMENT_HEADER_SIZE
from raftcore.wire.frame cimport FRAME_TRANSPORT
from raftcore.wire.header cimport DATAGRAM_HEADER_SIZE

cdef enum:
    FRAME_PARITY = FRAME_TRANSPORT + 15
    GROUP = 16                 # numbers of datagrams in a group, of which the last may be that of a parity
    PACKET_SIZE = 8            # a body's packet number, in which those of a group differ: it is not added up
    PARITY_BIT = 1 << (GROUP - 1)
    # What of a fragment's body is added up besides its bytes.
    FIELDS_SIZE = FRAGMENT_HEADER_SIZE - PACKET_SIZE
    MOST_GROUPS = 64           # groups of which a receiver keeps what has come

# Which group a number belongs to, and whether it is the last one there.
cdef inline uint64_t group_of(uint64_t packet) noexcept nogil:
    return packet // GROUP


cdef inline bint closes(uint64_t packet) noexcept nogil:
    return packet % GROUP == GROUP - 1

# The bodies of some datagrams of one group, added up without their numbers.
@cython.final
cdef class Sum:
    cdef uint64_t group
    cdef uint32_t have         # a bit for each that is in it
    cdef uint8_t* bytes
    cdef uint32_t size         # of the longest in it
    cdef uint32_t capacity

    cdef int begin(self, uint64_t group) noexcept
    cdef int add(self, uint64_t packet, const uint8_t* body, Py_ssize_t size) except -1
    cdef uint32_t missing(self) noexcept

# What a sender adds up.
@cython.final
cdef class Parity:
    cdef public bint takes           # the peer knows parities
    cdef readonly uint64_t sent      # datagrams with one
    cdef Sum sum                     # of the present group
    cdef bint urgent                 # something of it is
    cdef uint8_t[DATAGRAM_HEADER_SIZE] opening   # of a datagram to the peer

    cdef int add(self, uint64_t packet, bytes datagram, bint urgent) except -1
    cdef int64_t due(self, uint64_t packet, uint32_t step) noexcept
    cdef bytes build(self, uint64_t packet)

# What a receiver has of the latest groups.
@cython.final
cdef class Groups:
    cdef list sums             # Sum, that of a group at its number % MOST_GROUPS

    cdef bytes add(self, uint64_t packet, const uint8_t* body, Py_ssize_t size)
