# Entries in byte form: an immutable run of the log, without a Python object per entry.
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from raftcore.base.types cimport index_t, term_t
from raftcore.values.block cimport (
    BLOCK_HEADER_SIZE, LENGTH_SIZE, MAX_PAYLOAD, BlockHeader, BlockSummary, read_block_header, write_block_header,
)

cdef class Entry:
    # One entry as a Python object; made on demand, never stored by the core.
    cdef readonly term_t term
    cdef readonly index_t index
    cdef readonly int kind
    cdef readonly bytes data

cdef class Entries:
    # A run of consecutive entries, in byte form: whole blocks back to back.
    #   1. data decodes completely: every block's lengths add up, no byte is left over.
    #   2. indexes are consecutive from first to first + count - 1; terms and times never decrease.
    cdef readonly bytes data            # blocks, back to back
    cdef readonly index_t first         # index of the first entry
    cdef readonly uint64_t count        # entries, at least 1
    cdef readonly term_t first_term
    cdef readonly term_t last_term
    cdef readonly uint64_t payload_size  # bytes of all payloads
    cdef readonly uint32_t blocks       # blocks in data
    # Where the last entry asked for was, so that asking for the next one is O(1). _at_payload 0: nowhere yet.
    cdef Py_ssize_t _at_offset          # its block in data
    cdef uint64_t _at_position          # position of that block's first entry
    cdef uint32_t _at_entry             # its position in the block
    cdef Py_ssize_t _at_payload         # its payload in data

    cdef Entry entry_at(self, uint64_t position)
    # The length of the entry's payload; `at` is set to its first byte, valid as long as self.
    cdef uint32_t payload_at(self, uint64_t position, const uint8_t** at) noexcept
    # Moves the cache to the entry at position (< count) and reads its block's header.
    cdef void seek(self, uint64_t position, BlockHeader* header) noexcept
    cdef void _rewind(self, const BlockHeader* header) noexcept
    # Entries lo to hi - 1 by log index; IndexError outside first <= lo < hi <= last + 1.
    cpdef Entries slice(self, index_t lo, index_t hi)

# Trusted constructor: the caller (log, codec) has already made sure that data is well formed.
cdef Entries make_entries(bytes data, index_t first, uint64_t count, term_t first_term, term_t last_term,
                          uint64_t payload_size, uint32_t blocks)
# Checks everything a hostile peer or a damaged store could have got wrong; DecodeError otherwise.
cdef Entries parse_entries(const uint8_t* data, Py_ssize_t size)
# One block over commands (a sequence of bytes, at least one) as a bytes object; ValueError when too large.
cdef bytes make_block(index_t first, term_t term, uint64_t time_ms, uint32_t kind, object commands)
