"""A stretch: records of a log that follow one another in the file of a closed segment, read at once.

    file    ...[key 1][value 1]..[key 4][value 4]..[key 5][value 5]...
                      |<------------------ stretch ------------->|

Each record's seal is checked and its block taken over, without the headers between its pieces, into the one bytes
object of the entries; no other copy is made, and none of it holds the interpreter's lock. Whatever is not as it should
be gives no entries: then the records are read one by one, which says what is wrong with which (group_log.py).
"""
cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport UINT64_MAX, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from raftcore.base.bytes cimport load32
from raftcore.values.block cimport (
    BLOCK_HEADER_SIZE, LENGTH_SIZE, BlockFault, BlockHeader, BlockSummary, check_blocks, cut_block, payload_span,
)
from raftcore.values.entries cimport make_entries
from raftpy.storage.leveldb.places cimport KEY_SIZE, Log, Places, Record, write_record_key
from raftpy.storage.leveldb.sealing cimport SEAL_SIZE, Pieces, sealed_block
from raftpy.storage.leveldb.wal_batches cimport copy_pieces, next_at, span_of

cdef enum:
    # Bytes of the file between one record and the next, at most: what is small and comes with a segment's first batch,
    # or a record of another group.
    FARTHEST = 64 << 10
    # Bytes of the file that are read at once, unless a single record is larger.
    LARGEST = 4 << 20


def find_stretch(Places places not None, uint64_t group, uint64_t first, uint64_t hi, uint64_t max_bytes,
                 uint32_t overhead):
    """The records of the group's log from the one with this first index on which begin before ``hi`` and take at most
    ``max_bytes``, at least one. None where there is no such record."""
    cdef Log log = places.log_of(group)
    cdef Stretch out
    cdef Record* record
    cdef Record* before
    cdef size_t at, count
    cdef uint64_t used = 0
    cdef Py_ssize_t begin, end
    if log is None:
        return None
    at = log.find(first)
    if at == log.count:
        return None
    record = log.records + log.head + at
    begin = record.offset
    end = begin + span_of(begin, record.size)
    count = 1
    while at + count < log.count:
        before = record
        record += 1
        used += before.size + (overhead - LENGTH_SIZE) * (record.first - before.first)
        if record.first >= hi or record.segment != before.segment or used >= max_bytes:
            break
        if record.size > max_bytes - used or not end < <Py_ssize_t> record.offset <= end + FARTHEST:
            break
        if <Py_ssize_t> record.offset + span_of(record.offset, record.size) - begin > LARGEST:
            break
        end = record.offset + span_of(record.offset, record.size)
        count += 1
    out = Stretch.__new__(Stretch)
    out.records = <Record*> malloc(count * sizeof(Record))
    if out.records == NULL:
        raise MemoryError
    memcpy(out.records, log.records + log.head + at, count * sizeof(Record))
    out.count = count
    out.group = group
    out.segment = out.records.segment
    out.offset = begin
    out.size = end - begin
    out.behind = log.records[log.head + at + count].first if at + count < log.count else 0
    return out


