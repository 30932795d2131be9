"""Fragments of a datagram that no path carries whole, and their acknowledgements; see docs/wire-format.md.

The functions for Python are for tests and for tools that look at traffic.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport UINT32_MAX, UINT64_MAX, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from raftcore.base.buffer cimport Buffer, buffer_of
from raftcore.base.bytes cimport load16, load32, load64, store16, store32, store64
from raftcore.base.crc cimport crc32c_update
from raftcore.wire.frame cimport write_frame_header
from raftcore.wire.header cimport CHECKSUM_SIZE

from raftcore.base.errors import DecodeError

# For Python. (The numbers themselves stand in fragment.pxd.)
globals().update(
    FRAME_FRAGMENT=FRAME_FRAGMENT, FRAME_FRAGMENT_ACK=FRAME_FRAGMENT_ACK, FRAGMENT_HEADER_SIZE=FRAGMENT_HEADER_SIZE,
    FRAGMENT_OVERHEAD=FRAGMENT_OVERHEAD, LEAST_STEP=LEAST_STEP, LARGEST_CUT=LARGEST_CUT, ACK_RANGES=ACK_RANGES,
)


# --- A fragment ------------------------------------------------------------------------------------------------------

cdef void write_fragment(uint8_t* at, const Fragment* fragment) noexcept nogil:
    store64(at, fragment.packet)
    store64(at + 8, fragment.message)
    store32(at + 16, fragment.checksum)
    store32(at + 20, fragment.size)
    store32(at + 24, fragment.step)
    store32(at + 28, fragment.index)
    memcpy(at + FRAGMENT_HEADER_SIZE, fragment.bytes, fragment.length)


cdef bytes fragment_datagram(bytes whole, uint64_t packet, uint64_t message, uint32_t step, uint32_t index):
    cdef const uint8_t* from_ = <const uint8_t*> PyBytes_AS_STRING(whole)
    cdef Fragment fragment
    cdef Py_ssize_t size
    cdef bytes out
    cdef uint8_t* at
    fragment.packet, fragment.message, fragment.checksum = packet, message, load32(from_)
    fragment.size = <uint32_t> (PyBytes_GET_SIZE(whole) - DATAGRAM_HEADER_SIZE)
    fragment.step, fragment.index = step, index
    fragment.length = fragment_length(fragment.size, step, index)
    fragment.bytes = from_ + DATAGRAM_HEADER_SIZE + <uint64_t> index * step
    size = FRAGMENT_OVERHEAD + fragment.length
    out = PyBytes_FromStringAndSize(NULL, size)
    at = <uint8_t*> PyBytes_AS_STRING(out)
    memcpy(at, from_, DATAGRAM_HEADER_SIZE)
    write_frame_header(at + DATAGRAM_HEADER_SIZE, 0, FRAME_FRAGMENT, FRAGMENT_HEADER_SIZE + fragment.length)
    write_fragment(at + DATAGRAM_HEADER_SIZE + FRAME_HEADER_SIZE, &fragment)
    store32(at, crc32c_update(0, at + CHECKSUM_SIZE, size - CHECKSUM_SIZE))
    return out


cdef int read_fragment(const uint8_t* body, Py_ssize_t size, Fragment* fragment) except -1:
    if size <= FRAGMENT_HEADER_SIZE:
        raise DecodeError(f"{size} bytes where a fragment needs more than {<int> FRAGMENT_HEADER_SIZE}")
    fragment.packet = load64(body)
    fragment.message = load64(body + 8)
    fragment.checksum = load32(body + 16)
    fragment.size = load32(body + 20)
    fragment.step = load32(body + 24)
    fragment.index = load32(body + 28)
    if fragment.packet == 0 or fragment.message == 0:
        raise DecodeError(f"fragment {fragment.packet} of message {fragment.message}: both are counted from 1")
    if not 1 <= fragment.size <= LARGEST_CUT:
        raise DecodeError(f"fragments of {fragment.size} bytes together: 1 to {<int> LARGEST_CUT} are allowed")
    if not LEAST_STEP <= fragment.step <= LARGEST_CUT:
        raise DecodeError(f"fragments of {fragment.step} bytes each: {<int> LEAST_STEP} to {<int> LARGEST_CUT} are "
                          "allowed")
    if <uint64_t> fragment.index * fragment.step >= fragment.size:
        raise DecodeError(f"fragment {fragment.index} of {fragment.step} bytes begins behind {fragment.size}")
    fragment.length = fragment_length(fragment.size, fragment.step, fragment.index)
    if size - FRAGMENT_HEADER_SIZE != fragment.length:
        raise DecodeError(f"a fragment of {size - FRAGMENT_HEADER_SIZE} bytes, {fragment.length} expected")
    fragment.bytes = body + FRAGMENT_HEADER_SIZE
    return 0


def encode_fragment(uint64_t packet, uint64_t message, uint32_t checksum, uint32_t size, uint32_t step, uint32_t index,
                    bytes data not None):
    """The body of a frame with a fragment; nothing is checked."""
    cdef bytes out = PyBytes_FromStringAndSize(NULL, FRAGMENT_HEADER_SIZE + len(data))
    cdef Fragment fragment
    fragment.packet, fragment.message, fragment.checksum = packet, message, checksum
    fragment.size, fragment.step, fragment.index = size, step, index
    fragment.bytes = <const uint8_t*> PyBytes_AS_STRING(data)
    fragment.length = <uint32_t> len(data)
    write_fragment(<uint8_t*> PyBytes_AS_STRING(out), &fragment)
    return out


def decode_fragment(body):
    """(packet, message, checksum, size, step, index, bytes) of a frame's body (bytes-like). DecodeError."""
    cdef Buffer view = buffer_of(body)
    cdef Fragment fragment
    read_fragment(view.at, view.size, &fragment)
    return (fragment.packet, fragment.message, fragment.checksum, fragment.size, fragment.step, fragment.index,
            PyBytes_FromStringAndSize(<const char*> fragment.bytes, fragment.length))


