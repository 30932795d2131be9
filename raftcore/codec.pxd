# Datagrams and frames <-> messages. Foreign bytes enter here: a bounds check opens every read.
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from raftcore.message cimport Message

cdef enum:
    DATAGRAM_HEADER_SIZE = 64
    FRAME_HEADER_SIZE = 16
    FRAME_MESSAGE = 1     # first frame kind of the core: kind - FRAME_MESSAGE is the MessageType
    FRAME_TRANSPORT = 128 # kinds from here on belong to the transport (hello ...); the core skips them

cdef uint32_t crc32c_update(uint32_t crc, const uint8_t* data, Py_ssize_t size) noexcept nogil
# The message in the body of one frame, or DecodeError.
cdef Message decode_body(int message_type, const uint8_t* body, Py_ssize_t size)
# Bytes the message's body takes, and writing it at `at` (which has room for them).
cdef Py_ssize_t body_size(Message message) except -1
cdef int encode_body(Message message, uint8_t* at) except -1
