"""Space set aside for a file that is about to grow, on file systems that can."""
from libc.stdint cimport int64_t

cdef extern from *:
    """
    #include <stdint.h>
    #include <fcntl.h>
    #include <errno.h>
    static int raftpy_set_aside(int fd, int64_t size) {
    #if defined(__linux__)
        return fallocate(fd, 0, 0, (off_t)size) ? errno : 0;
    #else
        (void)fd; (void)size;
        return ENOTSUP;
    #endif
    }
    """
    int raftpy_set_aside(int fd, int64_t size) nogil


def set_aside(int fd, int64_t size):
    """Makes the file ``size`` bytes long if it is shorter, its blocks allocated and reading as zeros.

    What is in it stays. False where the file system cannot do that, or has no room; it may have become longer then, up
    to what room there was.
    """
    cdef int error
    with nogil:
        error = raftpy_set_aside(fd, size)
    return error == 0
