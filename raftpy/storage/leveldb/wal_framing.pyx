"""Batches in the form in which LevelDB's write-ahead file has them, for whoever writes that file without LevelDB.

The form is that of wal_batches.pyx, which reads it: a batch is one FULL record or, across blocks, a FIRST, any number
of MIDDLE and a LAST one. What LevelDB writes for the same batches, one after the other, is the same byte by byte
(tests/storage/test_wal_framing.py).
"""
cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from raftcore.base.bytes cimport store16, store32, store64
from raftcore.base.crc cimport crc32c_update
from raftpy.storage.leveldb.sealing cimport END, END_SIZE, SEAL_SIZE, Sealed
from raftpy.storage.leveldb.wal_batches cimport BATCH_HEADER
from raftpy.storage.leveldb.wal_records cimport (
    BLOCK_SIZE,
    DELETION,
    FIRST,
    FULL,
    LAST,
    MIDDLE,
    RECORD_HEADER,
    VALUE,
    masked,
)

cdef enum:
    KEPT_SIZE = 4 << 20      # bytes of a batch whose memory is kept for the next one
    FREE_SIZE = 256 << 10    # bytes of a batch from which on it is put together without the interpreter's lock


# Writes of a batch, and bytes of a key or of a value: what 32 bits hold.
cdef Py_ssize_t LARGEST = 0xFFFFFFFF


cdef struct Piece:
    const uint8_t* key
    Py_ssize_t key_size
    const uint8_t* value     # of a sealed one its block
    Py_ssize_t value_size    # -1: a deletion
    bint is_sealed
    uint32_t seal
    Py_ssize_t block_size
    const uint8_t* behind
    Py_ssize_t behind_size
    Py_ssize_t offset        # of the value, once it has its place


cdef struct Frames:
    # Where the next byte goes: `to` is where byte `base` of the file lies in memory.
    uint8_t* to
    Py_ssize_t base
    Py_ssize_t at
    Py_ssize_t record        # where the record under way begins


