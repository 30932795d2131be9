"""The window: recent entries in memory, without a Python object for each.

An entry is 16 bytes: chunk, offset, length and kind. Small payloads are copied once, into chunks that many entries
share. A block with much payload stays where it came: a chunk refers to the bytes object that it is a part of. Chunks
are counted by the entries that point into them, and go with the last one.

Appending has two steps. Staging does all that can fail (memory) behind the live entries; committing, which cannot
fail, drops what the new entries replace and makes them live. A failed append leaves the log as it was.

Nothing here is thread-safe by itself: two logs that share chunks must be used under one lock, and references to bytes
objects are counted: the GIL.
"""

from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memmove

from raftcore.base.bytes cimport load32
from raftcore.base.growable cimport make_room
from raftcore.base.types cimport index_t

cdef extern from "Python.h":
    Py_ssize_t size_of_bytes "PyBytes_GET_SIZE" (PyObject* data) nogil
    void Py_INCREF(PyObject* item) nogil
    void Py_DECREF(PyObject* item) nogil

cdef enum:
    SHRINK_ABOVE = 1024   # slots; smaller arrays are never given back

cdef int64_t living = 0        # chunks allocated and not freed, over all logs
cdef int64_t living_bytes = 0
cdef uint8_t nothing = 0       # where empty payloads are "written"


def live_chunks() -> tuple[int, int]:
    """(number, bytes) of the chunks alive in this process: when the last log is gone, (0, 0)."""
    return living, living_bytes


cdef Chunk* chunk_new(uint32_t size, bint alone) noexcept nogil:
    global living, living_bytes
    cdef Chunk* chunk = <Chunk*> malloc(sizeof(Chunk) + <size_t> size)
    if chunk == NULL:
        return NULL
    chunk.refs = 0
    chunk.at = <uint8_t*> (chunk + 1)
    chunk.owner = NULL
    chunk.used = 0
    chunk.size = size
    chunk.alone = alone
    living += 1
    living_bytes += size
    return chunk


# A chunk of the `size` bytes at `at`, which are a part of `owner`; a reference to the chunk is not counted yet.
cdef Chunk* chunk_within(PyObject* owner, const uint8_t* at, uint32_t size) noexcept nogil:
    cdef Chunk* chunk = chunk_new(0, False)
    if chunk == NULL:
        return NULL
    Py_INCREF(owner)
    chunk.owner = owner
    chunk.at = <uint8_t*> at
    chunk.used = size
    chunk.size = size
    count_bytes(size)
    return chunk


cdef inline void count_bytes(int64_t size) noexcept nogil:
    global living_bytes
    living_bytes += size


cdef inline void chunk_release(Chunk* chunk) noexcept nogil:
    global living, living_bytes
    chunk.refs -= 1
    if chunk.refs == 0:
        living -= 1
        living_bytes -= chunk.size
        if chunk.owner != NULL:
            Py_DECREF(chunk.owner)
        free(chunk)


cdef inline void release_range(EntryRef* at, size_t count) noexcept nogil:
    cdef size_t i
    for i in range(count):
        if at[i].chunk != NULL:
            chunk_release(at[i].chunk)


cdef void close_open(Window* window) noexcept nogil:
    cdef Chunk* chunk = window.open
    if chunk != NULL:
        window.open = NULL
        chunk_release(chunk)


cdef void window_init(Window* window, index_t first) noexcept nogil:
    window.slots = NULL
    window.head = 0
    window.count = 0
    window.staged = 0
    window.capacity = 0
    window.first = first
    window.payload_bytes = 0
    window.open = NULL
    window.next_chunk = MIN_CHUNK


cdef void window_free(Window* window) noexcept nogil:
    release_range(window.slots + window.head, window.count + window.staged)
    close_open(window)
    free(window.slots)
    window_init(window, 0)


cdef bint window_reserve(Window* window, size_t extra) noexcept nogil:
    return make_room(<void**> &window.slots, &window.head, &window.capacity, window.count + window.staged, extra,
                     sizeof(EntryRef))


# Gives memory back when most of it is unused.
cdef void shrink(Window* window) noexcept nogil:
    cdef size_t used = window.count + window.staged
    cdef size_t capacity = used * 2
    cdef EntryRef* slots
    if window.capacity <= SHRINK_ABOVE or window.capacity // 4 < used:
        return
    if capacity < SHRINK_ABOVE:
        capacity = SHRINK_ABOVE
    memmove(window.slots, window.slots + window.head, used * sizeof(EntryRef))
    window.head = 0
    slots = <EntryRef*> realloc(window.slots, capacity * sizeof(EntryRef))
    if slots != NULL:
        window.slots = slots
        window.capacity = capacity


