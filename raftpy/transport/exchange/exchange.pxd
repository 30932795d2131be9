# What a datagram transport does for every datagram.
cimport cython
from libc.stdint cimport uint64_t

from raftcore.api.outbox cimport Outbox
from raftcore.wire.datagram cimport DatagramBuilder
from raftcore.wire.header cimport DATAGRAM_HEADER_SIZE

cdef enum:
    FIRST_KIND = DATAGRAM_HEADER_SIZE + 8  # offset of the first frame's kind: the transport's stand first or nowhere

# Datagrams from and to a socket's descriptor.
@cython.final
cdef class DatagramIO:
    cdef int fd
    cdef char* buffer           # READ_SIZE bytes
    # The last read met an error; or SUSPICIOUS reads in a row met nothing, although something woke the reader: then an
    # error may be waiting in the socket's error queue.
    cdef readonly bint may_have_error
    cdef int fruitless          # reads in a row that met nothing
    cdef bint may_join          # the system may be asked to hand over several datagrams at once,
    cdef bint joined            # and does so

    cpdef list read(self, Py_ssize_t limit)
    cdef int put(self, const void* datagram, Py_ssize_t size, bytes address) noexcept
    cdef int join(self) noexcept
    cdef ssize_t read_run(self, int* each) noexcept

cdef class Traffic:
    # Datagrams to and from one peer.
    cdef public uint64_t received        # given on, or a bare header or hello meant for this incarnation
    cdef public uint64_t received_bytes  # of the datagrams in received
    cdef public uint64_t sent            # handed to the wire, bare headers and hellos included
    cdef public uint64_t sent_bytes

cdef class Link:
    # What of a peer is looked at for every datagram.
    cdef readonly uint64_t id
    cdef public bytes expected           # a header of its incarnation to ours, behind the checksum; None: not heard
    cdef public bytes packed             # its address as the system wants it
    cdef public bytes repeated           # the last hello of its, if it says nothing new when it comes again
    cdef public DatagramBuilder builder  # the open datagram
    cdef public list ready               # full ones, closed by send since the last flush
    cdef public Traffic counters
    cdef public uint64_t large           # datagrams of more than SURE_SIZE bytes, fragments aside

cdef class Exchange:
    cdef public object _io               # the socket's DatagramIO, or a stand-in; None: datagrams pass _pull and _put
    cdef public object _unreliable       # not None: everything sent passes _transmit, to be lost and delayed
    cdef public bint _running
    cdef public list _heard              # Link of the peers that have been heard; replaced, never changed
    cdef public list _waiting            # peers for whom something waits: they are not heard, or it goes in fragments
    cdef Outbox outbox                   # whom builders are lent to, or None

    cdef Link known(self, bytes datagram)
    cdef int send_full(self) except -1
    cdef int send_open(self, Link link) except -1
    cdef int put(self, Link link, const void* datagram, Py_ssize_t size) except -1
