"""Building datagrams: a header (header.pxd), and frames behind it."""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport UINT32_MAX, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

cimport cython

from raftcore.base.types cimport MsgApp
from raftcore.values.block cimport BLOCK_HEADER_SIZE, LENGTH_SIZE
from raftcore.values.message cimport Message
from raftcore.wire.frame cimport (
    BODY_FIXED_MAX, FRAME_HEADER_SIZE, FRAME_MESSAGE, FRAME_TRANSPORT, LARGEST_KIND, BodyPlan, plan_body, write_body,
    write_body_fast, write_frame_header,
)
from raftcore.wire.header cimport DATAGRAM_HEADER_SIZE, Header, write_header


def max_command(Py_ssize_t max_datagram):
    """Bytes of the largest command that a datagram of max_datagram bytes carries in a MsgApp, whatever else it says.

    ValueError when max_datagram is out of its range.
    """
    check_limit(max_datagram)
    return (max_datagram - DATAGRAM_HEADER_SIZE - FRAME_HEADER_SIZE - BODY_FIXED_MAX
            - BLOCK_HEADER_SIZE - LENGTH_SIZE)


cdef int check_limit(Py_ssize_t max_datagram) except -1:
    if not SMALLEST_BUILDER_LIMIT <= max_datagram <= LARGEST_BUILDER_LIMIT:
        raise ValueError(f"max_datagram must be {<int> SMALLEST_BUILDER_LIMIT} to {<int> LARGEST_BUILDER_LIMIT} "
                         f"bytes, got {max_datagram}")
    return 0


def whole_datagram(Header header not None, Message message not None, uint64_t group=0, bytes before not None=b""):
    """A datagram with this message behind ``before``, whole frames; as large as it needs, checksum and all: one too
    large for a path is cut into fragments (outgoing.pyx). ValueError for a message that must not travel."""
    cdef BodyPlan plan
    cdef bytes out
    cdef uint8_t* at
    cdef Py_ssize_t ahead = PyBytes_GET_SIZE(before)
    plan_body(message, header.from_, header.to, &plan)
    out = PyBytes_FromStringAndSize(NULL, DATAGRAM_HEADER_SIZE + ahead + FRAME_HEADER_SIZE + plan.size)
    at = <uint8_t*> PyBytes_AS_STRING(out)
    memcpy(at + DATAGRAM_HEADER_SIZE, PyBytes_AS_STRING(before), ahead)
    write_frame_header(at + DATAGRAM_HEADER_SIZE + ahead, group, FRAME_MESSAGE + message.type, <uint32_t> plan.size)
    write_body(message, &plan, at + DATAGRAM_HEADER_SIZE + ahead + FRAME_HEADER_SIZE)
    write_header(at, PyBytes_GET_SIZE(out), header)
    return out


def frame_datagram(Header header not None, int kind, uint64_t group, bytes head not None, bytes data=b""):
    """A datagram with one frame of the transport's own (kind from FRAME_TRANSPORT, 128, to 255), as large as it needs,
    checksum and all; its body is ``head``, then ``data``. ValueError for another kind, and for more than a frame holds.
    """
    cdef Py_ssize_t size = PyBytes_GET_SIZE(head) + PyBytes_GET_SIZE(data)
    cdef bytes out
    cdef uint8_t* at
    if not FRAME_TRANSPORT <= kind <= LARGEST_KIND:
        raise ValueError(f"kind must be {<int> FRAME_TRANSPORT} to {<int> LARGEST_KIND}, got {kind}")
    if size > UINT32_MAX:
        raise ValueError(f"a frame's body has at most {UINT32_MAX} bytes, got {size}")
    out = PyBytes_FromStringAndSize(NULL, DATAGRAM_HEADER_SIZE + FRAME_HEADER_SIZE + size)
    at = <uint8_t*> PyBytes_AS_STRING(out)
    write_frame_header(at + DATAGRAM_HEADER_SIZE, group, kind, <uint32_t> size)
    memcpy(at + DATAGRAM_HEADER_SIZE + FRAME_HEADER_SIZE, PyBytes_AS_STRING(head), PyBytes_GET_SIZE(head))
    memcpy(at + DATAGRAM_HEADER_SIZE + FRAME_HEADER_SIZE + PyBytes_GET_SIZE(head), PyBytes_AS_STRING(data),
           PyBytes_GET_SIZE(data))
    write_header(at, PyBytes_GET_SIZE(out), header)
    return out


