"""Where the records of the logs lie in a row of segments: in which segment, at which byte, and how long they are.

Each log has an array of them, ascending by the first index, 24 bytes for each record; and each segment a count of the
bytes that are still needed of it. A record is where it was written last. While a start reads the segments there is a
second array beside it, with what it has seen of each record's block, so that no segment is read twice.
"""
cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint64_t
from libc.stdlib cimport free
from libc.string cimport memmove, memset

from raftcore.base.growable cimport make_room

from typing import NamedTuple

cdef enum:
    TAG = 0x65          # e


class Place(NamedTuple):
    """Where a value lies: ``offset`` and ``size`` in bytes in the write-ahead file of the segment with this number."""

    segment: int
    offset: int
    size: int


class SeenRecord(NamedTuple):
    """What a start has read of a record: the ``key`` it lies under, and of its block the ``first`` index, the number of
    its ``entries``, their ``term`` and ``kind``, and the log time ``time_ms`` in milliseconds; ``behind``: bytes behind
    it."""

    key: bytes
    first: int
    entries: int
    term: int
    time_ms: int
    kind: int
    behind: int


def is_record(bytes key not None):
    """Whether it is the key of a record of a log; all others are small, and kept in memory."""
    return PyBytes_GET_SIZE(key) == KEY_SIZE and PyBytes_AS_STRING(key)[0] == TAG


cdef uint64_t big_endian(const unsigned char* at) noexcept:
    cdef uint64_t number = 0
    cdef int i
    for i in range(8):
        number = number << 8 | at[i]
    return number


cdef bint parse_record_key(const unsigned char* key, Py_ssize_t key_size, uint64_t* group, uint64_t* first) noexcept:
    if key_size != KEY_SIZE or key[0] != TAG:
        return False
    group[0] = big_endian(key + 1)
    first[0] = big_endian(key + 9)
    return True


cdef void write_record_key(unsigned char* key, uint64_t group, uint64_t first) noexcept nogil:
    cdef int i
    key[0] = TAG
    for i in range(8):
        key[1 + i] = <unsigned char> (group >> (56 - 8 * i))
        key[9 + i] = <unsigned char> (first >> (56 - 8 * i))


cdef bytes record_key(uint64_t group, uint64_t first):
    return b"e" + (<object> group).to_bytes(8, "big") + (<object> first).to_bytes(8, "big")


@cython.final
cdef class Log:
    """The records of one group."""

    def __cinit__(self, uint64_t group):
        self.group = group

    def __dealloc__(self):
        free(self.records)
        free(self.seen)

    cdef size_t position(self, uint64_t first) noexcept:
        # Where the record with this first index is, or would be.
        cdef Record* records = self.records + self.head
        cdef size_t low = 0
        cdef size_t high = self.count
        cdef size_t middle
        if high and records[high - 1].first < first:
            return high
        while low < high:
            middle = (low + high) // 2
            if records[middle].first < first:
                low = middle + 1
            else:
                high = middle
        return low

    cdef bint holds(self, size_t at, uint64_t first) noexcept:
        return at < self.count and self.records[self.head + at].first == first

    cdef size_t find(self, uint64_t first) noexcept:
        cdef size_t at = self.position(first)
        return at if self.holds(at, first) else self.count

    cdef int insert(self, size_t at, const Record* record, const Seen* seen) except -1:
        cdef Record* place
        cdef Seen* beside
        cdef size_t behind = self.count - at
        if not make_room(<void**> &self.records, &self.head, &self.capacity, self.count, 1, sizeof(Record)):
            raise MemoryError
        if seen != NULL:
            if not make_room(
                <void**> &self.seen, &self.seen_head, &self.seen_capacity, self.count, 1, sizeof(Seen)
            ):
                raise MemoryError
            beside = self.seen + self.seen_head + at
            memmove(beside + 1, beside, behind * sizeof(Seen))
            beside[0] = seen[0]
        place = self.records + self.head + at
        memmove(place + 1, place, behind * sizeof(Record))
        place[0] = record[0]
        self.count += 1
        return 0

    cdef void cut_out(self, size_t at, size_t count) noexcept:
        cdef size_t behind = self.count - at - count
        self.count -= count
        if not at:
            self.head += count
            if self.seen != NULL:
                self.seen_head += count
            return
        memmove(self.records + self.head + at, self.records + self.head + at + count, behind * sizeof(Record))
        if self.seen != NULL:
            memmove(self.seen + self.seen_head + at, self.seen + self.seen_head + at + count, behind * sizeof(Seen))


