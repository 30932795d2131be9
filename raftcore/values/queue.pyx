"""A queue of messages, for those that are taken from it one by one as often as they come: nothing is allocated then."""

from cpython.object cimport PyObject
from libc.stdlib cimport free

from raftcore.base.growable cimport make_room
from raftcore.values.message cimport Message


cdef int queue_grow(Queue* queue) except -1:
    if not make_room(<void**> &queue.items, &queue.head, &queue.capacity, queue.count, 1, sizeof(PyObject*)):
        raise MemoryError("a message that waits")
    return 0


cdef list queue_listed(const Queue* queue):
    cdef list out = []
    cdef size_t i
    for i in range(queue.count):
        out.append(<Message> queue.items[queue.head + i])
    return out


cdef list queue_taken(Queue* queue):
    cdef list out = queue_listed(queue)
    while queue.count:
        pop(queue)
    return out


cdef int queue_copy(Queue* copy, const Queue* source) except -1:
    cdef size_t i
    for i in range(source.count):
        push(copy, <Message> source.items[source.head + i])
    return 0


cdef int queue_free(Queue* queue) except -1:
    while queue.count:
        pop(queue)
    free(queue.items)
    queue.items = NULL
    queue.capacity = 0
    return 0
