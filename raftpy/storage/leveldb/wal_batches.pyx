"""The batches of a LevelDB write-ahead file, read without LevelDB: what was written, in order, and where it lies.

LevelDB makes tables of a write-ahead file when it opens the database, so a file that is only to be read is read here.
``wal_records.survey`` says first where its records end and that their checksums hold. What stands in them is LevelDB's
doc/log_format.md and db/write_batch.cc: a batch is one FULL record or, across blocks, a FIRST, any number of MIDDLE and
a LAST one, each but the LAST up to the end of its block. Joined, the pieces are

    u64  sequence number of the first write: those of a file are numbered one by one
    u32  number of writes
    and for each of them a byte, 0 for a deletion and 1 for a value, the key behind its length, and of a value the value
    behind its length (varint32)

A value is found again by its offset in the file and its size: what stands between its pieces is known from these two.

    |<------- block ------->|<------- block ------->|
    [7][.. key value value ][7][value value][7][...]
               ^ offset         ^ pieces of one value
"""
cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from raftcore.base.buffer cimport buffer_of
from raftcore.base.bytes cimport load16
from raftcore.base.crc cimport crc32c_past, crc32c_update
from raftpy.storage.leveldb.wal_records cimport (
    BLOCK_SIZE,
    DELETION,
    FIRST,
    FULL,
    LAST,
    MIDDLE,
    RECORD_HEADER,
    VALUE,
    unmasked,
)

cdef enum:
    NO_SIZE = -1

DELETED = NO_SIZE


class MalformedBatch(ValueError):
    """Records whose checksums hold, and which are no batches as LevelDB writes them; the text says which and why."""


