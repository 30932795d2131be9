# Messages that wait, in the order in which they came.
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF

from raftcore.values.message cimport Message

# A list that is emptied frees its memory, and has to allocate it again; a queue keeps it.
cdef struct Queue:
    PyObject** items     # the allocation; Messages head to head + count - 1, a reference of the queue's own to each
    size_t head
    size_t count         # messages that wait
    size_t capacity

# Room for one more.
cdef int queue_grow(Queue* queue) except -1
# All of them, oldest first.
cdef list queue_listed(const Queue* queue)
# The same, and the queue is empty then.
cdef list queue_taken(Queue* queue)
# Appends the messages of `source` to `copy`.
cdef int queue_copy(Queue* copy, const Queue* source) except -1
cdef int queue_free(Queue* queue) except -1


cdef inline int push(Queue* queue, Message m) except -1:
    if queue.head + queue.count == queue.capacity:
        queue_grow(queue)
    Py_INCREF(m)
    queue.items[queue.head + queue.count] = <PyObject*> m
    queue.count += 1
    return 0


# The oldest of a queue that holds one.
cdef inline Message front(const Queue* queue):
    return <Message> queue.items[queue.head]


# The same, taken out of it.
cdef inline Message pop(Queue* queue):
    cdef Message m = <Message> queue.items[queue.head]
    Py_DECREF(m)  # the queue's reference
    queue.count -= 1
    queue.head = queue.head + 1 if queue.count else 0
    return m
