"""Bytes written to a file and made durable in one call, without the interpreter's lock in between: another thread that
wants it would keep a writer waiting twice otherwise."""
from libc.stdint cimport int64_t

from raftcore.base.buffer cimport Buffer, buffer_of

cdef extern from *:
    """
    #include <stdint.h>
    #include <errno.h>
    #include <unistd.h>
    #include <sys/types.h>
    #if defined(__APPLE__)
    #include <fcntl.h>
    #endif
    static int raftpy_write_all(int fd, const unsigned char *at, int64_t size, int64_t offset) {
        while (size > 0) {
            ssize_t written = pwrite(fd, at, (size_t)(size < 1 << 30 ? size : 1 << 30), (off_t)offset);
            if (written < 0) {
                if (errno == EINTR) continue;
                return errno;
            }
            if (!written) return EIO;  /* no file does that */
            at += written;
            offset += written;
            size -= written;
        }
        return 0;
    }
    static int raftpy_sync(int fd) {
        int failed;
    #if defined(__APPLE__) && defined(F_FULLFSYNC)
        while ((failed = fcntl(fd, F_FULLFSYNC)) && errno == EINTR) {}
        if (!failed) return 0;
        if (errno != ENOTSUP && errno != EINVAL && errno != ENOTTY) return errno;  /* else it knows only fsync */
    #endif
        do {
    #if defined(__linux__)
            failed = fdatasync(fd);
    #else
            failed = fsync(fd);
    #endif
        } while (failed && errno == EINTR);
        return failed ? errno : 0;
    }
    static int raftpy_write_durably(int fd, const unsigned char *at, int64_t size, int64_t offset) {
        int error = raftpy_write_all(fd, at, size, offset);
        return error ? error : raftpy_sync(fd);
    }
    """
    int raftpy_write_durably(int fd, const unsigned char* at, int64_t size, int64_t offset) nogil


def write_durably(int fd, data, int64_t offset):
    """Writes all of ``data`` at ``offset`` and returns 0 when it would outlive a crash, else the system's number of
    what went wrong. What was written before through this file is durable then, too.

    ``fdatasync`` on Linux, ``F_FULLFSYNC`` on macOS, where ``fsync`` stops at the drive's own cache.
    """
    cdef Buffer view = buffer_of(data)
    cdef const unsigned char* at = view.at
    cdef Py_ssize_t size = view.size
    cdef int error
    with nogil:
        error = raftpy_write_durably(fd, at, size, offset)
    return error
