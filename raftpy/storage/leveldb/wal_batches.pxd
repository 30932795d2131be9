# Reading the batches of a write-ahead file write by write, without an object for each.
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from raftcore.base.buffer cimport Buffer

cdef enum:
    BATCH_HEADER = 12  # bytes: number of the first write, and how many there are

cdef struct Write:
    bint deletes
    Py_ssize_t key          # offsets in the file, and sizes without the headers of pieces
    Py_ssize_t key_size
    Py_ssize_t value
    Py_ssize_t value_size

cdef class Batches:
    cdef Buffer _data
    cdef Py_ssize_t _stop       # records are there up to here
    cdef readonly Py_ssize_t end        # behind the last whole batch
    cdef readonly uint64_t sequence     # of the next write
    # The batch that is being read: where its next byte is taken from, and how many bytes of it are left.
    cdef Py_ssize_t _at
    cdef uint64_t _left
    cdef Py_ssize_t _start
    cdef Py_ssize_t _behind
    cdef uint32_t _count
    cdef uint32_t _seen

    # Goes on to the next batch; False where there is none.
    cdef bint next_batch(self) except -1
    # The next write of it; False at its end, which is behind the batch then.
    cdef bint next_write(self, Write* write) except -1
    # Byte `offset` of the file.
    cdef const uint8_t* at(self, Py_ssize_t offset) noexcept
    # The size bytes at `offset`, without the headers between their pieces; they lie in the file.
    cdef bytes joined(self, Py_ssize_t offset, Py_ssize_t size)

    cdef Py_ssize_t _span(self, Py_ssize_t start) except -2
    cdef object _malformed(self, Py_ssize_t at, str what)
    cdef Py_ssize_t _here(self) noexcept
    cdef uint8_t _byte(self) noexcept
    cdef uint64_t _number(self, int size) noexcept
    cdef Py_ssize_t _size(self, Py_ssize_t start) except -1
    cdef Py_ssize_t _skip(self, Py_ssize_t size) noexcept

# How many bytes of the file hold `size` bytes at `offset`, with the headers between their pieces.
cdef Py_ssize_t span_of(Py_ssize_t offset, Py_ssize_t size) noexcept nogil
# Where the byte behind the `size` bytes at `offset` is, if there is another one of the same batch.
cdef Py_ssize_t next_at(Py_ssize_t offset, Py_ssize_t size) noexcept nogil
# The `size` bytes at `offset` without the headers between their pieces; `at` is where byte `offset` of the file is.
cdef void copy_pieces(uint8_t* to, const uint8_t* at, Py_ssize_t offset, Py_ssize_t size) noexcept nogil
# CRC32C of them, continuing `crc`.
cdef uint32_t crc_of_pieces(uint32_t crc, const uint8_t* at, Py_ssize_t offset, Py_ssize_t size) noexcept nogil
# The same in a file of which byte 0 is at `file`, and whose records' own checksums hold: from these, where that is
# quicker than from the bytes.
cdef uint32_t crc_of_checked(uint32_t crc, const uint8_t* file, Py_ssize_t offset, Py_ssize_t size) noexcept nogil
