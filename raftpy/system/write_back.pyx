"""What was written to a file, taken to the disk without waiting for the file system's journal, where a system can."""
from libc.stdint cimport int64_t

cdef extern from *:
    """
    #include <stdint.h>
    #include <errno.h>
    #if defined(__linux__)
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <fcntl.h>
    #endif
    static int raftpy_write_back(int fd, int64_t offset, int64_t size) {
    #if defined(__linux__)
        return sync_file_range(fd, offset, size, SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE
                               | SYNC_FILE_RANGE_WAIT_AFTER) ? errno : 0;
    #else
        (void)fd; (void)offset; (void)size;
        return ENOSYS;
    #endif
    }
    """
    int raftpy_write_back(int fd, int64_t offset, int64_t size) nogil


def write_back(int fd, int64_t offset, int64_t size):
    """Returns 0 when the disk has taken these bytes of the file, else the system's number of what went wrong:
    ``ENOSYS`` where the system has no such call, ``EIO`` where the disk has failed.

    On Linux it is ``sync_file_range``. Nothing of it is durable: the disk may hold the bytes in its cache, and the file
    system may not know yet where they are. That takes a sync, which has little left to write then.
    """
    cdef int error
    with nogil:
        error = raftpy_write_back(fd, offset, size)
    return error
