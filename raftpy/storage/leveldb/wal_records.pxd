# What the records of a write-ahead file are counted in (LevelDB's doc/log_format.md).

cdef enum:
    BLOCK_SIZE = 32 * 1024  # bytes; a record lies in one block
    RECORD_HEADER = 7       # bytes in front of each record's data
