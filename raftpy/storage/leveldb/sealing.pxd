# What a start asks of a record that it reads, and whoever reads many of them.
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from raftcore.base.buffer cimport Buffer
from raftcore.values.block cimport BlockHeader

cdef enum:
    SEAL_SIZE = 4   # bytes in front of what was stored
    END_SIZE = 1    # and behind it
    END = 0xFF      # what stands there

cdef class Sealed:
    cdef Buffer block
    cdef bytes behind
    cdef uint32_t seal
    cdef Py_ssize_t size    # of all of it, in bytes

# A value as it lies in a write-ahead file, with the headers between its pieces.
cdef struct Pieces:
    const uint8_t* at   # its first byte
    Py_ssize_t offset   # of that in the file
    Py_ssize_t size     # of the value, without the headers

# Fills in the header of the block under `value`, and how many bytes there are behind the block. False when the seal
# does not hold; DecodeError when what it seals is no block.
cdef bint see_record(bytes key, bytes value, BlockHeader* header, Py_ssize_t* behind) except -1
# The same without putting the value together, of a file that is in memory from its first byte on, and of which the
# checksums of LevelDB's records hold. False as well where it is no block, or a very long one: see_record knows.
cdef bint see_pieces(const uint8_t* key, Py_ssize_t key_size, const Pieces* value, BlockHeader* header,
                     Py_ssize_t* behind) noexcept nogil
# How many bytes the block has, and its header; its lengths are not looked at. 0 when the seal does not hold, or what it
# seals has no room for a block. `checked`: as for see_pieces.
cdef uint64_t sealed_block(const uint8_t* key, Py_ssize_t key_size, const Pieces* value, bint checked,
                           BlockHeader* header) noexcept nogil
