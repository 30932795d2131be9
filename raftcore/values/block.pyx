"""Blocks of entries: the checks that hostile bytes go through, and cutting.

What ``check_blocks`` guarantees of the bytes it lets pass:
  1. every byte belongs to exactly one block; there is at least one block and no block is empty.
  2. the lengths of a block add up to its payload size, none is above MAX_PAYLOAD, a no-op's are 0.
  3. indexes are consecutive across blocks, start at 1 or above, and the one after the last is still a u64.
  4. terms are at least 1; terms and log times never decrease.
"""
from libc.stdint cimport UINT64_MAX, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from raftcore.base.bytes cimport load32
from raftcore.base.types cimport EntryNoop

from raftcore.base.errors import DecodeError

cdef enum Rule:
    NOTHING
    HEADER
    COUNT_ZERO
    COUNT_LARGE
    PAYLOAD_LARGE
    LENGTH_LARGE
    LENGTH_SUM
    KIND
    NOOP
    RESERVED
    FIRST_ZERO
    FIRST_LARGE
    NOT_CONSECUTIVE
    TERM_ZERO
    TERM_DECREASES
    TIME_DECREASES

# In the order of Rule.
cdef tuple TEXTS = (
    "no block: 0 bytes, at least {allowed} expected",
    "{value} bytes where a block header needs {allowed}",
    "count 0, at least 1 entry expected",
    "count {value}, but the bytes left hold at most {allowed} lengths",
    "payload size {value}, but only {allowed} bytes are left",
    "an entry of {value} bytes, at most {allowed} allowed",
    "lengths add up to {value}, payload size is {allowed}",
    "kind {value}, at most {allowed} known",
    "a no-op with {value} bytes of payload, 0 allowed",
    "reserved field is {value}, must be {allowed}",
    "first index 0, at least 1 expected",
    "first index {value}, at most {allowed} allowed with this count",
    "first index {value}, but {allowed} follows the block before",
    "term 0, at least 1 expected",
    "term {value} after term {allowed}",
    "log time {value} ms after {allowed} ms",
)


cdef int raise_fault(const BlockFault* fault) except -1:
    cdef object text = TEXTS[fault.rule].format(value=fault.value, allowed=fault.allowed)
    raise DecodeError(f"block at byte {fault.offset}: {text}")


cdef inline bint fail(BlockFault* fault, int rule, uint64_t value, uint64_t allowed) noexcept nogil:
    fault.rule = rule
    fault.value = value
    fault.allowed = allowed
    return False


cdef uint32_t largest_length(const uint8_t* lengths, uint32_t count) noexcept nogil:
    cdef uint32_t largest = 0
    cdef uint32_t i
    for i in range(count):
        largest = max(largest, load32(lengths + LENGTH_SIZE * <uint64_t> i))
    return largest


# The rules that one block keeps by itself. `size` is the number of bytes from its first byte to the end of the data.
cdef bint check_alone(const uint8_t* at, uint64_t size, BlockHeader* header, BlockFault* fault) noexcept nogil:
    cdef const uint8_t* lengths = at + BLOCK_HEADER_SIZE
    cdef uint64_t room, total
    cdef uint32_t i, length, bits
    if size < BLOCK_HEADER_SIZE:
        return fail(fault, HEADER, size, BLOCK_HEADER_SIZE)
    read_block_header(at, header)
    if header.count == 0:
        return fail(fault, COUNT_ZERO, 0, 1)
    room = size - BLOCK_HEADER_SIZE
    if header.count > room // LENGTH_SIZE:
        return fail(fault, COUNT_LARGE, header.count, room // LENGTH_SIZE)
    room -= LENGTH_SIZE * <uint64_t> header.count
    if header.payload_size > room:
        return fail(fault, PAYLOAD_LARGE, header.payload_size, room)
    total = 0  # below 2**32 lengths below 2**32: cannot overflow
    bits = 0   # of all lengths: MAX_PAYLOAD is all ones, so one look at the end serves, and the loop stays plain
    for i in range(header.count):
        length = load32(lengths + LENGTH_SIZE * <uint64_t> i)
        bits |= length
        total += length
    if bits > MAX_PAYLOAD:
        return fail(fault, LENGTH_LARGE, largest_length(lengths, header.count), MAX_PAYLOAD)
    if total != header.payload_size:
        return fail(fault, LENGTH_SUM, total, header.payload_size)
    if header.kind > EntryNoop:
        return fail(fault, KIND, header.kind, EntryNoop)
    if header.kind == EntryNoop and header.payload_size != 0:
        return fail(fault, NOOP, header.payload_size, 0)
    if header.reserved != 0:
        return fail(fault, RESERVED, header.reserved, 0)
    if header.first == 0:
        return fail(fault, FIRST_ZERO, 0, 1)
    if header.first > UINT64_MAX - header.count:
        return fail(fault, FIRST_LARGE, header.first, UINT64_MAX - header.count)
    if header.term == 0:
        return fail(fault, TERM_ZERO, 0, 1)
    return True


cdef bint check_blocks(const uint8_t* data, Py_ssize_t size, BlockSummary* out, BlockFault* fault) noexcept nogil:
    cdef BlockHeader header
    cdef uint64_t end = <uint64_t> size
    cdef uint64_t at = 0
    cdef uint64_t last_time = 0
    fault.offset = 0
    if size <= 0:
        return fail(fault, NOTHING, 0, BLOCK_HEADER_SIZE + LENGTH_SIZE)
    out.blocks = 0
    out.count = 0
    out.payload_size = 0
    out.last_term = 0
    while at < end:
        fault.offset = at
        if not check_alone(data + at, end - at, &header, fault):
            return False
        if out.blocks == 0:
            out.first = header.first
            out.first_term = header.term
        elif header.first != out.first + out.count:
            return fail(fault, NOT_CONSECUTIVE, header.first, out.first + out.count)
        if header.term < out.last_term:
            return fail(fault, TERM_DECREASES, header.term, out.last_term)
        if header.time_ms < last_time:
            return fail(fault, TIME_DECREASES, header.time_ms, last_time)
        out.blocks += 1
        out.count += header.count
        out.last_term = header.term
        out.payload_size += header.payload_size
        last_time = header.time_ms
        at += block_size(&header)
    return True


cdef uint64_t cut_block(const uint8_t* block, uint32_t lo, uint32_t hi, uint64_t skip, uint64_t span,
                        uint8_t* to) noexcept nogil:
    cdef BlockHeader header
    read_block_header(block, &header)
    cdef const uint8_t* lengths = block + BLOCK_HEADER_SIZE
    cdef const uint8_t* payloads = lengths + LENGTH_SIZE * <uint64_t> header.count
    cdef uint64_t length_bytes = LENGTH_SIZE * <uint64_t> (hi - lo)
    header.first += lo
    header.count = hi - lo
    header.payload_size = <uint32_t> span
    write_block_header(to, &header)
    memcpy(to + BLOCK_HEADER_SIZE, lengths + LENGTH_SIZE * <uint64_t> lo, length_bytes)
    memcpy(to + BLOCK_HEADER_SIZE + length_bytes, payloads + skip, span)
    return BLOCK_HEADER_SIZE + length_bytes + span
