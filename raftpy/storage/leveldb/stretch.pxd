# Records of a log that lie together, and what is taken of each.
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from raftcore.values.block cimport BlockSummary
from raftpy.storage.leveldb.places cimport Record
from raftpy.storage.leveldb.sealing cimport Pieces

# What is taken of one record's block.
cdef struct Part:
    uint64_t block          # bytes of the whole block
    uint64_t size           # bytes of what is taken, with a header of its own
    uint64_t cost           # bytes that it counts for
    uint32_t lo, hi         # entries lo to hi - 1, counted from the block's first

# Some that make one Entries together: the parts from `begin` up to, not including, `end`.
cdef struct Piece:
    size_t begin, end
    uint8_t* to             # where their blocks go
    uint64_t size
    BlockSummary summary

# One call of Stretch.entries or pieces.
cdef struct Filling:
    const uint8_t* stored   # the stretch, as it is in the file
    uint64_t lo, hi, max_bytes
    uint32_t overhead
    Part* parts             # one for each record
    uint8_t* block          # one that is put together to be cut; NULL: none
    size_t count            # records that are taken
    Piece* pieces           # one for each record, at most
    size_t filled           # those that there are

cdef class Stretch:
    cdef readonly uint64_t segment
    cdef readonly Py_ssize_t offset
    cdef readonly Py_ssize_t size
    cdef readonly uint64_t behind
    cdef uint64_t group
    cdef Record* records    # as they were when it was found, in the order of the log
    cdef size_t count       # at least 1

    cdef void value_of(self, size_t i, const uint8_t* stored, Pieces* value) noexcept nogil
    cdef bint measure(self, Filling* filling) noexcept nogil
    cdef bint cut(self, Filling* filling, const Pieces* value, Part* part, uint64_t* cost) noexcept nogil
    cdef const uint8_t* joined(self, Filling* filling, const Pieces* value, uint64_t size) noexcept nogil
    cdef list take(self, bytes stored, Filling* filling, uint64_t max_bytes)
    cdef void part_into_pieces(self, Filling* filling, uint64_t max_bytes) noexcept nogil
    cdef bint write(self, Filling* filling, Piece* piece) noexcept nogil
