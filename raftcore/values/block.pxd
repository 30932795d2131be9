# A block: consecutive entries of one term, kind and log time, in the one byte form that is sent and stored.
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from raftcore.base.bytes cimport load32, load64, store32, store64
from raftcore.base.types cimport index_t, term_t

cdef enum:
    BLOCK_HEADER_SIZE = 40
    LENGTH_SIZE = 4           # bytes of one entry's length word
    MAX_PAYLOAD = 0x3FFFFFFF  # bytes in one entry: the top two bits of a length word in memory hold the kind

# The header of a block, as docs/wire-format.md gives it byte by byte (little endian, in this order).
cdef struct BlockHeader:
    index_t first           # index of the block's first entry
    term_t term             # the one term of all its entries
    uint64_t time_ms        # the leader's log time, never decreasing along the log
    uint32_t count          # entries, at least 1
    uint32_t payload_size   # bytes of all payloads
    uint32_t kind           # EntryKind of all its entries
    uint32_t reserved       # 0

# What is known of blocks back to back once they have been checked.
cdef struct BlockSummary:
    index_t first
    uint64_t count          # entries in all blocks
    term_t first_term
    term_t last_term
    uint64_t payload_size   # bytes of all payloads of all blocks
    uint32_t blocks

# What is wrong with bytes that are no blocks: which rule (an index into block.pyx's table of texts) and the numbers.
cdef struct BlockFault:
    int rule
    uint64_t value          # what was found
    uint64_t allowed        # the bound or the one value allowed
    uint64_t offset         # of the block in the bytes

# Reads the block header at `at`; the caller has checked that BLOCK_HEADER_SIZE bytes are there.
cdef inline void read_block_header(const uint8_t* at, BlockHeader* out) noexcept nogil:
    out.first = load64(at)
    out.term = load64(at + 8)
    out.time_ms = load64(at + 16)
    out.count = load32(at + 24)
    out.payload_size = load32(at + 28)
    out.kind = load32(at + 32)
    out.reserved = load32(at + 36)


cdef inline void write_block_header(uint8_t* at, const BlockHeader* header) noexcept nogil:
    store64(at, header.first)
    store64(at + 8, header.term)
    store64(at + 16, header.time_ms)
    store32(at + 24, header.count)
    store32(at + 28, header.payload_size)
    store32(at + 32, header.kind)
    store32(at + 36, header.reserved)


# Bytes of the whole block.
cdef inline uint64_t block_size(const BlockHeader* header) noexcept nogil:
    return BLOCK_HEADER_SIZE + LENGTH_SIZE * <uint64_t> header.count + header.payload_size


# Bytes of the payloads of entries lo to hi - 1 (positions in the block). `block` points at a checked block.
cdef inline uint64_t payload_span(const uint8_t* block, uint32_t lo, uint32_t hi) noexcept nogil:
    cdef const uint8_t* lengths = block + BLOCK_HEADER_SIZE
    cdef uint64_t total = 0
    cdef uint32_t i
    for i in range(lo, hi):
        total += load32(lengths + LENGTH_SIZE * <uint64_t> i)
    return total


# True when data is whole valid blocks back to back (at least one), and then `out` is filled; else `fault` is.
cdef bint check_blocks(const uint8_t* data, Py_ssize_t size, BlockSummary* out, BlockFault* fault) noexcept nogil
# Raises DecodeError with the text for `fault`.
cdef int raise_fault(const BlockFault* fault) except -1
# Cuts entries lo to hi - 1 (positions in the checked block at `block`) out as a block of their own: a new header over
# the same lengths and payloads. `skip` is payload_span(block, 0, lo), `span` is payload_span(block, lo, hi). Returns
# the bytes written.
cdef uint64_t cut_block(const uint8_t* block, uint32_t lo, uint32_t hi, uint64_t skip, uint64_t span,
                        uint8_t* to) noexcept nogil