@cython.final
cdef class Places:
    """The places of all records, by key.

    Attributes:
        live: bytes of values that are needed, by the number of their segment; none: 0 or not there.
    """

    def __init__(self):
        self._logs = {}
        self.live = {}
        self._starting = False

    def find(self, bytes key not None):
        """Where the record is; None where there is no such record."""
        cdef uint64_t group, first
        cdef Record* record
        cdef Log log
        cdef size_t at
        if not parse(key, &group, &first):
            return None
        log = self.log_of(group)
        if log is None:
            return None
        at = log.find(first)
        if at == log.count:
            return None
        record = log.records + log.head + at
        return Place(record.segment, record.offset, record.size)

    def put(self, bytes key not None, uint64_t segment, unsigned int offset, unsigned int size):
        """The record is here now, wherever it was before. ``ValueError`` for a key that is none of a record."""
        cdef uint64_t group, first
        cdef Record record
        if not parse(key, &group, &first):
            raise ValueError(f"{key!r} is no key of a record")
        record.first, record.segment, record.offset, record.size = first, segment, offset, size
        self.take(group, &record, NULL)

    def remove(self, bytes key not None):
        """There is no such record any more, if there was one."""
        cdef uint64_t group, first
        if parse(key, &group, &first):
            self.drop(group, first)

    def forget_before(self, bytes key not None):
        """There is no record of this log any more whose first entry comes before that of ``key``. ``ValueError``
        for a key that is none of a record."""
        cdef uint64_t group, first
        cdef Log log
        cdef size_t count
        if not parse(key, &group, &first):
            raise ValueError(f"{key!r} is no key of a record")
        log = self.log_of(group)
        if log is None:
            return
        count = log.position(first)
        self.count_out(log, count)
        log.cut_out(0, count)

    def keys(self, bytes start not None, bytes stop not None):
        """The keys of all records from ``start`` on and before ``stop``, ascending; what is there as of now."""
        cdef list keys = []
        cdef Log log
        cdef size_t i
        for group in sorted(self._logs):
            log = self._logs[group]
            for i in range(log.count):
                key = record_key(log.group, log.records[log.head + i].first)
                if start <= key < stop:
                    keys.append(key)
        return keys

    def within(self, uint64_t segment):
        """The keys of all records that lie in this segment."""
        cdef list keys = []
        cdef Log log
        cdef size_t i
        for log in self._logs.values():
            for i in range(log.count):
                if log.records[log.head + i].segment == segment:
                    keys.append(record_key(log.group, log.records[log.head + i].first))
        return keys

    def begin(self):
        """A start begins: what it sees of each record is kept until ``started``."""
        self._starting = True

    def seen(self, uint64_t group):
        """Yields a ``SeenRecord`` for each record of the group, ascending. Before ``started``."""
        cdef Log log = self.log_of(group)
        cdef Seen* seen
        cdef size_t i = 0
        if log is None:
            return
        while i < log.count and log.seen != NULL:
            seen = log.seen + log.seen_head + i
            key = record_key(group, log.records[log.head + i].first)
            yield SeenRecord(key, seen.first, seen.count, seen.term, seen.time_ms, seen.kind, seen.behind)
            i += 1

    def started(self):
        """The start is over."""
        cdef Log log
        self._starting = False
        for log in self._logs.values():
            free(log.seen)
            log.seen = NULL
            log.seen_head = log.seen_capacity = 0

    cdef Log log_of(self, uint64_t group):
        # None where nothing was ever put.
        return <Log> self._logs.get(group)

    cdef int count_out(self, Log log, size_t count) except -1:
        # The first records of a log are needed no more; they may be millions, most in one segment with the next one.
        cdef Record* record = log.records + log.head
        cdef Record* end = record + count
        cdef uint64_t segment, size
        while record < end:
            segment = record.segment
            size = 0
            while record < end and record.segment == segment:
                size += record.size
                record += 1
            self.live[segment] -= size
        return 0

    cdef int take(self, uint64_t group, const Record* record, const Seen* seen) except -1:
        cdef Log log = self.log_of(group)
        cdef Record* former
        cdef Seen nothing
        cdef size_t at
        if log is None:
            log = self._logs[group] = Log.__new__(Log, group)
        at = log.position(record.first)
        if self._starting and seen == NULL:
            memset(&nothing, 0, sizeof(Seen))
            seen = &nothing
        if log.holds(at, record.first):
            former = log.records + log.head + at
            self.live[former.segment] -= former.size
            former[0] = record[0]
            if self._starting:
                log.seen[log.seen_head + at] = seen[0]
        else:
            log.insert(at, record, seen if self._starting else NULL)
        self.live[record.segment] = self.live.get(record.segment, 0) + record.size
        return 0

    cdef int drop(self, uint64_t group, uint64_t first) except -1:
        cdef Log log = self.log_of(group)
        cdef Record* record
        cdef size_t at
        if log is None:
            return 0
        at = log.find(first)
        if at < log.count:
            record = log.records + log.head + at
            self.live[record.segment] -= record.size
            log.cut_out(at, 1)
        return 0


cdef inline bint parse(bytes key, uint64_t* group, uint64_t* first) noexcept:
    return parse_record_key(<const unsigned char*> PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key), group, first)