# The open chunk. When no entry points into it any more, it is filled anew from its start.
cdef inline Chunk* open_chunk(Window* window) noexcept nogil:
    if window.open != NULL and window.open.refs == 1:
        window.open.used = 0
    return window.open


# A chunk with room for a payload of `length` bytes, a reference to it not counted yet; NULL when out of memory.
# Large payloads get a chunk of their own, so that what is left in the open one is not lost.
cdef Chunk* room_for(Window* window, uint32_t length) noexcept nogil:
    cdef Chunk* chunk = open_chunk(window)
    cdef uint32_t size
    if chunk != NULL and chunk.size - chunk.used >= length:
        return chunk
    if length > MAX_CHUNK // 4:
        return chunk_new(length, True)
    size = window.next_chunk
    while size < length:
        size *= 2
    chunk = chunk_new(size, False)
    if chunk == NULL:
        return NULL
    chunk.refs = 1  # the window's own, as long as it is open
    close_open(window)
    window.open = chunk
    if size < MAX_CHUNK:
        window.next_chunk = size * 2
    return chunk


cdef uint8_t* window_stage(Window* window, uint32_t length, uint32_t kind) noexcept nogil:
    cdef EntryRef* ref = window.slots + window.head + window.count + window.staged
    cdef Chunk* chunk
    ref.word = length | kind << KIND_SHIFT
    if length == 0:
        ref.chunk = NULL
        ref.offset = 0
        window.staged += 1
        return &nothing
    chunk = room_for(window, length)
    if chunk == NULL:
        return NULL
    ref.chunk = chunk
    ref.offset = chunk.used
    chunk.refs += 1
    chunk.used += length
    window.staged += 1
    return chunk_bytes(chunk) + ref.offset


# window_stage_span where the payloads are not copied.
cdef bint refer_to_span(Window* window, const uint8_t* lengths, const uint8_t* payload, uint32_t count, uint32_t size,
                        uint32_t kind, PyObject* owner) noexcept nogil:
    cdef EntryRef* ref = window.slots + window.head + window.count + window.staged
    cdef Chunk* chunk = chunk_within(owner, payload, size)
    cdef uint32_t offset = 0
    cdef uint32_t i, length
    if chunk == NULL:
        return False
    for i in range(count):
        length = load32(lengths + 4 * <size_t> i)
        ref[i].word = length | kind << KIND_SHIFT
        ref[i].chunk = chunk if length else NULL
        ref[i].offset = offset if length else 0
        chunk.refs += 1 if length else 0
        offset += length
    window.staged += count
    return True


cdef bint window_stage_span(Window* window, const uint8_t* lengths, const uint8_t* payload, uint32_t count,
                            uint32_t size, uint32_t kind, PyObject* owner) noexcept nogil:
    cdef size_t kept = <size_t> size_of_bytes(owner)
    if size >= REFERRED_TO and kept <= KEPT_FOR * <size_t> size and (kept <= MOST_KEPT or count == 1):
        return refer_to_span(window, lengths, payload, count, size, kind, owner)
    return copy_span(window, lengths, payload, count, kind)


cdef bint copy_span(Window* window, const uint8_t* lengths, const uint8_t* payload, uint32_t count,
                    uint32_t kind) noexcept nogil:
    cdef uint32_t i = 0
    cdef uint32_t length, used, begin
    cdef uint8_t* to
    cdef EntryRef* ref
    cdef Chunk* chunk
    while i < count:
        chunk = open_chunk(window)
        if chunk != NULL:  # as many as fit there, with one copy
            ref = window.slots + window.head + window.count + window.staged
            begin = used = chunk.used
            while i < count:
                length = load32(lengths + 4 * <size_t> i)
                if length > chunk.size - used:
                    break
                ref.word = length | kind << KIND_SHIFT
                ref.chunk = chunk if length else NULL
                ref.offset = used if length else 0
                chunk.refs += 1 if length else 0
                used += length
                ref += 1
                window.staged += 1
                i += 1
            if used > begin:
                memcpy(chunk_bytes(chunk) + begin, payload, used - begin)
                payload += used - begin
                chunk.used = used
            if i == count:
                break
        length = load32(lengths + 4 * <size_t> i)  # one that does not fit: it brings a new chunk
        to = window_stage(window, length, kind)
        if to == NULL:
            return False
        memcpy(to, payload, length)
        payload += length
        i += 1
    return True


