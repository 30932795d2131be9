"""Tables (doc/table_format.md): sorted writes in blocks of about 4 KiB, each with a checksum, and an index of them.

A block that does not hold is an error for whoever asks for a key in it, and is passed by when all keys are read.
"""

from bisect import bisect_left
from operator import itemgetter

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from raftcore.base.bytes cimport load32, load64, store32, store64
from raftcore.base.crc cimport crc32c_update

from raftpy.sim.disk.leveldb.varints import Malformed, varint

from raftpy.sim.disk.leveldb.records cimport masked
from raftpy.sim.disk.leveldb.varints cimport Unpacking, put_varint

cdef enum:
    BLOCK_SIZE = 4096
    RESTART_INTERVAL = 16
    FOOTER_SIZE = 48
    TAG_SIZE = 8           # behind each key: the sequence number and the kind of write
    TRAILER_SIZE = 5       # behind each block: a kind, 0 for not compressed, and a checksum

cdef uint64_t MAGIC = 0xDB4775248B80FB57
cdef object FIRST = itemgetter(0)
cdef bytes SEEK = u64(((1 << 56) - 1) << 8 | 1)


cdef bytes u64(uint64_t number):
    cdef bytes out = PyBytes_FromStringAndSize(NULL, 8)
    store64(<uint8_t*> PyBytes_AS_STRING(out), number)
    return out


cpdef bytes internal_key(tuple entry):
    """The key of (key, sequence number of the write, value or None) as it stands in a table: with the sequence number
    and the kind of write behind it."""
    cdef bytes key = entry[0]
    cdef uint64_t sequence = entry[1]
    cdef Py_ssize_t size = PyBytes_GET_SIZE(key)
    cdef bytes out = PyBytes_FromStringAndSize(NULL, size + TAG_SIZE)
    cdef uint8_t* at = <uint8_t*> PyBytes_AS_STRING(out)
    memcpy(at, PyBytes_AS_STRING(key), <size_t> size)
    store64(at + size, sequence << 8 | (entry[2] is not None))
    return out


@cython.final
cdef class Block:
    """A block that is being written."""
    cdef int interval
    cdef bytearray out
    cdef list restarts
    cdef int since
    cdef bytes last

    cdef int add(self, bytes key, bytes value) except -1:
        cdef uint8_t head[30]
        cdef uint8_t* end
        cdef Py_ssize_t shared = 0
        if self.since < self.interval:
            shared = shared_size(self.last, key)
        else:
            self.restarts.append(len(self.out))
            self.since = 0
        end = put_varint(head, <uint64_t> shared)
        end = put_varint(end, <uint64_t> (PyBytes_GET_SIZE(key) - shared))
        end = put_varint(end, <uint64_t> PyBytes_GET_SIZE(value))
        self.out += head[:end - head]
        self.out += key[shared:]
        self.out += value
        self.since += 1
        self.last = key
        return 0

    cdef Py_ssize_t size(self) except -1:
        return len(self.out) + 4 * len(self.restarts) + 4

    cdef bytes finish(self):
        cdef uint8_t number[4]
        for restart in self.restarts:
            store32(number, <uint32_t> restart)
            self.out += number[:4]
        store32(number, <uint32_t> len(self.restarts))
        self.out += number[:4]
        return bytes(self.out)


cdef Block new_block(int interval):
    cdef Block block = Block.__new__(Block)
    block.interval = interval
    block.out = bytearray()
    block.restarts = [0]
    block.last = b""
    return block


cdef bytes put(bytearray out, bytes contents):
    # Puts a block there. Its handle.
    cdef bytes handle = varint(len(out)) + varint(PyBytes_GET_SIZE(contents))
    cdef uint8_t trailer[TRAILER_SIZE]
    trailer[0] = 0
    crc = crc32c_update(0, <const uint8_t*> PyBytes_AS_STRING(contents), PyBytes_GET_SIZE(contents))
    store32(trailer + 1, masked(crc32c_update(crc, trailer, 1)))
    out += contents
    out += trailer[:TRAILER_SIZE]
    return handle


def build(list entries not None):
    """A table of these writes, which are sorted: keys ascending, the newest write of a key first."""
    cdef bytearray out = bytearray()
    cdef Block block = new_block(RESTART_INTERVAL)
    cdef Block index = new_block(1)
    cdef bytes last = None  # key of the block before
    cdef bytes handle = None  # and where that is
    cdef tuple entry
    for entry in entries:
        if last is not None:
            index.add(separator(last, entry[0]), handle)
            last = None
        value = entry[2]
        block.add(internal_key(entry), b"" if value is None else value)
        if block.size() >= BLOCK_SIZE:
            last, handle = block.last, put(out, block.finish())
            block = new_block(RESTART_INTERVAL)
    if block.last:
        last, handle = block.last, put(out, block.finish())
    metaindex = put(out, new_block(RESTART_INTERVAL).finish())
    if last is not None:
        index.add(successor(last), handle)
    handles = metaindex + put(out, index.finish())
    return bytes(out + handles.ljust(FOOTER_SIZE - 8, b"\0") + u64(MAGIC))