@cython.final
cdef class Framing:
    """The batches of one write-ahead file, one behind the other.

    ``end``: where its records end, in bytes; ``sequence``: the number of its next write, 1 in a new database.
    ``ValueError`` for ones that there are none of.
    """

    def __init__(self, Py_ssize_t end=0, uint64_t sequence=1):
        if end < 0 or not sequence:
            raise ValueError(f"no batch stands at byte {end} with number {sequence}")
        self.end = end
        self.sequence = sequence
        self._memory = bytearray()

    def frame(self, list writes not None):
        """``(bytes, offsets)`` of the next batch, of ``(key, value)``: bytes, a ``Sealed``, or None for a deletion.

        The bytes are what comes in the file from ``end`` as it was on, good until the next call. The offsets say where
        each value begins in the file; that of a deletion means nothing. Raises ``ValueError`` for a key or a value of
        4 GiB or more, ``TypeError`` for what is no bytes, and ``MemoryError``; nothing is changed by then.
        """
        cdef Py_ssize_t count = len(writes)
        cdef Py_ssize_t size = BATCH_HEADER
        cdef Py_ssize_t i, begin, span
        cdef Piece* pieces
        cdef Frames frames
        cdef bytes key
        cdef bytearray memory
        pieces = <Piece*> PyMem_Malloc(<size_t> (count + 1) * sizeof(Piece))
        if not pieces:
            raise MemoryError
        try:
            for i in range(count):
                key, value = <tuple?> writes[i]
                size += see(&pieces[i], key, value)
            begin = self.end
            # What is left of the block at most, the batch, and the headers of its records.
            span = 2 * RECORD_HEADER + size + RECORD_HEADER * (size // (BLOCK_SIZE - RECORD_HEADER) + 2)
            memory = self._memory
            if len(memory) < span:
                memory = bytearray(span)
                if span <= KEPT_SIZE:
                    self._memory = memory
            frames.to = <uint8_t*> memory
            frames.base = begin
            frames.at = begin
            if size < FREE_SIZE:
                put_batch(&frames, self.sequence, pieces, count)
            else:
                with nogil:
                    put_batch(&frames, self.sequence, pieces, count)
            offsets = [pieces[i].offset for i in range(count)]
        finally:
            PyMem_Free(pieces)
        self.end = frames.at
        self.sequence += <uint64_t> count
        return memoryview(memory)[:frames.at - begin], offsets


cdef Py_ssize_t see(Piece* piece, bytes key, value) except -1:
    # Takes note of a write; how many bytes of the batch it takes.
    if key is None:
        raise TypeError("a key is bytes, not None")
    piece.key = <const uint8_t*> PyBytes_AS_STRING(key)
    piece.key_size = PyBytes_GET_SIZE(key)
    cdef Sealed sealed
    piece.value_size = -1
    piece.is_sealed = False
    piece.offset = 0
    if piece.key_size > LARGEST:
        raise ValueError(f"a key of {piece.key_size} bytes is longer than {LARGEST}")
    if value is None:
        return 1 + length_of(piece.key_size) + piece.key_size
    if type(value) is Sealed:
        sealed = <Sealed> value
        piece.is_sealed = True
        piece.seal = sealed.seal
        piece.value = sealed.block.at
        piece.block_size = sealed.block.size
        piece.behind = <const uint8_t*> PyBytes_AS_STRING(sealed.behind)
        piece.behind_size = PyBytes_GET_SIZE(sealed.behind)
        piece.value_size = sealed.size
    else:
        piece.value = <const uint8_t*> PyBytes_AS_STRING(<bytes?> value)
        piece.value_size = PyBytes_GET_SIZE(<bytes> value)
    if piece.value_size > LARGEST:
        raise ValueError(f"a value of {piece.value_size} bytes is longer than {LARGEST}")
    return 1 + length_of(piece.key_size) + piece.key_size + length_of(piece.value_size) + piece.value_size


cdef inline int length_of(Py_ssize_t size) noexcept nogil:
    # Bytes of a varint32.
    cdef int count = 1
    while size >= 0x80:
        size >>= 7
        count += 1
    return count


cdef void put_batch(Frames* frames, uint64_t sequence, Piece* pieces, Py_ssize_t count) noexcept nogil:
    cdef uint8_t small[BATCH_HEADER]
    cdef Py_ssize_t i
    cdef Py_ssize_t room = BLOCK_SIZE - frames.at % BLOCK_SIZE
    if room < RECORD_HEADER:
        memset(frames.to, 0, <size_t> room)
        frames.at += room
    begin_record(frames)
    store64(small, sequence)
    store32(small + 8, <uint32_t> count)
    put_bytes(frames, small, BATCH_HEADER)
    for i in range(count):
        small[0] = DELETION if pieces[i].value_size < 0 else VALUE
        put_bytes(frames, small, 1 + put_length(small + 1, pieces[i].key_size))
        put_bytes(frames, pieces[i].key, pieces[i].key_size)
        if pieces[i].value_size < 0:
            continue
        put_bytes(frames, small, put_length(small, pieces[i].value_size))
        if pieces[i].value_size:
            make_room(frames)
        pieces[i].offset = frames.at
        if not pieces[i].is_sealed:
            put_bytes(frames, pieces[i].value, pieces[i].value_size)
            continue
        store32(small, pieces[i].seal)
        put_bytes(frames, small, SEAL_SIZE)
        put_bytes(frames, pieces[i].value, pieces[i].block_size)
        put_bytes(frames, pieces[i].behind, pieces[i].behind_size)
        small[0] = END
        put_bytes(frames, small, END_SIZE)
    end_record(frames, True)


cdef inline uint8_t* place(Frames* frames, Py_ssize_t at) noexcept nogil:
    return frames.to + (at - frames.base)


cdef void begin_record(Frames* frames) noexcept nogil:
    frames.record = frames.at
    place(frames, frames.at)[6] = FULL  # until it is known to be another
    frames.at += RECORD_HEADER


cdef void end_record(Frames* frames, bint last) noexcept nogil:
    cdef uint8_t* at = place(frames, frames.record)
    cdef Py_ssize_t size = frames.at - frames.record - RECORD_HEADER
    cdef bint first = at[6] == FULL
    at[6] = (FULL if last else FIRST) if first else (LAST if last else MIDDLE)
    store32(at, masked(crc32c_update(0, at + 6, size + 1)))
    store16(at + 4, <uint32_t> size)


cdef void make_room(Frames* frames) noexcept nogil:
    # There is another byte to come: where the block is full it goes to the next one.
    if frames.at % BLOCK_SIZE == 0:
        end_record(frames, False)
        begin_record(frames)
        place(frames, frames.record)[6] = MIDDLE


cdef void put_bytes(Frames* frames, const uint8_t* at, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t room
    while size:
        make_room(frames)
        room = min(size, BLOCK_SIZE - frames.at % BLOCK_SIZE)
        memcpy(place(frames, frames.at), at, <size_t> room)
        frames.at += room
        at += room
        size -= room


cdef inline int put_length(uint8_t* to, Py_ssize_t size) noexcept nogil:
    # A varint32; how many bytes it has.
    cdef int count = 0
    while size >= 0x80:
        to[count] = <uint8_t> (size | 0x80)
        size >>= 7
        count += 1
    to[count] = <uint8_t> size
    return count + 1
