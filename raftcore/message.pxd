# The values that travel: entries in byte form, messages, snapshots. All immutable once handed out.
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from raftcore.types cimport index_t, node_id_t, term_t

cdef enum:
    BLOCK_HEADER_SIZE = 40
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
    cdef readonly uint64_t payload_size # bytes of all payloads
    cdef readonly uint32_t blocks       # blocks in data
    cdef Py_ssize_t _at_offset          # iteration cache: block that held the last entry asked for

    cdef Entry entry_at(self, uint64_t position)

# Trusted constructor: the caller (log, codec) has already made sure that data is well formed.
cdef Entries make_entries(bytes data, index_t first, uint64_t count, term_t first_term, term_t last_term,
                          uint64_t payload_size, uint32_t blocks)
# Checks everything a hostile peer or a damaged store could have got wrong; DecodeError otherwise.
cdef Entries parse_entries(const uint8_t* data, Py_ssize_t size)
# Reads the block header at `at`; the caller has checked that BLOCK_HEADER_SIZE bytes are there.
cdef void read_block_header(const uint8_t* at, BlockHeader* out) noexcept nogil
cdef void write_block_header(uint8_t* at, const BlockHeader* header) noexcept nogil

cdef class HardState:
    # What must survive a crash besides the log (Figure 2, persistent state).
    cdef readonly term_t term
    cdef readonly node_id_t vote
    cdef readonly index_t commit

cdef class ConfState:
    # A configuration as it is printed, stored and sent; each tuple sorted ascending.
    cdef readonly tuple voters
    cdef readonly tuple voters_outgoing
    cdef readonly tuple learners
    cdef readonly tuple learners_next
    cdef readonly bint auto_leave

cdef class Snapshot:
    cdef readonly index_t index
    cdef readonly term_t term
    cdef readonly ConfState conf_state
    cdef readonly index_t conf_index   # index of the configuration entry that conf_state is from
    cdef readonly bytes data

cdef class Message:
    cdef public int type               # MessageType
    cdef public node_id_t to
    cdef public node_id_t from_
    cdef public term_t term            # 0: a local message
    cdef public term_t log_term        # term of the entry at index (MsgApp: of the entry before entries)
    cdef public index_t index
    cdef public index_t commit
    cdef public node_id_t vote         # MsgStorageAppend only
    cdef public bint reject
    cdef public index_t reject_hint
    cdef public index_t conf_index     # configuration entry that made the follower's progress; echoed in replies
    cdef public bint must_sync         # MsgStorageAppend only: set by the core
    cdef public Entries entries        # None when there are none
    cdef public Snapshot snapshot      # None when there is none
    cdef public bytes context          # None when there is none
    cdef public list responses         # messages to deliver once the storage work is done; None when there are none

cdef Message new_message(int type, node_id_t to)
