# Datagrams and frames <-> messages. Foreign bytes enter here: a bounds check opens every read.
# The parts: crc (checksum), body (one message), datagram (header, building); all their names can be had from here.
from libc.stdint cimport uint8_t, uint64_t

from raftcore.base.bytes cimport load32, load64
from raftcore.base.crc cimport crc32c_update
from raftcore.base.types cimport MESSAGE_TYPES
from raftcore.values.message cimport Message
from raftcore.wire.body cimport BodyPlan, decode_body, plan_body, write_body
from raftcore.wire.datagram cimport DatagramBuilder, Header
from raftcore.wire.frame cimport (
    DATAGRAM_HEADER_SIZE, FRAME_HEADER_SIZE, FRAME_MESSAGE, FRAME_TRANSPORT, datagram_from, datagram_to, end_of_frame,
)

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