cdef void window_discard_staged(Window* window) noexcept nogil:
    release_range(window.slots + window.head + window.count, window.staged)
    window.staged = 0


cdef void window_commit_staged(Window* window, size_t keep) noexcept nogil:
    cdef EntryRef* at = window.slots + window.head + keep
    cdef size_t dropped = window.count - keep
    cdef size_t i
    if dropped:
        for i in range(dropped):
            window.payload_bytes -= ref_length(at + i)
        release_range(at, dropped)
        memmove(at, at + dropped, window.staged * sizeof(EntryRef))
    for i in range(window.staged):
        window.payload_bytes += ref_length(at + i)
    window.count = keep + window.staged
    window.staged = 0


cdef void window_drop_front(Window* window, size_t count) noexcept nogil:
    cdef EntryRef* at = window.slots + window.head
    cdef size_t i
    for i in range(count):
        window.payload_bytes -= ref_length(at + i)
    release_range(at, count)
    window.head += count
    window.count -= count
    window.first += count
    shrink(window)


cdef void window_reset(Window* window, index_t first) noexcept nogil:
    window_drop_front(window, window.count)
    window.head = 0
    window.first = first


cdef bint window_share(Window* copy, const Window* source) noexcept nogil:
    cdef size_t i
    if not window_reserve(copy, source.count):
        return False
    if source.count:
        memcpy(copy.slots, source.slots + source.head, source.count * sizeof(EntryRef))
    copy.count = source.count
    copy.first = source.first
    copy.payload_bytes = source.payload_bytes
    for i in range(source.count):
        if copy.slots[i].chunk != NULL:
            copy.slots[i].chunk.refs += 1
    return True


cdef uint64_t window_memory(const Window* window) noexcept nogil:
    cdef const EntryRef* at = window.slots + window.head
    cdef const Chunk* filled = NULL    # the last chunk seen of those that hold many entries: these come in order,
    cdef const Chunk* referred = NULL  # and so do those that refer to a block
    cdef const Chunk* chunk
    cdef uint64_t total = <uint64_t> window.capacity * sizeof(EntryRef)
    cdef size_t i
    for i in range(window.count):
        chunk = at[i].chunk
        if chunk == NULL or chunk == filled or chunk == referred:
            continue
        total += sizeof(Chunk) + <uint64_t> chunk.size
        if chunk.owner != NULL:
            referred = chunk
        elif not chunk.alone:
            filled = chunk
    if window.open != NULL and window.open != filled:
        total += sizeof(Chunk) + <uint64_t> window.open.size
    return total


cdef str window_fault(const Window* window):
    cdef const EntryRef* at = window.slots + window.head
    cdef const Chunk* chunk = NULL
    cdef uint64_t payload_bytes = 0
    cdef int64_t pointing = 0  # entries in a row that point into chunk
    cdef size_t i
    if window.staged:
        return f"{window.staged} entries are staged"
    if window.head + window.count > window.capacity:
        return f"{window.head} + {window.count} entries in room for {window.capacity}"
    if window.open != NULL and (window.open.refs < 1 or window.open.alone or window.open.owner != NULL):
        return f"the open chunk has {window.open.refs} references"
    for i in range(window.count):
        payload_bytes += ref_length(at + i)
        if at[i].chunk == NULL:
            if ref_length(at + i):
                return f"entry {window.first + i} has {ref_length(at + i)} bytes and no chunk"
            continue
        pointing = pointing + 1 if at[i].chunk == chunk else 1
        chunk = at[i].chunk
        if pointing + (1 if chunk == window.open else 0) > chunk.refs:
            return f"entry {window.first + i} points into a chunk of {chunk.refs} references"
        if <uint64_t> at[i].offset + ref_length(at + i) > chunk.used or chunk.used > chunk.size:
            return (f"entry {window.first + i} takes bytes {at[i].offset} to {at[i].offset + ref_length(at + i)} of "
                    f"{chunk.used} in a chunk of {chunk.size}")
    if payload_bytes != window.payload_bytes:
        return f"{payload_bytes} bytes of payload, counted {window.payload_bytes}"
    return None
