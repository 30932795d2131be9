"""The byte form of what LevelDB keeps: a seal in front of every value, and behind a batch's last block the head.

    seal (u32)  CRC32C of the key and of all that follows: a value under another key is noticed as well as a changed one
    body        of a record of the log: one block as it was sent, and in the last record of its batch the head
    end (u8)    never zero, so that a record whose last byte is zero is the beginning of one (wal.py)

The head rides with the entries so that a batch of them touches no key that another batch has written: LevelDB then has
nothing to merge, and what was written once stays where it is (docs/design-storage.md).
"""
cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from raftcore.base.buffer cimport Buffer, buffer_of
from raftcore.base.bytes cimport load32, store32
from raftcore.base.crc cimport crc32c_update
from raftcore.values.block cimport (
    BLOCK_HEADER_SIZE,
    LENGTH_SIZE,
    BlockFault,
    BlockHeader,
    BlockSummary,
    block_size,
    check_blocks,
    raise_fault,
    read_block_header,
)
from raftcore.values.entries cimport parse_entries
from raftpy.storage.leveldb.wal_batches cimport copy_pieces, crc_of_checked, crc_of_pieces, next_at

from raftcore.base.errors import DecodeError

cdef enum:
    LENGTHS_AT_ONCE = 32 << 10  # bytes of a block's header and lengths, on the stack

SEAL = SEAL_SIZE


def seal(bytes key not None, body, bytes behind not None=b""):
    """``body`` and, after it, ``behind`` as they are stored under ``key``."""
    cdef Buffer view = buffer_of(body)
    cdef Py_ssize_t size = view.size
    cdef Py_ssize_t more = PyBytes_GET_SIZE(behind)
    cdef bytes value = PyBytes_FromStringAndSize(NULL, SEAL_SIZE + size + more + END_SIZE)
    cdef uint8_t* at = <uint8_t*> PyBytes_AS_STRING(value) + SEAL_SIZE
    if size:
        memcpy(at, view.at, <size_t> size)
    memcpy(at + size, PyBytes_AS_STRING(behind), <size_t> more)
    at[size + more] = END
    store32(at - SEAL_SIZE, crc32c_update(key_crc(key), at, size + more + END_SIZE))
    return value


@cython.final
cdef class Sealed:
    """A block and what comes behind it as they are stored under ``key``, not put together: as many bytes as ``seal``
    makes of them, and the same ones once they are written. The block must not change until then."""

    def __cinit__(self, bytes key not None, block, bytes behind not None=b""):
        cdef uint8_t end = END
        cdef uint32_t crc
        self.block = buffer_of(block)
        self.behind = behind
        self.size = SEAL_SIZE + self.block.size + PyBytes_GET_SIZE(behind) + END_SIZE
        crc = crc32c_update(key_crc(key), self.block.at, self.block.size)
        crc = crc32c_update(crc, <const uint8_t*> PyBytes_AS_STRING(behind), PyBytes_GET_SIZE(behind))
        self.seal = crc32c_update(crc, &end, END_SIZE)

    def __len__(self):
        return self.size


cdef inline unsigned int key_crc(bytes key) noexcept:
    return crc32c_update(0, <const uint8_t*> PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key))


cdef bint holds(bytes key, bytes value) noexcept:
    # Whether the seal does.
    cdef const uint8_t* at = <const uint8_t*> PyBytes_AS_STRING(value)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(value)
    if size < SEAL_SIZE + END_SIZE or at[size - 1] != END:
        return False
    return load32(at) == crc32c_update(key_crc(key), at + SEAL_SIZE, size - SEAL_SIZE)


def unseal(bytes key not None, bytes value not None):
    """What was stored under ``key``, or None when the seal does not hold."""
    return value[SEAL_SIZE:PyBytes_GET_SIZE(value) - END_SIZE] if holds(key, value) else None


