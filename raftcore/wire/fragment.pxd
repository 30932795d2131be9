# Fragments of a datagram that no path carries whole, and their acknowledgements: what the two frames hold, byte by byte
# (docs/wire-format.md). What is sent when is outgoing.pyx, what is put together incoming.pyx.
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from raftcore.wire.frame cimport FRAME_HEADER_SIZE, FRAME_TRANSPORT
from raftcore.wire.header cimport DATAGRAM_HEADER_SIZE

cdef enum:
    FRAME_FRAGMENT = FRAME_TRANSPORT + 2
    FRAME_FRAGMENT_ACK = FRAME_TRANSPORT + 3
    FRAGMENT_HEADER_SIZE = 32
    # What a datagram with a fragment holds beside the fragment's bytes.
    FRAGMENT_OVERHEAD = DATAGRAM_HEADER_SIZE + FRAME_HEADER_SIZE + FRAGMENT_HEADER_SIZE
    SURE_SIZE = 1200           # datagrams up to it pass, whatever the path takes: path_size.BASE_SIZE
    RUN_DATAGRAMS = 64         # datagrams that Linux takes at once (UDP_MAX_SEGMENTS),
    RUN_BYTES = 65507          # and what UDP carries in one packet
    LEAST_STEP = 256           # bytes of a fragment that is not the last: it bounds how many a message may have
    LARGEST_CUT = 1 << 30      # bytes behind a header that are cut
    ACK_HEADER_SIZE = 16
    ACK_RANGE_SIZE = 8
    ACK_RANGES = 32            # stretches of numbers that an acknowledgement names; with it a datagram of 512 bytes

cdef struct Fragment:
    uint64_t packet            # of the datagram: each has its own, those that repeat a fragment too
    uint64_t message           # which message it is of
    uint32_t checksum          # that of the whole datagram's header
    uint32_t size              # bytes behind the whole datagram's header
    uint32_t step              # bytes in each fragment but the last
    uint32_t index             # which fragment, from 0
    const uint8_t* bytes       # its bytes,
    uint32_t length            # and how many they are

# Bytes in the fragment of that index.
cdef inline uint32_t fragment_length(uint32_t size, uint32_t step, uint32_t index) noexcept nogil:
    cdef uint64_t at = <uint64_t> index * step
    return <uint32_t> min(<uint64_t> step, size - at)


# How many fragments a message has.
cdef inline uint32_t fragment_count(uint32_t size, uint32_t step) noexcept nogil:
    return <uint32_t> ((<uint64_t> size + step - 1) // step)

# A datagram with that fragment of a whole one, under a number of its own; checksum and all.
cdef bytes fragment_datagram(bytes whole, uint64_t packet, uint64_t message, uint32_t step, uint32_t index)
cdef void write_fragment(uint8_t* at, const Fragment* fragment) noexcept nogil
# The body of a frame as a fragment, whose bytes lie in the body; DecodeError.
cdef int read_fragment(const uint8_t* body, Py_ssize_t size, Fragment* fragment) except -1

# Numbers of datagrams that have come, from low to high.
cdef struct Range:
    uint64_t low
    uint64_t high

cdef bytes write_ack(const Range* ranges, int count)
# The ranges of an acknowledgement, the newest first, into an array of ACK_RANGES; how many; DecodeError.
cdef int read_ack(const uint8_t* body, Py_ssize_t size, Range* ranges) except -1
