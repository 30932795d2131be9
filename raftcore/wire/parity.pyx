"""One lost datagram in a group is made up for from the others: the exclusive or of their fragments goes with them.

Over a long path a repetition takes a round trip, and everything in a lane waits for it. So the last datagram of each
group of GROUP may hold, in place of a fragment, the bodies of the others added up bit by bit (exclusive or; shorter
ones count as if zeros followed). Whoever has all of the group but one adds them up too, and what comes out is the body
that is missing. Two that are missing are repeated, as ever. For datagrams of media RFC 5109 does the same.

To the sender, what was made up for is lost all the same: it is not acknowledged, counts in the model of the path, and
is repeated. So a path that is full does not look better than it is.

A group is told by the numbers of its datagrams, so there is nothing to be agreed on. Which number a body had is not
added up, as it follows from which one is missing; how long it was follows from the fields that are.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memset

cimport cython

from raftcore.base.bytes cimport load32, load64, store32, store64
from raftcore.base.crc cimport crc32c_update
from raftcore.wire.fragment cimport fragment_length
from raftcore.wire.frame cimport FRAME_HEADER_SIZE, write_frame_header
from raftcore.wire.header cimport CHECKSUM_SIZE, DATAGRAM_HEADER_SIZE

# For Python. (The numbers themselves stand in parity.pxd.)
globals().update(FRAME_PARITY=FRAME_PARITY, GROUP=GROUP, MOST_GROUPS=MOST_GROUPS)

cdef enum:
    BODY_AT = DATAGRAM_HEADER_SIZE + FRAME_HEADER_SIZE
    ALL = (1 << GROUP) - 1
    # Where a fragment's body has these fields.
    FRAGMENT_SIZE_AT = 20
    FRAGMENT_STEP_AT = 24
    FRAGMENT_INDEX_AT = 28


cdef void xor_into(uint8_t* into, const uint8_t* what, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t at = 0
    while at + 8 <= size:
        store64(into + at, load64(into + at) ^ load64(what + at))
        at += 8
    while at < size:
        into[at] ^= what[at]
        at += 1


@cython.final
cdef class Sum:
    """Of the bodies of one group, those that were added."""

    def __dealloc__(self):
        free(self.bytes)

    cdef int begin(self, uint64_t group) noexcept:
        """Of that group from now on, with nothing in it."""
        self.group = group
        self.have = self.size = 0
        return 0

    cdef int add(self, uint64_t packet, const uint8_t* body, Py_ssize_t size) except -1:
        """The body, of ``size`` bytes, of a datagram of the group that is not in it yet."""
        cdef uint32_t rest = <uint32_t> (size - PACKET_SIZE)
        cdef uint8_t* grown
        if rest > self.capacity:
            grown = <uint8_t*> realloc(self.bytes, rest)
            if grown == NULL:
                raise MemoryError(f"{rest} bytes for a group of fragments")
            self.bytes = grown
            self.capacity = rest
        if rest > self.size:
            memset(self.bytes + self.size, 0, rest - self.size)
            self.size = rest
        xor_into(self.bytes, body + PACKET_SIZE, rest)
        self.have |= <uint32_t> 1 << (packet % GROUP)
        return 0

    cdef uint32_t missing(self) noexcept:
        """A bit for each datagram of the group that is not in it. There is no number 0 in the first."""
        return (ALL - (self.group == 0)) & ~self.have


@cython.final
cdef class Parity:
    """Parity(): of what goes to one peer.

    Attributes:
        takes: whether the peer knows what to do with a parity; to one that does not, none goes.
        sent: datagrams with one.
    """

    def __cinit__(self):
        self.sum = Sum.__new__(Sum)

    cdef int add(self, uint64_t packet, bytes datagram, bint urgent) except -1:
        """A datagram with a fragment leaves, under that number; ``urgent``: others wait for what is in it."""
        cdef const uint8_t* at = <const uint8_t*> PyBytes_AS_STRING(datagram)
        if not self.takes or closes(packet):
            return 0
        if self.sum.group != group_of(packet) or self.sum.have == 0:
            self.sum.begin(group_of(packet))
            self.urgent = False
        self.urgent = self.urgent or urgent
        memcpy(self.opening, at, DATAGRAM_HEADER_SIZE)
        return self.sum.add(packet, at + BODY_AT, PyBytes_GET_SIZE(datagram) - BODY_AT)

    cdef int64_t due(self, uint64_t packet, uint32_t step) noexcept:
        """Bytes of the datagram of that number, the next, if it is to hold a parity: where it is the last of its group,
        all others are added up, one of them is urgent, and none has more than ``step`` bytes of a message. Else 0."""
        if (not self.takes or not self.urgent or not closes(packet) or self.sum.group != group_of(packet)
                or self.sum.missing() != PARITY_BIT or self.sum.size > FIELDS_SIZE + step):
            return 0
        return BODY_AT + PACKET_SIZE + self.sum.size

    cdef bytes build(self, uint64_t packet):
        """That datagram, checksum and all."""
        cdef uint32_t size = PACKET_SIZE + self.sum.size
        cdef bytes out = PyBytes_FromStringAndSize(NULL, BODY_AT + size)
        cdef uint8_t* at = <uint8_t*> PyBytes_AS_STRING(out)
        memcpy(at, self.opening, DATAGRAM_HEADER_SIZE)
        write_frame_header(at + DATAGRAM_HEADER_SIZE, 0, FRAME_PARITY, size)
        store64(at + BODY_AT, packet)
        memcpy(at + BODY_AT + PACKET_SIZE, self.sum.bytes, self.sum.size)
        store32(at, crc32c_update(0, at + CHECKSUM_SIZE, PyBytes_GET_SIZE(out) - CHECKSUM_SIZE))
        self.sent += 1
        return out


@cython.final
cdef class Groups:
    """Groups(): of what comes from one peer, the latest MOST_GROUPS groups."""

    def __cinit__(self):
        self.sums = [Sum.__new__(Sum) for _ in range(MOST_GROUPS)]

    cdef bytes add(self, uint64_t packet, const uint8_t* body, Py_ssize_t size):
        """A body has come, of a fragment or, with the last number of its group, of a parity. The body of the one
        fragment of the group that is missing, if it is known now; None."""
        cdef uint64_t group = group_of(packet)
        cdef Sum found = self.sums[group % MOST_GROUPS]
        cdef uint32_t missing
        cdef int at = 0
        if group > found.group:
            found.begin(group)
        if group < found.group or found.have >> (packet % GROUP) & 1:
            return None  # of long ago, or once more
        found.add(packet, body, size)
        missing = found.missing()
        if missing == 0 or missing & (missing - 1) or missing == PARITY_BIT:
            return None
        while missing >> at != 1:
            at += 1
        return body_of(group * GROUP + at, found)


# What is left of a group when all but one were added: the body of a fragment with that number; None if it is no such.
cdef bytes body_of(uint64_t packet, Sum rest):
    cdef uint32_t size, step, index
    cdef Py_ssize_t length
    cdef bytes out
    if rest.size <= FIELDS_SIZE:
        return None
    size = load32(rest.bytes + FRAGMENT_SIZE_AT - PACKET_SIZE)
    step = load32(rest.bytes + FRAGMENT_STEP_AT - PACKET_SIZE)
    index = load32(rest.bytes + FRAGMENT_INDEX_AT - PACKET_SIZE)
    if <uint64_t> index * step >= size:
        return None
    length = FIELDS_SIZE + <Py_ssize_t> fragment_length(size, step, index)
    if length > rest.size:
        return None
    out = PyBytes_FromStringAndSize(NULL, PACKET_SIZE + length)
    store64(<uint8_t*> PyBytes_AS_STRING(out), packet)
    memcpy(PyBytes_AS_STRING(out) + PACKET_SIZE, rest.bytes, length)
    return out
