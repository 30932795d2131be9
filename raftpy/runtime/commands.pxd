# Payloads of consecutive entries, made into bytes when looked at.
from libc.stdint cimport uint64_t

from raftcore.values.message cimport Entries

cdef class Commands:
    cdef Entries entries
    cdef uint64_t start      # position of the first command in entries
    cdef Py_ssize_t size

cdef Commands make_commands(Entries entries, uint64_t start, Py_ssize_t count)
