"""A leader's own commands, and the blocks that it is sent, on their way into the window.

Few commands are copied there; many become a piece at once, a block as it is sent and stored. So they are copied
together once, and never again in the core.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_Check, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from raftcore.base.bytes cimport store32
from raftcore.base.lists cimport empty, put_into
from raftcore.base.types cimport EntryNoop, index_t
from raftcore.log.pieces cimport LEAST_PIECE, Pieces
from raftcore.log.window cimport MOST_KEPT, Window, window_discard_staged, window_stage, window_stage_span
from raftcore.values.block cimport (
    BLOCK_HEADER_SIZE, LENGTH_SIZE, MAX_PAYLOAD, BlockHeader, block_size, payload_span, write_block_header,
)
from raftcore.values.entries cimport Entries, make_entries


# The bytes of all of them.
cdef inline int64_t check_commands(PyObject** items, Py_ssize_t count, uint32_t kind) except -1:
    cdef Py_ssize_t i, length
    cdef int64_t payload = 0
    if count == 0:
        raise ValueError("no commands: at least 1 expected")
    for i in range(count):
        if not PyBytes_Check(<object> items[i]):
            raise TypeError(f"command {i} must be bytes, got {type(<object> items[i]).__name__}")
        length = PyBytes_GET_SIZE(<object> items[i])
        if length > MAX_PAYLOAD:
            raise ValueError(f"command {i} has {length} bytes, at most {<int> MAX_PAYLOAD} allowed")
        if kind == EntryNoop and length:
            raise ValueError(f"a no-op has {length} bytes of payload, 0 allowed")
        payload += length
    return payload


# Fills in count and payload_size for as many of the commands as fit into one block of `limit` bytes, at least one.
cdef inline void fit_block(PyObject** items, Py_ssize_t count, uint64_t limit, BlockHeader* header) noexcept:
    cdef uint64_t length = <uint64_t> PyBytes_GET_SIZE(<object> items[0])
    cdef uint64_t used = BLOCK_HEADER_SIZE + LENGTH_SIZE + length
    cdef Py_ssize_t fit = 1
    header.payload_size = <uint32_t> length
    while fit < count:
        length = <uint64_t> PyBytes_GET_SIZE(<object> items[fit])
        used += LENGTH_SIZE + length
        if used > limit:
            break
        header.payload_size += <uint32_t> length
        fit += 1
    header.count = <uint32_t> fit


cdef Entries block_of(PyObject** items, const BlockHeader* header):
    cdef bytes data = PyBytes_FromStringAndSize(NULL, <Py_ssize_t> block_size(header))
    cdef uint8_t* lengths = <uint8_t*> PyBytes_AS_STRING(data) + BLOCK_HEADER_SIZE
    cdef uint8_t* to = lengths + LENGTH_SIZE * <size_t> header.count
    cdef size_t i, length
    write_block_header(lengths - BLOCK_HEADER_SIZE, header)
    for i in range(header.count):
        length = <size_t> PyBytes_GET_SIZE(<object> items[i])
        store32(lengths + LENGTH_SIZE * i, <uint32_t> length)
        memcpy(to, PyBytes_AS_STRING(<object> items[i]), length)
        to += length
    return make_entries(data, header.first, header.count, header.term, header.term, header.payload_size, 1)


cdef inline int copy_each(Window* window, PyObject** items, Py_ssize_t count, uint32_t kind) except -1:
    cdef Py_ssize_t i, length
    cdef uint8_t* to
    for i in range(count):
        length = PyBytes_GET_SIZE(<object> items[i])
        to = window_stage(window, <uint32_t> length, kind)
        if to == NULL:
            window_discard_staged(window)
            raise MemoryError(f"command {i} of {length} bytes")
        memcpy(to, PyBytes_AS_STRING(<object> items[i]), <size_t> length)
    return 0


cdef int refer_to(Window* window, Entries piece, const BlockHeader* header) except -1:
    cdef const uint8_t* lengths = <const uint8_t*> PyBytes_AS_STRING(piece.data) + BLOCK_HEADER_SIZE
    if not window_stage_span(window, lengths, lengths + LENGTH_SIZE * <size_t> header.count, header.count,
                             header.payload_size, header.kind, <PyObject*> piece.data):
        raise MemoryError()
    return 0


cdef int stage_commands(Window* window, Pieces pieces, PyObject** items, Py_ssize_t count, uint64_t limit,
                        BlockHeader* header) except -1:
    cdef uint64_t payload = <uint64_t> check_commands(items, count, header.kind)
    if BLOCK_HEADER_SIZE + LENGTH_SIZE * <uint64_t> count + payload < <uint64_t> LEAST_PIECE:
        return copy_each(window, items, count, header.kind)
    return stage_pieces(window, pieces, items, count, limit, header)


# Nothing here is an object that the garbage collector looks after: making one may run anybody's code, which may change
# the list that the items are in.
cdef int stage_pieces(Window* window, Pieces pieces, PyObject** items, Py_ssize_t count, uint64_t limit,
                      BlockHeader* header) except -1:
    cdef Py_ssize_t at = 0
    cdef Entries piece
    limit = min(limit, <uint64_t> MOST_KEPT)
    try:
        while at < count:
            fit_block(items + at, count - at, limit, header)
            if block_size(header) >= <uint64_t> LEAST_PIECE:
                piece = block_of(items + at, header)
                refer_to(window, piece, header)
                put_into(pieces.staged, piece)
            else:
                copy_each(window, items + at, header.count, header.kind)
            at += header.count
            header.first += header.count
    except MemoryError:
        window_discard_staged(window)
        empty(pieces.staged)
        which = f"command {at}" if header.count == 1 else f"commands {at} to {at + header.count - 1}"
        raise MemoryError(f"{which} of {header.payload_size} bytes") from None
    return 0


cdef int64_t stage_block(Window* window, const uint8_t* at, const BlockHeader* header, index_t begin,
                         PyObject* owner) noexcept nogil:
    cdef const uint8_t* lengths = at + BLOCK_HEADER_SIZE
    cdef uint32_t skip = 0
    cdef uint32_t skipped = 0
    if header.first + header.count <= begin:
        return 0
    if begin > header.first:
        skip = <uint32_t> (begin - header.first)
        skipped = <uint32_t> payload_span(at, 0, skip)
    if not window_stage_span(
            window, lengths + LENGTH_SIZE * <size_t> skip, lengths + LENGTH_SIZE * <size_t> header.count + skipped,
            header.count - skip, header.payload_size - skipped, header.kind, owner):
        return -1
    return header.count - skip