@cython.final
cdef class Stretch:
    """Made by :func:`find_stretch` alone: the class raises TypeError when it is called.

    Attributes: ``segment``, the number of the segment that holds it, the ``size`` bytes of its file from ``offset`` on,
    and ``behind``, the first index of the record that follows (0: none does).
    """

    def __init__(self):
        raise TypeError("a Stretch is made by find_stretch")

    def __dealloc__(self):
        free(self.records)

    def entries(self, bytes stored not None, uint64_t lo, uint64_t hi, uint64_t max_bytes, uint32_t overhead):
        """The entries from ``lo``, which is in the first record, up to, not including, ``hi``, out of the bytes of the
        file; cut behind a record, where ``max_bytes`` would be exceeded, or within the first. Each counts for its
        payload and ``overhead`` bytes, and each block for its header.

        None where any of it is not what it should be.
        """
        cdef Filling filling
        cdef list found
        filling.lo, filling.hi, filling.max_bytes, filling.overhead = lo, hi, max_bytes, overhead
        found = self.take(stored, &filling, UINT64_MAX)
        return None if found is None else found[0]

    def pieces(self, bytes stored not None, uint64_t lo, uint64_t hi, uint64_t max_bytes, uint32_t overhead):
        """Likewise all of them, in a list, none of which counts for more than ``max_bytes``, unless it is one record's.
        """
        cdef Filling filling
        filling.lo, filling.hi, filling.max_bytes, filling.overhead = lo, hi, UINT64_MAX, overhead
        return self.take(stored, &filling, max_bytes)

    cdef list take(self, bytes stored, Filling* filling, uint64_t max_bytes):
        # What is filled in, in pieces of at most so many bytes; None where any of it is not what it should be.
        cdef list datas = []
        cdef list out = []
        cdef Piece* piece
        cdef size_t i
        cdef bint valid
        if PyBytes_GET_SIZE(stored) != self.size:
            return None
        filling.stored = <const uint8_t*> PyBytes_AS_STRING(stored)
        filling.parts = <Part*> malloc(self.count * sizeof(Part))
        filling.pieces = <Piece*> malloc(self.count * sizeof(Piece))
        filling.block = NULL
        try:
            if filling.parts == NULL or filling.pieces == NULL:
                raise MemoryError
            with nogil:
                valid = self.measure(filling)
                if valid:
                    self.part_into_pieces(filling, max_bytes)
            if not valid:
                return None
            for i in range(filling.filled):
                piece = filling.pieces + i
                data = PyBytes_FromStringAndSize(NULL, <Py_ssize_t> piece.size)
                piece.to = <uint8_t*> PyBytes_AS_STRING(data)
                datas.append(data)
            with nogil:
                for i in range(filling.filled):
                    valid = valid and self.write(filling, filling.pieces + i)
            if not valid:
                return None
            for i in range(filling.filled):
                piece = filling.pieces + i
                out.append(make_entries(<bytes> datas[i], piece.summary.first, piece.summary.count,
                                        piece.summary.first_term, piece.summary.last_term, piece.summary.payload_size,
                                        piece.summary.blocks))
            return out
        finally:
            free(filling.parts)
            free(filling.pieces)
            free(filling.block)

    cdef void part_into_pieces(self, Filling* filling, uint64_t max_bytes) noexcept nogil:
        cdef Part* part
        cdef Piece* piece = filling.pieces
        cdef uint64_t used = 0
        cdef size_t i
        filling.filled = 0
        for i in range(filling.count):
            part = filling.parts + i
            if not i or part.cost > max_bytes or used > max_bytes - part.cost:
                piece = filling.pieces + filling.filled
                piece.begin = piece.end = i
                piece.size = used = 0
                filling.filled += 1
            used = min(used + part.cost, max_bytes)
            piece.size += part.size
            piece.end += 1

    cdef void value_of(self, size_t i, const uint8_t* stored, Pieces* value) noexcept nogil:
        cdef Record* record = self.records + i
        value.at = stored + (<Py_ssize_t> record.offset - self.offset)
        value.offset = record.offset
        value.size = record.size

    cdef bint measure(self, Filling* filling) noexcept nogil:
        # What of which record is taken, and how many bytes all of it has. False where a record is not what it should
        # be: nothing of any is given then.
        cdef Pieces value
        cdef BlockHeader header
        cdef Part* part
        cdef uint8_t key[KEY_SIZE]
        cdef uint64_t cost
        cdef uint64_t used = 0
        cdef uint64_t following = 0
        cdef size_t i
        filling.count = 0
        for i in range(self.count):
            part = filling.parts + i
            self.value_of(i, filling.stored, &value)
            write_record_key(key, self.group, self.records[i].first)
            part.block = sealed_block(key, KEY_SIZE, &value, False, &header)
            if not part.block or header.first != self.records[i].first or (i and header.first != following):
                return False
            following = header.first + header.count
            if following <= filling.lo or following < header.first:
                return False
            if header.first >= filling.hi:
                break
            part.lo = <uint32_t> (filling.lo - header.first) if header.first < filling.lo else 0
            part.hi = <uint32_t> (filling.hi - header.first) if filling.hi < following else header.count
            part.size = part.block
            cost = BLOCK_HEADER_SIZE + <uint64_t> filling.overhead * header.count + header.payload_size
            if part.lo or part.hi < header.count or (not i and cost > filling.max_bytes):
                if not self.cut(filling, &value, part, &cost):
                    return False
            if i and cost > filling.max_bytes - used:
                break
            used = min(used + cost, filling.max_bytes)
            part.cost = cost
            filling.count += 1
        return filling.count > 0

    cdef bint cut(self, Filling* filling, const Pieces* value, Part* part, uint64_t* cost) noexcept nogil:
        # A block of which only a part is taken: how many of its bytes, and up to where.
        cdef const uint8_t* block = self.joined(filling, value, part.block)
        cdef BlockSummary summary
        cdef BlockFault fault
        cdef uint64_t each
        cdef uint32_t i
        if block == NULL or not check_blocks(block, <Py_ssize_t> part.block, &summary, &fault):
            return False
        part.size = BLOCK_HEADER_SIZE
        cost[0] = BLOCK_HEADER_SIZE
        for i in range(part.lo, part.hi):
            each = load32(block + BLOCK_HEADER_SIZE + LENGTH_SIZE * <uint64_t> i)
            if i > part.lo and cost[0] + filling.overhead + each > filling.max_bytes:
                part.hi = i
                break
            cost[0] += filling.overhead + each
            part.size += LENGTH_SIZE + each
        return True

    cdef const uint8_t* joined(self, Filling* filling, const Pieces* value, uint64_t size) noexcept nogil:
        # The block, in memory that is freed in the end, or before the next one is asked for; NULL: there is none left.
        cdef Py_ssize_t body = next_at(value.offset, SEAL_SIZE)
        free(filling.block)
        filling.block = <uint8_t*> malloc(size)
        if filling.block != NULL:
            copy_pieces(filling.block, value.at + (body - value.offset), body, <Py_ssize_t> size)
        return filling.block

    cdef bint write(self, Filling* filling, Piece* piece) noexcept nogil:
        # False where what is written is none.
        cdef Pieces value
        cdef Part* part
        cdef const uint8_t* block
        cdef uint8_t* to = piece.to
        cdef Py_ssize_t body
        cdef BlockFault fault
        cdef size_t i
        for i in range(piece.begin, piece.end):
            part = filling.parts + i
            self.value_of(i, filling.stored, &value)
            if part.size == part.block:
                body = next_at(value.offset, SEAL_SIZE)
                copy_pieces(to, value.at + (body - value.offset), body, <Py_ssize_t> part.block)
            else:
                block = self.joined(filling, &value, part.block)
                if block == NULL:
                    return False
                cut_block(block, part.lo, part.hi, payload_span(block, 0, part.lo),
                          payload_span(block, part.lo, part.hi), to)
            to += part.size
        return check_blocks(piece.to, <Py_ssize_t> piece.size, &piece.summary, &fault)
