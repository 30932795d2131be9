"""The outbox: messages to other nodes encoded straight into datagrams, work for the store and the state machine.

For each datagram there is one Python object, its bytes; there is none for a message, and none for a Ready.
"""

from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from libc.stdint cimport uint64_t

cimport cython
from cpython.object cimport PyObject

from raftcore.base.lists cimport item_of, size_of
from raftcore.values.message cimport Message
from raftcore.wire.datagram cimport DatagramBuilder


# What DatagramBuilder.try_add says.
cdef enum:
    NOT_NOW = 0
    NEVER = 2


@cython.final
cdef class Outbox:
    """Filled by :meth:`raftcore.RawNode.collect` and :meth:`raftcore.RawNode.written`, emptied by the driver.

    ``builders`` are DatagramBuilders, one for each node that can be sent to now; a node is known by its
    builder's header. The lists are the driver's to clear once it has taken what is in them::

        node.step_frames(datagram) for each that was received
        while node.collect(outbox):
            send(outbox.datagrams())
            write, in order and in one durable step, outbox.appends; AFTER that node.written(appends, outbox)
            send(outbox.datagrams())  # the answers that hung on the write
            apply, in order, outbox.applies; AFTER that node.applied(entries) for each

    Datagrams belong to a peer and not to a group, so one outbox serves all cores of a process in turn: set ``group``
    before a core's ``collect`` or ``written``, and take what is in the lists before the next core's.

    Attributes:
        group: the group of what is put in from now on; may be set at any time.
        appends: MsgStorageAppend messages, to be written as :class:`raftcore.Ready` says of them. They have no
            responses: what hangs on a write stays in the core until the write is reported.
        applies: committed Entries, to be applied in order.
        messages: messages for nodes that have no builder, too large for a datagram of theirs, or without a byte form.
        full: (node id, datagram) of datagrams that are full; part of the next ``datagrams()``.
        read_states: (index, context) of confirmed reads: serve each AFTER ``index`` is applied (thesis 6.4).
    """

    def __init__(self, builders=(), uint64_t group=0):
        self.group = group
        self.full = []
        self.messages = []
        self.appends = []
        self.applies = []
        self.read_states = []
        self.set_builders(builders)

    def set_builders(self, builders):
        """Other builders from now on. What waits in the former ones is the caller's to finish. TypeError for any but
        builders, nothing has changed then."""
        cdef list taken = []
        cdef DatagramBuilder builder
        for builder in builders:
            if builder is None:
                raise TypeError("a DatagramBuilder expected, got None")
            taken.append(builder)
        self.builders = taken

    cdef int put(self, Message m) except -1:
        cdef PyObject* builders = <PyObject*> self.builders
        cdef PyObject* builder
        cdef Py_ssize_t i
        for i in range(size_of(builders)):
            builder = item_of(builders, i)
            if (<DatagramBuilder> builder).header.to == m.to:
                if (<DatagramBuilder> builder).add_fast(m, self.group):
                    return 0
                return self.put_general(m, <DatagramBuilder> builder)
        self.messages.append(m)
        return 0

    cdef int put_general(self, Message m, DatagramBuilder builder) except -1:
        cdef int added = NEVER
        try:
            added = builder.try_add(m, self.group)
            if added == NOT_NOW:
                self.full.append((m.to, builder.finish()))
                added = builder.try_add(m, self.group)
        except ValueError:
            added = NEVER  # it has no byte form: one such message must not hold up the rest
        if added == NEVER:
            self.messages.append(m)
        return 0

    cpdef bint has_datagrams(self) noexcept:
        """Whether anything encoded waits to be sent: whether :meth:`datagrams` would give any."""
        cdef Py_ssize_t i
        if PyList_GET_SIZE(self.full):
            return True
        for i in range(PyList_GET_SIZE(self.builders)):
            if (<DatagramBuilder> PyList_GET_ITEM(self.builders, i)).frames:
                return True
        return False

    @cython.binding(False)
    def datagrams(self):
        """Everything encoded so far as (node id, datagram), in order for each node; the builders are empty then."""
        cdef list out = self.full
        cdef DatagramBuilder builder
        self.full = []
        for builder in self.builders:
            if builder.frames:
                out.append((builder.header.to, builder.finish()))
        return out