@cython.final
cdef class Batches:
    """Iterates over the batches in the first ``end`` bytes of a file, as ``survey`` has found them, in order.

    Each is a list of ``(key, offset, size)``, one for each write: where the value lies, and how many bytes it has, or
    ``DELETED``. The writes are numbered from ``sequence`` on (1 in the first file of a database). A batch that was not
    finished, at the end, is left out: ``end`` then stays before it. Raises ``MalformedBatch``, and ``ValueError`` for
    an ``end`` behind the data.
    """

    def __init__(self, data, Py_ssize_t end, uint64_t sequence=1):
        self._data = buffer_of(data)
        if not 0 <= end <= self._data.size:
            raise ValueError(f"{end} is no place in {self._data.size} bytes")
        self._stop = end
        self.end = 0
        self.sequence = sequence

    def __iter__(self):
        return self

    def __next__(self):
        cdef Write write
        cdef list writes = []
        if not self.next_batch():
            raise StopIteration
        while self.next_write(&write):
            key = self.joined(write.key, write.key_size)
            writes.append((key, 0, NO_SIZE) if write.deletes else (key, write.value, write.value_size))
        return writes

    def value(self, Py_ssize_t offset, Py_ssize_t size):
        """The ``size`` bytes of the value at ``offset``. ValueError where the file ends before."""
        if offset < 0 or size < 0:
            raise ValueError(f"no value at {offset}, {size}")
        if offset + span_of(offset, size) > self._data.size:
            raise ValueError(f"the value at {offset} ends behind the file")
        return self.joined(offset, size)

    cdef bint next_batch(self) except -1:
        self._start = self.end
        self._behind = self._span(self._start)
        if self._behind < 0:
            return False
        if self._left < BATCH_HEADER:
            raise self._malformed(self._start, f"it has {self._left} bytes")
        if self._number(8) != self.sequence:
            raise self._malformed(self._start, f"its writes are not numbered from {self.sequence} on")
        self._count = <uint32_t> self._number(4)
        self._seen = 0
        return True

    cdef bint next_write(self, Write* write) except -1:
        cdef uint8_t kind
        if not self._left:
            if self._seen != self._count:
                raise self._malformed(self._start, f"it has {self._seen} writes, and says {self._count}")
            self.sequence += self._count
            self.end = self._behind
            return False
        kind = self._byte()
        if kind > VALUE:
            raise self._malformed(self._start, f"a write of kind {kind}")
        self._seen += 1
        write.key_size = self._size(self._start)
        write.key = self._skip(write.key_size)
        write.deletes = kind == DELETION
        if not write.deletes:
            write.value_size = self._size(self._start)
            write.value = self._skip(write.value_size)
        return True

    cdef const uint8_t* at(self, Py_ssize_t offset) noexcept:
        return self._data.at + offset

    cdef bytes joined(self, Py_ssize_t offset, Py_ssize_t size):
        return joined(self._data.at + offset, offset, size)

    cdef Py_ssize_t _span(self, Py_ssize_t start) except -2:
        # Sets _at and _left to the batch that begins at or behind start, and tells where it ends; -1: there is none.
        cdef const uint8_t* data = self._data.at
        cdef Py_ssize_t at = start
        cdef Py_ssize_t block_end, stop
        cdef int kind
        cdef bint begun = False
        self._left = 0
        while True:
            block_end = (at // BLOCK_SIZE + 1) * BLOCK_SIZE
            if block_end - at < RECORD_HEADER:
                at = block_end
                continue
            if at + RECORD_HEADER > self._stop:
                return -1
            stop = at + RECORD_HEADER + load16(data + at + 4)
            kind = data[at + 6]
            if stop > block_end or stop > self._stop:
                raise self._malformed(at, "it leaves its block, or the file")
            if kind < FULL or kind > LAST or (kind == FULL or kind == FIRST) == begun:
                raise self._malformed(at, f"a record of type {kind} {'in' if begun else 'before'} a batch")
            if (kind == FIRST or kind == MIDDLE) and stop != block_end:
                raise self._malformed(at, "it goes on before the end of its block")
            if not begun:
                self._at = at + RECORD_HEADER
            begun = True
            self._left += <uint64_t> (stop - at - RECORD_HEADER)
            at = stop
            if kind == FULL or kind == LAST:
                return stop

    cdef object _malformed(self, Py_ssize_t at, str what):
        return MalformedBatch(f"the batch at byte {at} is none that LevelDB writes: {what}")

    cdef Py_ssize_t _here(self) noexcept:
        # Where the next byte is, which is behind a record's header where a block begins.
        if self._at % BLOCK_SIZE == 0:
            self._at += RECORD_HEADER
        return self._at

    cdef uint8_t _byte(self) noexcept:
        # The next byte, of which there is one left.
        cdef uint8_t byte = self._data.at[self._here()]
        self._at += 1
        self._left -= 1
        return byte

    cdef uint64_t _number(self, int size) noexcept:
        cdef uint64_t number = 0
        cdef int i
        for i in range(size):
            number |= <uint64_t> self._byte() << (8 * i)
        return number

    cdef Py_ssize_t _size(self, Py_ssize_t start) except -1:
        # A length, of which so many bytes follow.
        cdef uint64_t size = 0
        cdef uint8_t byte
        cdef int shift
        for shift in range(0, 35, 7):
            if not self._left:
                break
            byte = self._byte()
            size |= <uint64_t> (byte & 0x7F) << shift
            if byte < 0x80:
                if size > self._left:
                    break
                return <Py_ssize_t> size
        raise self._malformed(start, "a length that it does not have")

    cdef Py_ssize_t _skip(self, Py_ssize_t size) noexcept:
        # Where the next size bytes begin, of which there are as many left.
        cdef Py_ssize_t offset
        if not size:
            return self._at  # and behind it there may be nothing
        offset = self._here()
        self._at += span_of(offset, size)
        self._left -= <uint64_t> size
        return offset


def stored_size(Py_ssize_t offset, Py_ssize_t size):
    """How many bytes of the file hold a value of ``size`` bytes at ``offset``, with what is between its pieces."""
    return span_of(offset, size)


def value_in(stored, Py_ssize_t offset, Py_ssize_t size):
    """The value of ``size`` bytes, out of the ``stored_size(offset, size)`` bytes of the file from ``offset`` on.

    ValueError when ``stored`` has another size.
    """
    cdef Buffer view = buffer_of(stored)
    if offset < 0 or size < 0 or view.size != span_of(offset, size):
        raise ValueError(f"{view.size} bytes do not hold the value of {size} bytes at {offset}")
    return joined(view.at, offset, size)


cdef Py_ssize_t span_of(Py_ssize_t offset, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t room = BLOCK_SIZE - offset % BLOCK_SIZE
    if size <= room:
        return size
    return size + RECORD_HEADER * ((size - room + BLOCK_SIZE - RECORD_HEADER - 1) // (BLOCK_SIZE - RECORD_HEADER))


cdef Py_ssize_t next_at(Py_ssize_t offset, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t at = offset + span_of(offset, size)
    return at + RECORD_HEADER if at % BLOCK_SIZE == 0 else at


cdef void copy_pieces(uint8_t* to, const uint8_t* at, Py_ssize_t offset, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t room = BLOCK_SIZE - offset % BLOCK_SIZE
    while size > room:
        memcpy(to, at, <size_t> room)
        to += room
        at += room + RECORD_HEADER
        size -= room
        room = BLOCK_SIZE - RECORD_HEADER
    if size:
        memcpy(to, at, <size_t> size)


cdef uint32_t crc_of_pieces(uint32_t crc, const uint8_t* at, Py_ssize_t offset, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t room = BLOCK_SIZE - offset % BLOCK_SIZE
    while size > room:
        crc = crc32c_update(crc, at, room)
        at += room + RECORD_HEADER
        size -= room
        room = BLOCK_SIZE - RECORD_HEADER
    return crc32c_update(crc, at, size)


cdef uint32_t crc_of_checked(uint32_t crc, const uint8_t* file, Py_ssize_t offset, Py_ssize_t size) noexcept nogil:
    # A record that the bytes go on to the end of has said their checksum: joined with that of the little before them
    # it gave the record's own. Only what other writes follow in the same record is gone through again.
    cdef Py_ssize_t at, stop, part, before
    while size:
        at = offset - offset % BLOCK_SIZE
        stop = at + RECORD_HEADER + load16(file + at + 4)
        while stop <= offset:
            at = stop
            stop = at + RECORD_HEADER + load16(file + at + 4)
        part = stop - offset
        before = offset - at - RECORD_HEADER + 1  # with the type
        if part <= size and before < part:
            crc = crc32c_past(crc ^ crc32c_update(0, file + offset - before, before), <uint16_t> part)
            crc ^= unmasked(file + at)
        else:
            part = min(part, size)
            crc = crc32c_update(crc, file + offset, part)
        size -= part
        offset += part + RECORD_HEADER
    return crc


cdef bytes joined(const uint8_t* at, Py_ssize_t offset, Py_ssize_t size):
    # size bytes without the headers between them; `at` is byte `offset` of the file.
    cdef bytes whole = PyBytes_FromStringAndSize(NULL, size)
    copy_pieces(<uint8_t*> PyBytes_AS_STRING(whole), at, offset, size)
    return whole
