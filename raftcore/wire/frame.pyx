"""How a frame of a datagram is read."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from raftcore.base.bytes cimport load16, load32, load64
from raftcore.base.types cimport MESSAGE_TYPES
from raftcore.values.message cimport Message
from raftcore.wire.body cimport decode_body

from raftcore.base.errors import DecodeError


cdef Py_ssize_t open_frame(const uint8_t* data, Py_ssize_t size, Py_ssize_t offset, uint64_t* group,
                           int* kind) except -1:
    cdef const uint8_t* at = data + offset
    cdef uint32_t length
    if size - offset < FRAME_HEADER_SIZE:
        raise DecodeError(f"{size - offset} bytes at {offset} where a frame header needs {<int> FRAME_HEADER_SIZE}")
    group[0] = load64(at)
    kind[0] = at[8]
    length = load32(at + 12)
    if length > size - offset - FRAME_HEADER_SIZE:
        raise DecodeError(f"a frame body of {length} bytes, but only {size - offset - FRAME_HEADER_SIZE} are left")
    return length


cdef int check_frame_header(const uint8_t* at) except -1:
    if at[9] or load16(at + 10):
        raise DecodeError(f"frame flags {at[9]:#04x} and reserved {load16(at + 10)}, 0 and 0 expected")
    if at[8] < FRAME_TRANSPORT and not FRAME_MESSAGE <= at[8] < FRAME_MESSAGE + MESSAGE_TYPES:
        raise DecodeError(f"frame kind {at[8]}, {<int> FRAME_MESSAGE} to {FRAME_MESSAGE + MESSAGE_TYPES - 1} and from "
                          f"{<int> FRAME_TRANSPORT} on known")
    return 0


cdef Message decode_frame_general(const uint8_t* data, Py_ssize_t size, Py_ssize_t* offset, uint64_t* group, int* kind):
    cdef Py_ssize_t start = offset[0]
    cdef Py_ssize_t length
    offset[0] = size
    length = open_frame(data, size, start, group, kind)
    offset[0] = start + FRAME_HEADER_SIZE + length
    if not FRAME_MESSAGE <= kind[0] < FRAME_MESSAGE + MESSAGE_TYPES or load32(data + start + 8) >> 8:
        check_frame_header(data + start)
        if kind[0] >= FRAME_TRANSPORT:
            return None
    return decode_body(kind[0] - FRAME_MESSAGE, data + start + FRAME_HEADER_SIZE, length)
