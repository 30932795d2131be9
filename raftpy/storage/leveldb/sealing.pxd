# What a start asks of a record that it reads.
from raftcore.values.block cimport BlockHeader

# Fills in the header of the block under `value`, and how many bytes there are behind the block. False when the seal
# does not hold; DecodeError when what it seals is no block.
cdef bint see_record(bytes key, bytes value, BlockHeader* header, Py_ssize_t* behind) except -1
