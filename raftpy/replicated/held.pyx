"""What the key-value store holds of a key: one small object, of which there may be many millions.

Its fields are read without the interpreter's lock while a snapshot is written, and never change. Python's collector
knows nothing of it: bytes lead nowhere.
"""
cimport cython
from libc.stdint cimport uint64_t


@cython.final
cdef class Held:
    """A value with its version, the log index of the key's last write. 32 bytes, beside those of the value."""

    def __cinit__(self, uint64_t version=0, bytes value not None=b""):
        self.version = version
        self.value = value

    def __repr__(self):
        return f"Held({self.version}, {self.value!r})"


cdef Held new_held(uint64_t version, bytes value):
    # Without a tuple of arguments for each of millions.
    cdef Held held = Held.__new__(Held)
    held.version = version
    held.value = value
    return held
