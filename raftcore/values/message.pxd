# The values that travel: messages, snapshots, hard state (and, from raftcore.values.entries, entries). All immutable
# once handed out.
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport uint64_t

from raftcore.base.types cimport index_t, node_id_t, term_t
from raftcore.values.block cimport BLOCK_HEADER_SIZE, MAX_PAYLOAD, BlockHeader, read_block_header, write_block_header
from raftcore.values.entries cimport Entries, Entry, make_block, make_entries, parse_entries

cdef class HardState:
    # What must survive a crash besides the log (Figure 2, persistent state).
    cdef readonly term_t term
    cdef readonly node_id_t vote
    cdef readonly index_t commit

cdef class ConfState:
    # A configuration as it is printed, stored and sent; each tuple sorted ascending.
    cdef readonly tuple voters
    cdef readonly tuple voters_outgoing
    cdef readonly tuple learners
    cdef readonly tuple learners_next
    cdef readonly bint auto_leave

    cdef tuple _fields(self)

cdef class Snapshot:
    # Of the state machine at an index; its bytes are the driver's.
    cdef readonly index_t index
    cdef readonly term_t term
    cdef readonly ConfState conf_state
    cdef readonly index_t conf_index   # index of the configuration entry that conf_state is from
    cdef readonly uint64_t time_ms     # log time of the entry at index; 0: unknown

    cdef tuple _fields(self)

cdef class Message:
    cdef public int type               # MessageType
    cdef public node_id_t to
    cdef public node_id_t from_
    cdef public term_t term            # 0: a local message
    cdef public term_t log_term        # term of the entry at index (MsgApp: of the entry before entries)
    cdef public index_t index
    cdef public index_t commit
    cdef public node_id_t vote         # MsgStorageAppend only
    cdef public bint reject
    cdef public index_t reject_hint
    # Echoed in replies: the configuration entry that made the follower's progress. In a MsgStorageAppendResp:
    # Unstable.rewrites when the write was handed out.
    cdef public index_t conf_index
    cdef uint64_t write                # in Raft.waiting only: number of the write that it waits for
    cdef public bint must_sync         # MsgStorageAppend only: set by the core
    cdef public Entries entries        # None when there are none
    cdef public Snapshot snapshot      # None when there is none
    cdef public bytes context          # None when there is none
    cdef public list responses         # messages to deliver once the storage work is done; None when there are none

    cdef tuple _fields(self)


# Do the entries of a MsgApp follow the index that it names? Its fields are set one by one, so the message itself cannot
# see to that. It is asked once on either way in: of bytes when they are decoded (raftcore.wire.frame), of an object
# when RawNode.step gets it (raftcore.api.receive), whoever it names as its sender. There is no third way into a core,
# so the algorithm and the log rely on it.
cdef inline bint entries_follow_index(Message m) noexcept:
    return m.entries is None or m.entries.first == m.index + 1


cdef extern from "Python.h":
    Py_ssize_t Py_REFCNT(object o)

# Recycled messages: a message has a short life and there are many, so those that nobody refers to are used again. Their
# objects (entries, ...) are None, their numbers are anything.
cdef enum:
    IDLE_MESSAGES = 64

cdef struct Idle:
    int count
    PyObject* messages[IDLE_MESSAGES]  # each with one reference, which is the array's

cdef Idle idle

cdef Message allocate_message()


# A message whose objects are None and whose numbers are anything.
cdef inline Message uninitialised_message():
    cdef Message out
    if idle.count == 0:
        return allocate_message()
    idle.count -= 1
    out = <Message> idle.messages[idle.count]
    Py_DECREF(out)  # the array's reference
    return out


cdef inline Message new_message(int type, node_id_t to):
    cdef Message out = uninitialised_message()
    # One by one: a memset of so few bytes becomes a string instruction, which takes longer to begin than this to end.
    out.type = type
    out.to = to
    out.from_ = 0
    out.term = 0
    out.log_term = 0
    out.index = 0
    out.commit = 0
    out.vote = 0
    out.reject = False
    out.reject_hint = 0
    out.conf_index = 0
    out.write = 0
    out.must_sync = False
    return out


# The caller needs m no more: it is kept to be used again, if nobody else refers to it.
cdef inline int recycle(Message m) except -1:
    if Py_REFCNT(m) != 1 or idle.count == IDLE_MESSAGES:
        return 0
    if m.entries is not None:
        m.entries = None
    if m.snapshot is not None:
        m.snapshot = None
    if m.context is not None:
        m.context = None
    if m.responses is not None:
        m.responses = None
        if idle.count == IDLE_MESSAGES:
            return 0  # a destructor that ran just now has recycled messages, too
    Py_INCREF(m)
    idle.messages[idle.count] = <PyObject*> m
    idle.count += 1
    return 0


# Messages that wait, in the order in which they came. A list that is emptied frees its memory, and has to allocate it
# again; a queue keeps it.
cdef struct Queue:
    PyObject** items     # the allocation; Messages head to head + count - 1, a reference of the queue's own to each
    size_t head
    size_t count         # messages that wait
    size_t capacity

# Room for `extra` more.
cdef int queue_grow(Queue* queue, size_t extra) except -1
# All of them, oldest first.
cdef list queue_listed(const Queue* queue)
# The same, and the queue is empty then.
cdef list queue_taken(Queue* queue)
# Appends the messages of `source` to `copy`.
cdef int queue_copy(Queue* copy, const Queue* source) except -1
cdef int queue_free(Queue* queue) except -1


cdef inline int push(Queue* queue, Message m) except -1:
    if queue.head + queue.count == queue.capacity:
        queue_grow(queue, 1)
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
