# Room in a growable array whose live elements need not begin at its start: the log's window and its runs.
from libc.stdlib cimport realloc
from libc.string cimport memmove

cdef enum:
    FIRST_CAPACITY = 4

# Room for `extra` more elements of `size` bytes behind the `used` ones that begin at element `head[0]`. They may move,
# and with them head[0]; False: out of memory, and every element is still there. Sliding down comes before growing:
# otherwise a new array that ends before where the last element lies now would cut it off.
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
