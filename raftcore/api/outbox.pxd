# Where a core puts what it wants done, when its driver wants bytes and not messages.
from libc.stdint cimport uint64_t

cimport cython

from raftcore.values.message cimport Message
from raftcore.wire.datagram cimport DatagramBuilder

@cython.final
cdef class Outbox:
    cdef public uint64_t group        # of what is put in from now on
    cdef list builders                # DatagramBuilder of each node that messages are encoded for
    cdef readonly list full           # (node id, datagram): finished because the next frame did not fit
    cdef readonly list messages       # Message for whom there is no builder, or that does not fit a datagram
    cdef readonly list appends        # MsgStorageAppend, to be written in order
    cdef readonly list applies        # Entries, to be applied in order
    cdef readonly list read_states    # (index, context) of confirmed reads

    cdef int put(self, Message m) except -1
    cpdef bint has_datagrams(self) noexcept
    cdef int put_general(self, Message m, DatagramBuilder builder) except -1