cdef Py_ssize_t shared_size(bytes one, bytes other) noexcept:
    # How many of their first bytes are the same.
    cdef Py_ssize_t size = min(PyBytes_GET_SIZE(one), PyBytes_GET_SIZE(other))
    cdef const char* left = PyBytes_AS_STRING(one)
    cdef const char* right = PyBytes_AS_STRING(other)
    cdef Py_ssize_t at = 0
    while at < size and left[at] == right[at]:
        at += 1
    return at


cdef bytes separator(bytes last, bytes following):
    # A short key from the internal key `last` on, and before the key `following`.
    cdef bytes key = last[:PyBytes_GET_SIZE(last) - TAG_SIZE]
    cdef Py_ssize_t at = shared_size(key, following)
    if at < min(len(key), len(following)) and key[at] < 0xFF and key[at] + 1 < following[at] and at + 1 < len(key):
        return key[:at] + bytes((key[at] + 1,)) + SEEK
    return last


cdef bytes successor(bytes last):
    # A short key from the internal key `last` on.
    cdef bytes key = last[:PyBytes_GET_SIZE(last) - TAG_SIZE]
    for at, byte in enumerate(key):
        if byte != 0xFF:
            return key[:at] + bytes((byte + 1,)) + SEEK if at + 1 < len(key) else last
    return last


class Table:
    """A table that is read. ``size``: as the manifest has it. Raises ``Malformed``, also from ``get``.

    ``Malformed("Invalid argument")`` is what a read beyond the end of the file gives.
    """

    def __init__(self, bytes data not None, size):
        cdef bytes footer
        if not data:
            raise Malformed("Invalid argument")
        if size < FOOTER_SIZE:
            raise Malformed("file is too short to be an sstable")
        self._data = data
        footer = part(data, size - FOOTER_SIZE, FOOTER_SIZE)
        if load64(<const uint8_t*> PyBytes_AS_STRING(footer) + FOOTER_SIZE - 8) != MAGIC:
            raise Malformed("not an sstable (bad magic number)")
        handles = Unpacking(footer)
        handles.varint()  # where the metaindex is, which nothing needs
        handles.varint()
        index = pairs(block_at(data, handles.varint(), handles.varint()))
        self._separators = [key[:len(key) - TAG_SIZE] for key, _ in index]
        self._handles = [handle for _, handle in index]
        self._read = {}

    def get(self, key):
        """The newest write of the key, as an entry (see ``internal_key``), or None."""
        number = bisect_left(self._separators, key)
        if number == len(self._separators):
            return None
        entries = self._entries(number)
        at = bisect_left(entries, key, key=FIRST)
        return entries[at] if at < len(entries) and entries[at][0] == key else None

    def entries_from(self, key, before=b""):
        """All writes of this key and those behind it, but for blocks that do not hold; and of the first of these the
        key before it, and what is wrong.

        ``before``: the key of the write that was read before this table.
        """
        cdef list found = []
        unreadable = None
        for number in range(bisect_left(self._separators, key), len(self._handles)):
            try:
                found += [entry for entry in self._entries(number) if entry[0] >= key]
            except Malformed as error:
                if unreadable is None:
                    unreadable = (found[len(found) - 1][0] if found else before), error
        return found, unreadable

    def _entries(self, number):
        cdef bytes key
        cdef Py_ssize_t size
        cdef uint64_t tag
        found = self._read.get(number)
        if found is None:
            handle = Unpacking(self._handles[number])
            found = []
            for key, value in pairs(block_at(self._data, handle.varint(), handle.varint())):
                size = PyBytes_GET_SIZE(key) - TAG_SIZE
                if size < 0:
                    raise Malformed("corrupted internal key")
                tag = load64(<const uint8_t*> PyBytes_AS_STRING(key) + size)
                found.append((key[:size], tag >> 8, value if tag & 1 else None))
            self._read[number] = found
        return found


cdef bytes part(bytes data, offset, size):
    if offset + size > PyBytes_GET_SIZE(data):
        raise Malformed("Invalid argument")
    return data[offset:offset + size]


cdef bytes block_at(bytes data, offset, size):
    cdef bytes found = part(data, offset, size + TRAILER_SIZE)
    cdef Py_ssize_t length = size
    cdef const uint8_t* at = <const uint8_t*> PyBytes_AS_STRING(found)
    if load32(at + length + 1) != masked(crc32c_update(0, at, length + 1)):
        raise Malformed("block checksum mismatch")
    return found[:length]


cdef list pairs(bytes block):
    # Key and value of each entry of a block.
    cdef Py_ssize_t size = PyBytes_GET_SIZE(block)
    cdef Py_ssize_t end
    cdef Unpacking reader = Unpacking(block)
    cdef bytes key = b""
    cdef uint64_t shared, unshared, length
    cdef list found = []
    if size < 4:
        raise Malformed("bad block contents")
    end = size - 4 - 4 * <Py_ssize_t> load32(<const uint8_t*> PyBytes_AS_STRING(block) + size - 4)
    while reader.at < end:
        shared, unshared, length = reader.varint(), reader.varint(), reader.varint()
        key = key[:<Py_ssize_t> shared] + reader.take(unshared)
        found.append((key, reader.take(length)))
    return found
