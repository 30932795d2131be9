# Building datagrams: one C buffer, messages encoded straight into it.
from libc.stdint cimport uint8_t, uint64_t

from raftcore.values.message cimport Message
from raftcore.wire.frame cimport BodyPlan
from raftcore.wire.header cimport Header

cdef enum:
    # What a builder's datagrams may be limited to, in bytes. A transport has limits of its own.
    SMALLEST_BUILDER_LIMIT = 256      # holds any message without entries and context
    LARGEST_BUILDER_LIMIT = 16777216  # far above UDP's 65,507, for in-memory transports

cdef class DatagramBuilder:
    # DATAGRAM_HEADER_SIZE <= size <= capacity; what lies below size is whole frames.
    cdef readonly Header header
    cdef readonly Py_ssize_t max_datagram  # bytes
    cdef readonly Py_ssize_t size          # bytes so far, header included
    cdef readonly uint64_t frames          # frames so far
    cdef public bint refuses_appends       # they have another way
    cdef uint8_t* buffer                   # capacity bytes
    cdef Py_ssize_t capacity

    cpdef bint add(self, Message message, uint64_t group=*) except -1
    cpdef bint add_frame(self, int kind, bytes body, uint64_t group=*) except -1
    cpdef bytes finish(self)
    cpdef bytes bare(self)
    # The fast path: adds a message of a common type if it surely fits. False: nothing was added, try_add must decide.
    cdef bint add_fast(self, Message message, uint64_t group) noexcept
    cdef int try_add(self, Message message, uint64_t group) except -1
    cdef Py_ssize_t seal(self) noexcept
    cdef bint _write(self, Message message, const BodyPlan* plan, uint64_t group) noexcept
    cdef int _room(self, Py_ssize_t body_size) except -1
