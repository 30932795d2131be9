/* Stands before the C library and lets chosen calls fail: those of some kinds, on paths that match a pattern.

   Which, stands in a file that this process shares with the test (FAILING_CALLS in the environment names it), so that
   the test says when, and sees how many calls matched and how many of them failed. SEEN_CALLS names a file to which
   goes whatever is called, failing or not. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum {
    OPEN = 1, MAKE_DIRECTORY = 2, WRITE = 4, SYNC = 8, RENAME = 16, REMOVE = 32, TRUNCATE = 64, WRITE_BACK = 128,
    SET_ASIDE = 256
};

/* As tests/chaos/failing_calls.py has it. */
struct rule {
    int kinds;      /* which calls, 0: none fail */
    int first;      /* of those that match, the first that fails: 1, 2, ... */
    int times;      /* how many fail from there on, -1: all */
    int number;     /* the errno that they fail with */
    int matched;    /* how many have matched */
    int failed;     /* how many of them have failed */
    char pattern[1000];
    char watched[1000];
};

static struct rule *rule;
static int seen = -1;   /* each call on a path like the watched one is a line of this file: its kind and the path */

__attribute__((constructor)) static void begin(void)
{
    const char *name = getenv("FAILING_CALLS");
    int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
    int fd = name == NULL ? -1 : real(name, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    void *shared = mmap(NULL, sizeof(struct rule), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (shared != MAP_FAILED)
        rule = shared;
    name = getenv("SEEN_CALLS");
    if (name != NULL)
        seen = real(name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
}

static int fails(int kind, const char *path)
{
    if (seen >= 0 && fnmatch(rule->watched, path, 0) == 0)
        dprintf(seen, "%d %s\n", kind, path);
    if ((rule->kinds & kind) == 0 || fnmatch(rule->pattern, path, 0) != 0)
        return 0;
    int number = __atomic_add_fetch(&rule->matched, 1, __ATOMIC_SEQ_CST);
    int times = rule->times;
    if (number < rule->first || (times >= 0 && number >= rule->first + times))
        return 0;
    __atomic_add_fetch(&rule->failed, 1, __ATOMIC_SEQ_CST);
    errno = rule->number;
    return 1;
}

static int path_of(int fd, char *path)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, PATH_MAX - 1);
    if (size < 0)
        return 0;
    path[size] = 0;
    return 1;
}

static int file_fails(int kind, int fd)
{
    char path[PATH_MAX];
    return rule != NULL && path_of(fd, path) && fails(kind, path);
}

static int name_fails(int kind, int directory, const char *name)
{
    char path[PATH_MAX], whole[2 * PATH_MAX];
    if (rule == NULL)
        return 0;
    if (name[0] == '/' || directory == AT_FDCWD || !path_of(directory, path))
        return fails(kind, name);
    snprintf(whole, sizeof whole, "%s/%s", path, name);
    return fails(kind, whole);
}

#define REAL(type, called, ...) ((type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, called))

#define OPENS(called)                                                                                                  \
    int called(const char *name, int flags, ...)                                                                       \
    {                                                                                                                  \
        va_list more;                                                                                                  \
        va_start(more, flags);                                                                                         \
        mode_t mode = va_arg(more, mode_t);                                                                            \
        va_end(more);                                                                                                  \
        if ((flags & O_CREAT) != 0 && name_fails(OPEN, AT_FDCWD, name))                                                \
            return -1;                                                                                                 \
        return REAL(int, #called, const char *, int, ...)(name, flags, mode);                                          \
    }

OPENS(open)
OPENS(open64)

int mkdir(const char *name, mode_t mode)
{
    return name_fails(MAKE_DIRECTORY, AT_FDCWD, name) ? -1 : REAL(int, "mkdir", const char *, mode_t)(name, mode);
}

ssize_t write(int fd, const void *data, size_t size)
{
    return file_fails(WRITE, fd) ? -1 : REAL(ssize_t, "write", int, const void *, size_t)(fd, data, size);
}

#define WRITES_AT(called)                                                                                              \
    ssize_t called(int fd, const void *data, size_t size, off64_t offset)                                              \
    {                                                                                                                  \
        if (file_fails(WRITE, fd))                                                                                     \
            return -1;                                                                                                 \
        return REAL(ssize_t, #called, int, const void *, size_t, off64_t)(fd, data, size, offset);                     \
    }

WRITES_AT(pwrite)
WRITES_AT(pwrite64)

int fsync(int fd)
{
    return file_fails(SYNC, fd) ? -1 : REAL(int, "fsync", int)(fd);
}

int fdatasync(int fd)
{
    return file_fails(SYNC, fd) ? -1 : REAL(int, "fdatasync", int)(fd);
}

int rename(const char *old, const char *new)
{
    return name_fails(RENAME, AT_FDCWD, old) ? -1 : REAL(int, "rename", const char *, const char *)(old, new);
}

int unlink(const char *name)
{
    return name_fails(REMOVE, AT_FDCWD, name) ? -1 : REAL(int, "unlink", const char *)(name);
}

int unlinkat(int directory, const char *name, int flags)
{
    if (name_fails(REMOVE, directory, name))
        return -1;
    return REAL(int, "unlinkat", int, const char *, int)(directory, name, flags);
}

int rmdir(const char *name)
{
    return name_fails(REMOVE, AT_FDCWD, name) ? -1 : REAL(int, "rmdir", const char *)(name);
}

#define TRUNCATES(called)                                                                                              \
    int called(int fd, off64_t size)                                                                                   \
    {                                                                                                                  \
        return file_fails(TRUNCATE, fd) ? -1 : REAL(int, #called, int, off64_t)(fd, size);                             \
    }

TRUNCATES(ftruncate)
TRUNCATES(ftruncate64)

int sync_file_range(int fd, off64_t offset, off64_t size, unsigned int flags)
{
    if (file_fails(WRITE_BACK, fd))
        return -1;
    return REAL(int, "sync_file_range", int, off64_t, off64_t, unsigned int)(fd, offset, size, flags);
}

#define SETS_ASIDE(called)                                                                                             \
    int called(int fd, int mode, off64_t offset, off64_t size)                                                         \
    {                                                                                                                  \
        if (file_fails(SET_ASIDE, fd))                                                                                 \
            return -1;                                                                                                 \
        return REAL(int, #called, int, int, off64_t, off64_t)(fd, mode, offset, size);                                 \
    }

SETS_ASIDE(fallocate)
SETS_ASIDE(fallocate64)
