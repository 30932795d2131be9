# Frames, of which a datagram has any number behind its header (header.pxd): (group, kind, body), and how one is read.
# Every byte is in docs/wire-format.md. Foreign bytes enter here: a bounds check opens every read.
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from raftcore.base.bytes cimport load32, load64, store16, store32, store64
from raftcore.base.types cimport MESSAGE_TYPES
from raftcore.values.message cimport Message
from raftcore.wire.body cimport decode_body

cdef enum:
    FRAME_HEADER_SIZE = 16
    FRAME_MESSAGE = 1      # first frame kind of the core: kind - FRAME_MESSAGE is the MessageType
    FRAME_TRANSPORT = 128  # kinds from here on belong to the transport; the core skips them
    LARGEST_KIND = 255

cdef inline void write_frame_header(uint8_t* at, uint64_t group, int kind, uint32_t body_length) noexcept nogil:
    store64(at, group)
    at[8] = <uint8_t> kind
    at[9] = 0
    store16(at + 10, 0)
    store32(at + 12, body_length)


# Looks at the frame at data + offset (offset < size), which is not decoded: where it ends, and its group. One that is
# cut short ends with the data, and is of group 0 when not even its header is there: whoever decodes it then refuses it.
cdef inline Py_ssize_t end_of_frame(const uint8_t* data, Py_ssize_t size, Py_ssize_t offset,
                                    uint64_t* group) noexcept nogil:
    cdef Py_ssize_t left = size - offset - FRAME_HEADER_SIZE
    cdef uint32_t body_length
    group[0] = 0
    if left < 0:
        return size
    group[0] = load64(data + offset)
    body_length = load32(data + offset + 12)
    return size if body_length > left else offset + FRAME_HEADER_SIZE + body_length

# Reads the frame header at offset and checks that its body is there. Returns the length of the body.
cdef Py_ssize_t open_frame(const uint8_t* data, Py_ssize_t size, Py_ssize_t offset, uint64_t* group,
                           int* kind) except -1
# DecodeError for flags, reserved bytes or a kind that no frame of this version has.
cdef int check_frame_header(const uint8_t* at) except -1

# The frame at data + offset[0] (offset[0] < size), and offset[0] moved past it. group and kind are set as soon as they
# are known. None for a frame of the transport (kind[0] >= FRAME_TRANSPORT). DecodeError when the frame's header is
# broken (offset[0] is then size: nothing after it can be found) or its contents are (offset[0] is past the frame: the
# caller may go on). from_ and to of the message are 0 unless it carries them: they are datagram_from and datagram_to.
cdef inline Message decode_frame(const uint8_t* data, Py_ssize_t size, Py_ssize_t* offset, uint64_t* group, int* kind):
    cdef const uint8_t* at = data + offset[0]
    cdef Py_ssize_t left = size - offset[0] - FRAME_HEADER_SIZE
    # A message of the core with nothing wrong about its header: flags and reserved 0, and its body is there.
    if left < 0 or load32(at + 12) > left or not FRAME_MESSAGE <= load32(at + 8) < FRAME_MESSAGE + MESSAGE_TYPES:
        return decode_frame_general(data, size, offset, group, kind)
    group[0] = load64(at)
    kind[0] = at[8]
    offset[0] += FRAME_HEADER_SIZE + load32(at + 12)
    return decode_body(kind[0] - FRAME_MESSAGE, at + FRAME_HEADER_SIZE, load32(at + 12))


cdef Message decode_frame_general(const uint8_t* data, Py_ssize_t size, Py_ssize_t* offset, uint64_t* group, int* kind)