@cython.final
cdef class DatagramBuilder:
    """Builds datagrams of at most max_datagram bytes to one receiver, one after the other.

    ``add`` and ``add_frame`` return False, having changed nothing, when the frame does not fit what is left: then
    ``finish``, send, and add again. A frame that would not fit an empty datagram raises ValueError.

    Attributes:
        header: of the datagrams to come.
        max_datagram: bytes in a datagram, header included; ValueError when it is made with what is not allowed. Also
            the most that :meth:`limit` takes.
        size: bytes of the datagram under way, header included.
        frames: how many are in it.
        refuses_appends: MsgApp is too large for it, whatever its size, as it has another way.
    """

    def __cinit__(self, Header header not None, Py_ssize_t max_datagram):
        check_limit(max_datagram)
        self.header = header
        self.max_datagram = self.capacity = max_datagram
        self.size = DATAGRAM_HEADER_SIZE
        self.buffer = <uint8_t*> malloc(max_datagram)
        if self.buffer == NULL:
            raise MemoryError(f"{max_datagram} bytes for a datagram")

    def __dealloc__(self):
        free(self.buffer)

    def set_header(self, Header header not None):
        """Another header from the next ``finish`` or ``bare`` on. ValueError when frames wait and it changes from_ or
        to, which their messages leave out."""
        if self.frames and (header.from_ != self.header.from_ or header.to != self.header.to):
            raise ValueError(f"{self.frames} frames from {self.header.from_} to {self.header.to} wait; they cannot go "
                             f"from {header.from_} to {header.to}")
        self.header = header

    def limit(self, Py_ssize_t max_datagram):
        """Datagrams have so many bytes at most from now on; a larger one that is under way goes as it is. ValueError
        for less than any builder takes, and for more than it was made with."""
        if not SMALLEST_BUILDER_LIMIT <= max_datagram <= self.capacity:
            raise ValueError(f"max_datagram must be {<int> SMALLEST_BUILDER_LIMIT} to {self.capacity} bytes, got "
                             f"{max_datagram}")
        self.max_datagram = max_datagram

    # 1: there is room for a frame with this body; 0: not in what is left; ValueError: never.
    cdef int _room(self, Py_ssize_t body_size) except -1:
        if body_size <= self.max_datagram - self.size - FRAME_HEADER_SIZE:
            return 1
        if body_size > self.max_datagram - DATAGRAM_HEADER_SIZE - FRAME_HEADER_SIZE:
            raise ValueError(f"a frame body of {body_size} bytes cannot fit a datagram of {self.max_datagram}: at most "
                             f"{self.max_datagram - DATAGRAM_HEADER_SIZE - FRAME_HEADER_SIZE} allowed")
        return 0

    cpdef bint add(self, Message message, uint64_t group=0) except -1:
        """Encodes message, of this group, into the datagram. ValueError when it can never be sent: too large, or of a
        local kind; TypeError for None."""
        cdef BodyPlan plan
        if message is None:
            raise TypeError("a Message expected, got None")
        if self.refuses_appends and message.type == MsgApp:
            raise ValueError("appends to this member have another way")
        plan_body(message, self.header.from_, self.header.to, &plan)
        return self._room(plan.size) and self._write(message, &plan, group)

    cdef bint add_fast(self, Message message, uint64_t group) noexcept:
        cdef uint8_t* at = self.buffer + self.size
        cdef Py_ssize_t size
        if self.refuses_appends and message.type == MsgApp:
            return False
        size = write_body_fast(message, self.header.from_, self.header.to, at + FRAME_HEADER_SIZE,
                               self.max_datagram - self.size - FRAME_HEADER_SIZE)
        if size == 0:
            return False
        write_frame_header(at, group, FRAME_MESSAGE + message.type, <uint32_t> size)
        self.size += FRAME_HEADER_SIZE + size
        self.frames += 1
        return True

    cdef int try_add(self, Message message, uint64_t group) except -1:
        """``add`` for those who have another way for a message that is too large: 1 added, 0 not now, 2 never."""
        cdef BodyPlan plan
        if self.refuses_appends and message.type == MsgApp:
            return 2
        plan_body(message, self.header.from_, self.header.to, &plan)
        if plan.size <= self.max_datagram - self.size - FRAME_HEADER_SIZE:
            return self._write(message, &plan, group)
        return 2 if plan.size > self.max_datagram - DATAGRAM_HEADER_SIZE - FRAME_HEADER_SIZE else 0

    cdef bint _write(self, Message message, const BodyPlan* plan, uint64_t group) noexcept:
        cdef uint8_t* at = self.buffer + self.size
        write_frame_header(at, group, FRAME_MESSAGE + message.type, <uint32_t> plan.size)
        write_body(message, plan, at + FRAME_HEADER_SIZE)
        self.size += FRAME_HEADER_SIZE + plan.size
        self.frames += 1
        return True

    cpdef bint add_frame(self, int kind, bytes body, uint64_t group=0) except -1:
        """Adds a frame of the transport's own: kind from FRAME_TRANSPORT (128) to 255. ValueError for another kind, and
        for a body that no datagram of this size holds; TypeError for None."""
        cdef uint8_t* at
        cdef Py_ssize_t size
        if not FRAME_TRANSPORT <= kind <= LARGEST_KIND:
            raise ValueError(f"kind must be {<int> FRAME_TRANSPORT} to {<int> LARGEST_KIND}, got {kind}")
        if body is None:
            raise TypeError("body must be bytes, got None")
        size = PyBytes_GET_SIZE(body)
        if not self._room(size):
            return False
        at = self.buffer + self.size
        write_frame_header(at, group, kind, <uint32_t> size)
        memcpy(at + FRAME_HEADER_SIZE, PyBytes_AS_STRING(body), size)
        self.size += FRAME_HEADER_SIZE + size
        self.frames += 1
        return True

    cdef Py_ssize_t seal(self) noexcept:
        """``finish`` for C: the datagram is the first bytes, as many as returned, of ``buffer`` until the next add."""
        cdef Py_ssize_t size = self.size
        write_header(self.buffer, size, self.header)
        self.size = DATAGRAM_HEADER_SIZE
        self.frames = 0
        return size

    cpdef bytes finish(self):
        """The datagram, checksum and all (the header alone when nothing was added); the builder is empty again."""
        cdef bytes out
        write_header(self.buffer, self.size, self.header)
        out = PyBytes_FromStringAndSize(<const char*> self.buffer, self.size)
        self.size = DATAGRAM_HEADER_SIZE
        self.frames = 0
        return out

    cpdef bytes bare(self):
        """The header alone, as a datagram; what was added so far stays."""
        write_header(self.buffer, DATAGRAM_HEADER_SIZE, self.header)
        return PyBytes_FromStringAndSize(<const char*> self.buffer, DATAGRAM_HEADER_SIZE)
