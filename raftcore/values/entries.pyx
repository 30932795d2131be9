"""Entries: a run of the log as bytes, read lazily.

The bytes are those of docs/wire-format.md. They are made once, by the leader, and are the same in the log, in a
message and in the store; an :class:`Entry` exists only while somebody looks at it.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_New, PyList_SET_ITEM
from cpython.ref cimport Py_INCREF
from libc.stdint cimport UINT32_MAX, UINT64_MAX, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

cimport cython

from raftcore.base.buffer cimport Buffer, buffer_of
from raftcore.base.bytes cimport load32, store32
from raftcore.base.types cimport EntryNoop
from raftcore.values.block cimport BlockFault, block_size, check_blocks, cut_block, payload_span, raise_fault


@cython.final
cdef class Entry:
    """One entry of the log (paper 5.3). Immutable.

    Raises ValueError for a kind that does not exist, TypeError for data that is not bytes; OverflowError for a number
    that is not 0 to 2**64 - 1.

    Attributes:
        term: of the leader that appended it, at least 1 in a log.
        index: its place in the log, at least 1 in a log.
        kind: an EntryKind's number.
        data: the payload: a command, an encoded configuration change, or nothing.
    """

    def __cinit__(self, term_t term, index_t index, int kind=0, bytes data not None=b""):
        if not 0 <= kind <= EntryNoop:
            raise ValueError(f"kind must be an EntryKind (0 to {<int> EntryNoop}), got {kind}")
        self.term = term
        self.index = index
        self.kind = kind
        self.data = data

    def __eq__(self, other):
        if not isinstance(other, Entry):
            return NotImplemented
        cdef Entry that = <Entry> other
        return (self.index == that.index and self.term == that.term and self.kind == that.kind
                and self.data == that.data)

    def __hash__(self):
        return hash((self.term, self.index, self.kind, self.data))

    def __repr__(self):
        return f"Entry(term={self.term}, index={self.index}, kind={self.kind}, data={self.data!r})"

    def __reduce__(self):
        return Entry, (self.term, self.index, self.kind, self.data)


@cython.freelist(64)
@cython.final
cdef class Entries:
    """An immutable run of consecutive entries, at least one, in byte form.

    Made by :meth:`decode` (from bytes) or :meth:`build` (from :class:`Entry` objects); the class itself raises
    TypeError when it is called. ``len``, ``[i]`` by position and iteration give :class:`Entry` objects made on the
    spot; :meth:`commands`, :meth:`payload` and :meth:`runs` avoid them. ``==`` and ``hash`` go by the bytes.

    Attributes:
        data: the blocks, back to back, as docs/wire-format.md has them.
        first: index of the first entry.
        count: how many entries.
        first_term: term of the first entry; terms never decrease.
        last_term: term of the last entry.
        payload_size: bytes of all payloads, without headers and lengths.
        blocks: how many blocks ``data`` consists of.
    """

    def __cinit__(self):
        self.data = b""  # never None: Entries.__new__ called by anyone but make_entries gives an empty, harmless run

    def __init__(self, *args, **kwargs):
        raise TypeError("Entries are made by Entries.decode(buffer) or Entries.build(list of Entry)")

    @staticmethod
    def decode(buffer):
        """Entries over the blocks in buffer (bytes-like; bytes are shared, anything else is copied), every byte
        checked. DecodeError says what is wrong and where; TypeError for what is not bytes-like."""
        cdef Buffer view
        cdef BlockSummary summary
        cdef BlockFault fault
        cdef const uint8_t* at
        cdef Py_ssize_t size
        cdef bint valid
        if type(buffer) is bytes:  # immutable: shared, not copied
            at = <const uint8_t*> PyBytes_AS_STRING(buffer)
            size = PyBytes_GET_SIZE(buffer)
            with nogil:
                valid = check_blocks(at, size, &summary, &fault)
            if not valid:
                raise_fault(&fault)
            return summarised(<bytes> buffer, &summary)
        view = buffer_of(buffer)
        return parse_entries(view.at, view.size)

    @staticmethod
    def build(entries, uint64_t time_ms=0):
        """Entries from Entry objects with consecutive indexes and terms that never decrease (each at least 1).

        One block for each run of equal term and kind, all with log time ``time_ms``, in milliseconds. ValueError
        (DecodeError) otherwise, or without any entry; TypeError for what is no Entry.
        """
        cdef list blocks = []
        cdef list payloads = []
        cdef Entry entry, head = None
        cdef index_t expected = 0
        for entry in entries:
            if entry is None:
                raise TypeError("an Entry expected, got None")
            if head is not None and entry.index != expected:
                raise ValueError(f"index {entry.index}, but {expected} follows the entry before")
            if head is not None and (entry.term != head.term or entry.kind != head.kind):
                blocks.append(make_block(head.index, head.term, time_ms, head.kind, payloads))
                payloads = []
                head = None
            if head is None:
                head = entry
            payloads.append(entry.data)
            expected = entry.index + 1
        if head is None:
            raise ValueError("at least one entry expected, got none")
        blocks.append(make_block(head.index, head.term, time_ms, head.kind, payloads))
        return Entries.decode(b"".join(blocks))

    @property
    def last(self):
        """Index of the last entry."""
        return self.first + (self.count - 1)

    def __len__(self):
        return self.count

    def __getitem__(self, key):
        cdef Py_ssize_t position
        if isinstance(key, slice):
            return [self.entry_at(i) for i in range(*key.indices(self.count))]
        position = key
        if position < 0:
            position += <Py_ssize_t> self.count
        if not 0 <= position < <Py_ssize_t> self.count:
            raise IndexError(f"position {key} is outside these {self.count} entries")
        return self.entry_at(position)

    def __iter__(self):
        cdef uint64_t position
        for position in range(self.count):
            yield self.entry_at(position)

    def __eq__(self, other):
        if not isinstance(other, Entries):
            return NotImplemented
        return self.data == (<Entries> other).data

    def __hash__(self):
        return hash(self.data)

    def __repr__(self):
        return (f"<Entries {self.first_term}/{self.first} to {self.last_term}/{self.last}: {self.count} entries in "
                f"{self.blocks} blocks, {self.payload_size} bytes of payload>")

    def __reduce__(self):
        return Entries.decode, (self.data,)

    def payload(self, Py_ssize_t position):
        """The payload of the entry at position (0 is the first; negative counts from the end); IndexError beyond
        that."""
        cdef const uint8_t* at
        cdef uint32_t length
        if position < 0:
            position += <Py_ssize_t> self.count
        if not 0 <= position < <Py_ssize_t> self.count:
            raise IndexError(f"position {position} is outside these {self.count} entries")
        length = self.payload_at(position, &at)
        return PyBytes_FromStringAndSize(<const char*> at, length)

    def commands(self):
        """The payloads of all entries, whatever their kind, as a list of bytes; one C loop."""
        cdef const uint8_t* at = <const uint8_t*> PyBytes_AS_STRING(self.data)
        cdef const uint8_t* lengths
        cdef const uint8_t* payload
        cdef list out = PyList_New(self.count)
        cdef Py_ssize_t position = 0
        cdef BlockHeader header
        cdef uint32_t i, length
        cdef bytes item
        for _ in range(self.blocks):
            read_block_header(at, &header)
            lengths = at + BLOCK_HEADER_SIZE
            payload = lengths + LENGTH_SIZE * <uint64_t> header.count
            for i in range(header.count):
                length = load32(lengths + LENGTH_SIZE * <uint64_t> i)
                item = PyBytes_FromStringAndSize(<const char*> payload, length)
                Py_INCREF(item)  # the list takes over this reference
                PyList_SET_ITEM(out, position, item)
                position += 1
                payload += length
            at = payload
        return out

    def runs(self):
        """A list of (first, count, term, kind, time_ms), one for each block; log times are in milliseconds."""
        cdef const uint8_t* at = <const uint8_t*> PyBytes_AS_STRING(self.data)
        cdef BlockHeader header
        cdef list out = []
        for _ in range(self.blocks):
            read_block_header(at, &header)
            out.append((header.first, header.count, header.term, header.kind, header.time_ms))
            at += block_size(&header)
        return out

    def iter_blocks(self):
        """Yields (first, term, time_ms, kind, count, memoryview of the whole block) for each block; nothing is
        copied."""
        cdef Py_ssize_t offset = 0
        cdef Py_ssize_t size
        cdef BlockHeader header
        view = memoryview(self.data)
        for _ in range(self.blocks):
            read_block_header(<const uint8_t*> PyBytes_AS_STRING(self.data) + offset, &header)
            size = block_size(&header)
            yield (header.first, header.term, header.time_ms, header.kind, header.count, view[offset:offset + size])
            offset += size

    cpdef Entries slice(self, index_t lo, index_t hi):
        """Entries lo to hi - 1 by log index: new headers over copies of the same payload spans (decision 3).

        IndexError unless first <= lo < hi <= last + 1.
        """
        if lo < self.first or hi <= lo or hi - self.first > self.count:
            raise IndexError(f"[{lo}, {hi}) is not a part of entries [{self.first}, {self.first + self.count})")
        if lo == self.first and hi - lo == self.count:
            return self
        cdef BlockHeader header
        self.seek(lo - self.first, &header)
        cdef const uint8_t* data = <const uint8_t*> PyBytes_AS_STRING(self.data)
        cdef const uint8_t* start = data + self._at_offset
        cdef uint32_t start_lo = self._at_entry
        cdef uint64_t start_skip = self._at_payload - self._at_offset - BLOCK_HEADER_SIZE \
            - LENGTH_SIZE * <uint64_t> header.count
        cdef term_t first_term = header.term
        # First walk: how many bytes.
        cdef const uint8_t* at = start
        cdef uint64_t left = hi - lo
        cdef uint64_t size = 0
        cdef uint64_t payload_size = 0
        cdef uint64_t span
        cdef uint32_t blocks = 0
        cdef uint32_t block_lo = start_lo
        cdef uint32_t block_hi
        while left:
            read_block_header(at, &header)
            block_hi = <uint32_t> min(<uint64_t> header.count, block_lo + left)
            span = header.payload_size if block_hi - block_lo == header.count \
                else payload_span(at, block_lo, block_hi)
            size += BLOCK_HEADER_SIZE + LENGTH_SIZE * <uint64_t> (block_hi - block_lo) + span
            payload_size += span
            blocks += 1
            left -= block_hi - block_lo
            block_lo = 0
            at += block_size(&header)
        # Second walk: write them.
        cdef bytes out = PyBytes_FromStringAndSize(NULL, size)
        cdef uint8_t* to = <uint8_t*> PyBytes_AS_STRING(out)
        cdef uint64_t skip = start_skip
        at = start
        left = hi - lo
        block_lo = start_lo
        while left:
            read_block_header(at, &header)
            block_hi = <uint32_t> min(<uint64_t> header.count, block_lo + left)
            span = header.payload_size if block_hi - block_lo == header.count \
                else payload_span(at, block_lo, block_hi)
            to += cut_block(at, block_lo, block_hi, skip, span, to)
            left -= block_hi - block_lo
            block_lo = 0
            skip = 0
            at += block_size(&header)
        return make_entries(out, lo, hi - lo, first_term, header.term, payload_size, blocks)

    def split(self, uint64_t max_bytes):
        """These entries, in order, in pieces whose ``data`` has at most ``max_bytes`` each, as many entries in each as
        fit; an entry that takes more by itself is a piece of its own."""
        cdef const uint8_t* at = <const uint8_t*> PyBytes_AS_STRING(self.data)
        cdef const uint8_t* end = at + PyBytes_GET_SIZE(self.data)
        cdef list pieces = []
        cdef BlockHeader header
        cdef index_t lo = self.first
        cdef index_t index
        cdef uint64_t used = 0
        cdef uint64_t cost
        cdef uint32_t i
        while at < end:
            read_block_header(at, &header)
            for i in range(header.count):
                index = header.first + i
                cost = LENGTH_SIZE + load32(at + BLOCK_HEADER_SIZE + LENGTH_SIZE * <uint64_t> i)
                if i == 0 or index == lo:
                    cost += BLOCK_HEADER_SIZE
                if index > lo and (cost > max_bytes or used > max_bytes - cost):
                    pieces.append(self.slice(lo, index))
                    lo = index
                    used = 0
                    if i:
                        cost += BLOCK_HEADER_SIZE
                used += cost
            at += block_size(&header)
        pieces.append(self.slice(lo, self.first + self.count))
        return pieces

    cdef void seek(self, uint64_t position, BlockHeader* header) noexcept:
        cdef const uint8_t* data = <const uint8_t*> PyBytes_AS_STRING(self.data)
        cdef const uint8_t* lengths
        cdef uint32_t target
        if self._at_payload == 0 or position < self._at_position:
            self._at_offset = 0
            self._at_position = 0
            read_block_header(data, header)
            self._rewind(header)
        else:
            read_block_header(data + self._at_offset, header)
        while position - self._at_position >= header.count:
            self._at_offset += <Py_ssize_t> block_size(header)
            self._at_position += header.count
            read_block_header(data + self._at_offset, header)
            self._rewind(header)
        target = <uint32_t> (position - self._at_position)
        if target < self._at_entry // 2:
            self._rewind(header)
        lengths = data + self._at_offset + BLOCK_HEADER_SIZE
        while self._at_entry > target:
            self._at_entry -= 1
            self._at_payload -= load32(lengths + LENGTH_SIZE * <uint64_t> self._at_entry)
        while self._at_entry < target:
            self._at_payload += load32(lengths + LENGTH_SIZE * <uint64_t> self._at_entry)
            self._at_entry += 1

    cdef void _rewind(self, const BlockHeader* header) noexcept:
        self._at_entry = 0
        self._at_payload = self._at_offset + BLOCK_HEADER_SIZE + LENGTH_SIZE * <Py_ssize_t> header.count

    cdef uint32_t payload_at(self, uint64_t position, const uint8_t** at) noexcept:
        cdef const uint8_t* data = <const uint8_t*> PyBytes_AS_STRING(self.data)
        cdef BlockHeader header
        self.seek(position, &header)
        at[0] = data + self._at_payload
        return load32(data + self._at_offset + BLOCK_HEADER_SIZE + LENGTH_SIZE * <uint64_t> self._at_entry)

    cdef Entry entry_at(self, uint64_t position):
        cdef const uint8_t* data = <const uint8_t*> PyBytes_AS_STRING(self.data)
        cdef BlockHeader header
        cdef uint32_t length
        cdef Entry entry
        self.seek(position, &header)
        length = load32(data + self._at_offset + BLOCK_HEADER_SIZE + LENGTH_SIZE * <uint64_t> self._at_entry)
        entry = Entry(header.term, self.first + position, header.kind,
                      PyBytes_FromStringAndSize(<const char*> data + self._at_payload, length))
        return entry


cdef Entries make_entries(bytes data, index_t first, uint64_t count, term_t first_term, term_t last_term,
                          uint64_t payload_size, uint32_t blocks):
    cdef Entries out = Entries.__new__(Entries)
    out.data = data
    out.first = first
    out.count = count
    out.first_term = first_term
    out.last_term = last_term
    out.payload_size = payload_size
    out.blocks = blocks
    return out


cdef inline Entries summarised(bytes data, const BlockSummary* summary):
    return make_entries(data, summary.first, summary.count, summary.first_term, summary.last_term,
                        summary.payload_size, summary.blocks)


cdef Entries parse_entries(const uint8_t* data, Py_ssize_t size):
    cdef BlockSummary summary
    cdef BlockFault fault
    if not check_blocks(data, size, &summary, &fault):
        raise_fault(&fault)
    return summarised(PyBytes_FromStringAndSize(<const char*> data, size), &summary)


cdef bytes make_block(index_t first, term_t term, uint64_t time_ms, uint32_t kind, object commands):
    cdef BlockHeader header
    cdef uint64_t total = 0
    cdef Py_ssize_t length
    cdef bytes command, out
    cdef uint8_t* lengths
    cdef uint8_t* payload
    cdef Py_ssize_t count = len(commands)
    if not 1 <= count <= <Py_ssize_t> UINT32_MAX or first == 0 or first > UINT64_MAX - <uint64_t> count:
        raise ValueError(f"a block needs 1 to {UINT32_MAX} entries with indexes from 1, got {count} from {first}")
    for command in commands:
        if command is None:
            raise TypeError("a command must be bytes, got None")
        length = PyBytes_GET_SIZE(command)
        if length > MAX_PAYLOAD:
            raise ValueError(f"an entry of {length} bytes, at most {<int> MAX_PAYLOAD} allowed")
        total += <uint64_t> length
    if total > UINT32_MAX:
        raise ValueError(f"a block of {total} bytes of payload, at most {UINT32_MAX} allowed")
    header.first = first
    header.term = term
    header.time_ms = time_ms
    header.count = <uint32_t> count
    header.payload_size = <uint32_t> total
    header.kind = kind
    header.reserved = 0
    out = PyBytes_FromStringAndSize(NULL, block_size(&header))
    lengths = <uint8_t*> PyBytes_AS_STRING(out)
    write_block_header(lengths, &header)
    lengths += BLOCK_HEADER_SIZE
    payload = lengths + LENGTH_SIZE * count
    for command in commands:
        length = PyBytes_GET_SIZE(command)
        store32(lengths, <uint32_t> length)
        memcpy(payload, PyBytes_AS_STRING(command), length)
        lengths += LENGTH_SIZE
        payload += length
    return out
