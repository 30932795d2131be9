# What the records of a write-ahead file are counted in (LevelDB's doc/log_format.md), and what they say.

cdef enum:
    BLOCK_SIZE = 32 * 1024  # bytes; a record lies in one block
    RECORD_HEADER = 7       # bytes in front of each record's data

cdef enum:
    # What of a batch a record holds.
    FULL = 1
    FIRST = 2
    MIDDLE = 3
    LAST = 4

cdef enum:
    # Kinds of writes in a batch (db/dbformat.h).
    DELETION = 0
    VALUE = 1
