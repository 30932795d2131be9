"""Batches of writes as a write-ahead file has them: a sequence number, a count, and the writes."""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from raftcore.base.bytes cimport load32, load64, store32, store64

from raftpy.sim.disk.leveldb.varints import Malformed

from raftpy.sim.disk.leveldb.varints cimport Unpacking, prefixed_size, put_prefixed
from raftpy.storage.leveldb.wal_records cimport DELETION, VALUE

cdef enum:
    # The sequence number of the first write (u64), and how many there are (u32).
    HEADER_SIZE = 12


def pack(uint64_t sequence, list writes not None):
    """A batch, of which ``sequence`` is the first write's number; writes are (key, value), None for a deletion."""
    cdef Py_ssize_t size = HEADER_SIZE
    cdef bytes key, value, out
    cdef uint8_t* at
    for key, value in writes:
        size += 1 + prefixed_size(key)
        if value is not None:
            size += prefixed_size(value)
    out = PyBytes_FromStringAndSize(NULL, size)
    at = <uint8_t*> PyBytes_AS_STRING(out)
    store64(at, sequence)
    store32(at + 8, <uint32_t> len(writes))
    at += HEADER_SIZE
    for key, value in writes:
        at[0] = DELETION if value is None else VALUE
        at = put_prefixed(at + 1, key)
        if value is not None:
            at = put_prefixed(at, value)
    return out


def unpack(bytes record not None):
    """A whole batch, as its sequence number and its writes. Raises ``Malformed``."""
    cdef const uint8_t* at = <const uint8_t*> PyBytes_AS_STRING(record)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(record)
    cdef Unpacking reader
    cdef list writes = []
    cdef uint8_t kind
    if size < HEADER_SIZE:
        raise Malformed("log record too small")
    reader = Unpacking(record, HEADER_SIZE)
    while reader.at < size:
        kind = at[reader.at]
        reader.at += 1
        if kind not in (DELETION, VALUE):
            raise Malformed("unknown WriteBatch tag")
        key = reader.prefixed()
        writes.append((key, reader.prefixed() if kind == VALUE else None))
    if <uint32_t> len(writes) != load32(at + 8):
        raise Malformed("WriteBatch has wrong count")
    return load64(at), writes
