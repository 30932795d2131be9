/* Stands before the C library, and lets writes or syncs of the files with some name fail: LevelDB on a bad disk. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { NOTHING, WRITE, SYNC, HALF }; /* HALF: a write takes half of what it is given, and each other call is interrupted */

static char name[64];
static volatile int failing = NOTHING, number;

/* From now on such calls fail with this errno, where the file's last name, with the slash before it, has that in it. */
void fail(const char *part, int what, int with)
{
    failing = NOTHING;
    snprintf(name, sizeof name, "%s", part);
    number = with;
    failing = what;
}

static int turn;

/* Whether this call is interrupted. */
static int interrupted(void)
{
    errno = EINTR;
    return ++turn % 2;
}

static int hit(int fd, int what)
{
    char link[64], path[PATH_MAX];
    ssize_t size;
    if (failing != what)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    size = readlink(link, path, sizeof path - 1);
    if (size < 0)
        return 0;
    path[size] = 0;
    const char *last = strrchr(path, '/');
    return last != NULL && strstr(last, name) != NULL;
}

#define REAL(type, called, ...) ((type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, called))

ssize_t write(int fd, const void *data, size_t size)
{
    if (hit(fd, WRITE)) {
        errno = number;
        return -1;
    }
    return REAL(ssize_t, "write", int, const void *, size_t)(fd, data, size);
}

#define WRITES_AT(called)                                                                                              \
    ssize_t called(int fd, const void *data, size_t size, off64_t offset)                                              \
    {                                                                                                                  \
        if (hit(fd, WRITE)) {                                                                                          \
            errno = number;                                                                                            \
            return -1;                                                                                                 \
        }                                                                                                              \
        if (hit(fd, HALF)) {                                                                                           \
            if (interrupted())                                                                                         \
                return -1;                                                                                             \
            size = (size + 1) / 2;                                                                                     \
        }                                                                                                              \
        return REAL(ssize_t, #called, int, const void *, size_t, off64_t)(fd, data, size, offset);                     \
    }

WRITES_AT(pwrite)
WRITES_AT(pwrite64)

int fdatasync(int fd)
{
    if (hit(fd, SYNC)) {
        errno = number;
        return -1;
    }
    if (hit(fd, HALF) && interrupted())
        return -1;
    return REAL(int, "fdatasync", int)(fd);
}

int fsync(int fd)
{
    if (hit(fd, SYNC)) {
        errno = number;
        return -1;
    }
    return REAL(int, "fsync", int)(fd);
}
