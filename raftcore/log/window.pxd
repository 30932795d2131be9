# The entries kept in memory: 16 bytes for each, pointing into shared chunks of payload bytes.
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from raftcore.base.types cimport index_t

cdef enum:
    MIN_CHUNK = 256       # bytes in a log's first chunk; each next one is twice as large ...
    MAX_CHUNK = 0x10000   # ... up to this
    MOST_KEPT = 0x10000   # bytes of an object that is kept for a block in it, unless there is one payload in it ...
    KEPT_FOR = 4          # ... and times the payload
    KIND_SHIFT = 30       # an EntryRef's word: kind in the top two bits, payload length below
    LENGTH_MASK = 0x3FFFFFFF

# Bytes of payload in a block from which they stay where they are. Few in a build for tests, whose blocks are small.
cdef extern from *:
    """
    #ifdef RAFTPY_INVARIANTS
    #define RAFTPY_REFERRED_TO 8
    #else
    #define RAFTPY_REFERRED_TO 4096
    #endif
    """
    const uint32_t REFERRED_TO "RAFTPY_REFERRED_TO"

# Payload bytes of many entries, back to back. Freed with its last reference.
cdef struct Chunk:
    int64_t refs          # entries (of all logs) whose payload is in here, plus 1 while a window has it open
    uint8_t* at           # its bytes: behind this struct, or in `owner`
    PyObject* owner       # the bytes object that they are a part of, and a reference to it; NULL: they are the chunk's
    uint32_t used         # bytes written; what is written never changes
    uint32_t size         # bytes there is room for
    bint alone            # made for one large payload

cdef struct EntryRef:
    Chunk* chunk          # NULL for an empty payload
    uint32_t offset       # of the payload in the chunk
    uint32_t word         # kind and length

# Entries first .. first + count - 1, and behind them those that are staged: written, but not in the log yet.
#   1. sum of refs over a window's entries <= chunk.refs for each chunk
#   2. payload_bytes is the sum of the lengths of the live entries
cdef struct Window:
    EntryRef* slots       # the allocation
    size_t head           # position of the first entry in slots
    size_t count          # live entries
    size_t staged         # entries staged behind them
    size_t capacity       # entries that slots has room for
    index_t first         # index of the first entry; the next one to be appended when count is 0
    uint64_t payload_bytes
    Chunk* open           # the chunk that this window, and no other, is filling; NULL when there is none
    uint32_t next_chunk   # size of the next chunk to be made

cdef void window_init(Window* window, index_t first) noexcept nogil
cdef void window_free(Window* window) noexcept nogil
# Room for `extra` more entries. False: out of memory, nothing changed.
cdef bint window_reserve(Window* window, size_t extra) noexcept nogil
# Stages one entry (room has been reserved); returns where its payload is to be written, NULL when out of memory.
cdef uint8_t* window_stage(Window* window, uint32_t length, uint32_t kind) noexcept nogil
# Stages `count` entries of a block: little-endian u32 lengths, and their payloads back to back, `size` bytes of the
# bytes object `owner`, which is kept for many. False: out of memory.
cdef bint window_stage_span(Window* window, const uint8_t* lengths, const uint8_t* payload, uint32_t count,
                            uint32_t size, uint32_t kind, PyObject* owner) noexcept nogil
cdef void window_discard_staged(Window* window) noexcept nogil
# Makes the staged entries follow the first `keep` live ones; the live ones behind those are dropped.
cdef void window_commit_staged(Window* window, size_t keep) noexcept nogil
cdef void window_drop_front(Window* window, size_t count) noexcept nogil
# Empty from here on, with `first` as the next index.
cdef void window_reset(Window* window, index_t first) noexcept nogil
# Makes `copy` (initialised, empty) the same as `source`, sharing its chunks, which only `source` may go on filling.
# False: out of memory.
cdef bint window_share(Window* copy, const Window* source) noexcept nogil
# Bytes allocated for it, chunks included (those it shares with a clone too). Walks over all entries.
cdef uint64_t window_memory(const Window* window) noexcept nogil

# What is wrong with it; None when nothing is.
cdef str window_fault(const Window* window)

cdef inline EntryRef* window_at(const Window* window, index_t index) noexcept nogil:
    return window.slots + window.head + <size_t> (index - window.first)

cdef inline uint8_t* chunk_bytes(Chunk* chunk) noexcept nogil:
    return chunk.at

cdef inline uint32_t ref_length(const EntryRef* ref) noexcept nogil:
    return ref.word & LENGTH_MASK

cdef inline uint32_t ref_kind(const EntryRef* ref) noexcept nogil:
    return ref.word >> KIND_SHIFT
