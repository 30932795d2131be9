"""What a start takes out of a segment: the places of its records, what their blocks say, and everything small.

One pass over the batches of its write-ahead file, in the order in which they were written.
"""
from cpython.bytes cimport PyBytes_AS_STRING
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from raftcore.values.block cimport BlockHeader
from raftpy.storage.leveldb.places cimport Places, Record, Seen, parse_record_key
from raftpy.storage.leveldb.sealing cimport Pieces, see_pieces, see_record
from raftpy.storage.leveldb.wal_batches cimport Batches, Write

from raftcore.base.errors import DecodeError
from raftpy.contracts.errors import StorageDamaged
from raftpy.storage.leveldb import keys


def read_batches(Batches batches not None, Places places not None, uint64_t segment, dict small not None, str where):
    """Applies all batches that are left of a segment to ``places``, and to ``small``, by key, what is no record.

    Where the last batch begins, and how many there were. ``StorageDamaged``, with a record of the row ``where``, when a
    record's seal does not hold or what it seals is no block. Raises ``MalformedBatch``.
    """
    cdef Py_ssize_t start = batches.end
    cdef uint64_t count = 0
    while batches.next_batch():
        start = batches.end
        count += 1
        read_batch(batches, places, segment, small, where)
    return start, count


cdef int read_batch(Batches batches, Places places, uint64_t segment, dict small, str where) except -1:
    cdef Write write
    cdef Record record
    cdef Seen seen
    cdef Pieces pieces
    cdef BlockHeader header
    cdef Py_ssize_t behind
    cdef uint64_t group
    cdef bytes key
    cdef const uint8_t* at_key
    while batches.next_write(&write):
        key = batches.joined(write.key, write.key_size)
        if not parse_record_key(key, write.key_size, &group, &record.first):
            if write.deletes:
                small.pop(key, None)
            else:
                small[key] = batches.joined(write.value, write.value_size)
            continue
        if write.deletes:
            places.drop(group, record.first)
            continue
        at_key = <const uint8_t*> PyBytes_AS_STRING(key)
        pieces.at, pieces.offset, pieces.size = batches.at(write.value), write.value, write.value_size
        if not see_pieces(at_key, write.key_size, &pieces, &header, &behind):
            see_joined(key, batches.joined(write.value, write.value_size), where, &header, &behind)
        record.segment = segment
        record.offset = <uint32_t> write.value
        record.size = <uint32_t> write.value_size
        seen.first = header.first
        seen.term = header.term
        seen.time_ms = header.time_ms
        seen.count = header.count
        seen.kind = header.kind
        seen.behind = <uint32_t> behind
        places.take(group, &record, &seen)
    return 0


cdef int see_joined(bytes key, bytes value, str where, BlockHeader* header, Py_ssize_t* behind) except -1:
    # What is wrong with it, if anything.
    try:
        if not see_record(key, value, header, behind):
            raise DecodeError("its checksum does not hold")
    except DecodeError as error:
        raise StorageDamaged(str(error), f"{where}: {keys.describe(key)}") from error
    return 0