cdef bint see_record(bytes key, bytes value, BlockHeader* header, Py_ssize_t* behind) except -1:
    # What unseal_record finds out, of the block's header alone. False when the seal does not hold.
    cdef const uint8_t* at = <const uint8_t*> PyBytes_AS_STRING(value) + SEAL_SIZE
    cdef Py_ssize_t size = PyBytes_GET_SIZE(value) - SEAL_SIZE - END_SIZE
    cdef uint64_t block
    cdef BlockSummary summary
    cdef BlockFault fault
    if not holds(key, value):
        return False
    block = size_of_block(at, size, header)
    if not check_blocks(at, <Py_ssize_t> block, &summary, &fault):
        raise_fault(&fault)
    behind[0] = size - <Py_ssize_t> block
    return True


cdef uint64_t sealed_block(const uint8_t* key, Py_ssize_t key_size, const Pieces* value, bint checked,
                           BlockHeader* header) noexcept nogil:
    cdef Py_ssize_t size = value.size - SEAL_SIZE - END_SIZE
    cdef Py_ssize_t body = next_at(value.offset, SEAL_SIZE)
    cdef uint8_t seal[SEAL_SIZE]
    cdef uint8_t head[BLOCK_HEADER_SIZE]
    cdef uint64_t block
    cdef uint32_t crc = crc32c_update(0, key, key_size)
    if size < BLOCK_HEADER_SIZE or value.at[next_at(value.offset, value.size - END_SIZE) - value.offset] != END:
        return 0
    if checked:
        crc = crc_of_checked(crc, value.at - value.offset, body, value.size - SEAL_SIZE)
    else:
        crc = crc_of_pieces(crc, value.at + (body - value.offset), body, value.size - SEAL_SIZE)
    copy_pieces(seal, value.at, value.offset, SEAL_SIZE)
    if load32(seal) != crc:
        return 0
    copy_pieces(head, value.at + (body - value.offset), body, BLOCK_HEADER_SIZE)
    read_block_header(head, header)
    block = block_size(header)
    return block if block <= <uint64_t> size else 0


cdef bint see_pieces(const uint8_t* key, Py_ssize_t key_size, const Pieces* value, BlockHeader* header,
                     Py_ssize_t* behind) noexcept nogil:
    # check_blocks reads of a block no more than its header and the lengths, so no more is put together.
    cdef uint8_t lengths[LENGTHS_AT_ONCE]
    cdef uint64_t block = sealed_block(key, key_size, value, True, header)
    cdef Py_ssize_t body
    cdef uint64_t begin
    cdef BlockSummary summary
    cdef BlockFault fault
    if not block:
        return False
    begin = min(block, BLOCK_HEADER_SIZE + LENGTH_SIZE * <uint64_t> header.count)
    if begin > LENGTHS_AT_ONCE:
        return False
    body = next_at(value.offset, SEAL_SIZE)
    copy_pieces(lengths, value.at + (body - value.offset), body, <Py_ssize_t> begin)
    behind[0] = value.size - SEAL_SIZE - END_SIZE - <Py_ssize_t> block
    return check_blocks(lengths, <Py_ssize_t> block, &summary, &fault)


cdef uint64_t size_of_block(const uint8_t* at, Py_ssize_t size, BlockHeader* header) except 0:
    # Reads the header of the block that begins size bytes.
    cdef uint64_t block
    if size < BLOCK_HEADER_SIZE:
        raise DecodeError(f"a block has at least {BLOCK_HEADER_SIZE} bytes, not {size}")
    read_block_header(at, header)
    block = block_size(header)
    if block > <uint64_t> size:
        raise DecodeError(f"its block has {block} bytes, and {size} are there")
    return block


def unseal_record(bytes key not None, bytes value not None):
    """The entries of a record of the log, one block, and the head behind them (empty where there is none).

    None when the seal does not hold. Raises ``DecodeError`` when what it seals is no block.
    """
    cdef const uint8_t* at = <const uint8_t*> PyBytes_AS_STRING(value) + SEAL_SIZE
    cdef Py_ssize_t size = PyBytes_GET_SIZE(value) - SEAL_SIZE - END_SIZE
    cdef uint64_t block
    cdef BlockHeader header
    if not holds(key, value):
        return None
    block = size_of_block(at, size, &header)
    return parse_entries(at, <Py_ssize_t> block), value[SEAL_SIZE + <Py_ssize_t> block:SEAL_SIZE + size]
