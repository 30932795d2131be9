# Room in a growable array whose live elements need not begin at its start: the log's window and its runs.
from libc.stdlib cimport realloc
from libc.string cimport memmove

cdef enum:
    FIRST_CAPACITY = 4

# Makes room for `extra` more elements of `size` bytes after the `used` ones that begin at element `head[0]`. They may
# move, which changes head[0]. False: out of memory, no element is lost. The elements are moved to the array's start
# before realloc is called: the new size is counted from there, and might otherwise cut off the last of them.
cdef inline bint make_room(void** items, size_t* head, size_t* capacity, size_t used, size_t extra,
                           size_t size) noexcept nogil:
    cdef size_t needed = used + extra
    cdef size_t grown
    cdef void* moved
    if head[0] + needed <= capacity[0]:
        return True
    if head[0]:
        memmove(items[0], <char*> items[0] + head[0] * size, used * size)
        head[0] = 0
    if capacity[0] - capacity[0] // 4 >= needed:  # far enough from full for sliding down alone to pay for itself
        return True
    grown = needed + needed // 4
    if grown < FIRST_CAPACITY:
        grown = FIRST_CAPACITY
    if grown > capacity[0]:
        moved = realloc(items[0], grown * size)
        if moved == NULL:
            return capacity[0] >= needed
        items[0] = moved
        capacity[0] = grown
    return True