# --- An acknowledgement ----------------------------------------------------------------------------------------------

# The newest number and how many below it have come as well; then, going down, how many are missing and how many have
# come. A stretch longer than what its field holds is named as far as that goes: what is below it is left out.

cdef bytes write_ack(const Range* ranges, int count):
    cdef uint8_t body[ACK_HEADER_SIZE + (ACK_RANGES - 1) * ACK_RANGE_SIZE]
    cdef uint8_t* at = body + ACK_HEADER_SIZE
    cdef uint64_t have = min(ranges[0].high - ranges[0].low, <uint64_t> UINT32_MAX)
    cdef uint64_t low = ranges[0].high - have
    cdef uint64_t missing
    cdef int i = 1
    store64(body, ranges[0].high)
    store32(body + 8, <uint32_t> have)
    while i < count and low == ranges[i - 1].low:
        missing = low - ranges[i].high - 1
        if missing > UINT32_MAX:
            break
        have = min(ranges[i].high - ranges[i].low + 1, <uint64_t> UINT32_MAX)
        low = ranges[i].high + 1 - have
        store32(at, <uint32_t> missing)
        store32(at + 4, <uint32_t> have)
        at += ACK_RANGE_SIZE
        i += 1
    store16(body + 12, <uint16_t> (i - 1))
    store16(body + 14, 0)
    return PyBytes_FromStringAndSize(<const char*> body, at - body)


cdef int read_ack(const uint8_t* body, Py_ssize_t size, Range* ranges) except -1:
    cdef uint64_t missing, have
    cdef int count, i
    if size < ACK_HEADER_SIZE:
        raise DecodeError(f"{size} bytes where an acknowledgement needs {<int> ACK_HEADER_SIZE}")
    count = load16(body + 12) + 1
    if load16(body + 14):
        raise DecodeError(f"reserved bytes of an acknowledgement are {load16(body + 14)}, 0 expected")
    if count > ACK_RANGES:
        raise DecodeError(f"an acknowledgement of {count} ranges, at most {<int> ACK_RANGES} allowed")
    if size != ACK_HEADER_SIZE + (count - 1) * ACK_RANGE_SIZE:
        raise DecodeError(f"an acknowledgement of {count} ranges takes "
                          f"{ACK_HEADER_SIZE + (count - 1) * ACK_RANGE_SIZE} bytes, not {size}")
    ranges[0].high = load64(body)
    if load32(body + 8) >= ranges[0].high:
        raise DecodeError(f"acknowledged are {ranges[0].high} and {load32(body + 8)} below it: they begin with 1")
    ranges[0].low = ranges[0].high - load32(body + 8)
    for i in range(1, count):
        body += ACK_RANGE_SIZE
        missing = load32(body + ACK_HEADER_SIZE - ACK_RANGE_SIZE)
        have = load32(body + ACK_HEADER_SIZE - ACK_RANGE_SIZE + 4)
        if missing == 0 or have == 0 or missing + have >= ranges[i - 1].low:
            raise DecodeError(f"below {ranges[i - 1].low} are {missing} missing and {have} acknowledged: at least 1 "
                              "each, and they begin with 1")
        ranges[i].high = ranges[i - 1].low - missing - 1
        ranges[i].low = ranges[i].high - have + 1
    return count


def encode_ack(ranges):
    """The body of a frame that acknowledges: (low, high) pairs of numbers, the highest first, at least one missing
    between each two. ValueError when that is not so."""
    cdef Range out[ACK_RANGES]
    cdef uint64_t below = UINT64_MAX
    cdef int count = 0
    for low, high in ranges:
        if count == ACK_RANGES or not 0 < low <= high < below - (count > 0):
            raise ValueError(f"{list(ranges)} is no descending list of at most {<int> ACK_RANGES} ranges")
        out[count].low, out[count].high = low, high
        below = low
        count += 1
    if count == 0:
        raise ValueError("an acknowledgement names one range at least")
    return write_ack(out, count)


def decode_ack(body):
    """The (low, high) pairs of a frame's body (bytes-like), the highest first. DecodeError."""
    cdef Buffer view = buffer_of(body)
    cdef Range ranges[ACK_RANGES]
    cdef int count = read_ack(view.at, view.size, ranges)
    return [(ranges[i].low, ranges[i].high) for i in range(count)]
