# A leader's own commands, and the blocks that it is sent, on their way into the window.
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint64_t

from raftcore.base.types cimport index_t
from raftcore.log.pieces cimport Pieces
from raftcore.log.window cimport Window
from raftcore.values.block cimport BlockHeader

# Stages the `count` bytes objects at `items`, for which room has been reserved, as entries from header.first on, and in
# `pieces` those of them that make pieces, of at most `limit` bytes. Raises TypeError and ValueError for what cannot be
# entries of this kind, and MemoryError; nothing is staged then.
cdef int stage_commands(Window* window, Pieces pieces, PyObject** items, Py_ssize_t count, uint64_t limit,
                        BlockHeader* header) except -1
# Stages the entries from `begin` on of the block at `at`, a part of the bytes object `owner`. How many there were;
# -1: out of memory.
cdef int64_t stage_block(Window* window, const uint8_t* at, const BlockHeader* header, index_t begin,
                         PyObject* owner) noexcept nogil
