"""Loopback: several members of one cluster in one process, whose datagrams reach one another at once.

The smallest complete driver of the core, in C: the calls that a node's rounds make, and nothing around them. For
measuring, for embedders' tests, and as an example of how to use an Outbox. Nothing is lost, delayed or written to a
disk; entries stay in memory for good. Configuration entries are handed out like others: applying them is the caller's
business.
"""

from raftcore.base.config import Config
from raftcore.base.errors import ConfigError, RaftError, Unavailable
from raftcore.values.message import ConfState, Snapshot
from raftcore.values.storage_view import InitialState

from libc.stdint cimport uint64_t

from cpython.object cimport PyObject

from raftcore.api cimport take_ready
from raftcore.api.outbox cimport Outbox
from raftcore.api.raw_node cimport IN_OUTBOX, RawNode
from raftcore.api.receive cimport receive_frames
from raftcore.base.lists cimport empty, item_of, put_into, size_of
from raftcore.base.types cimport NO_LIMIT
from raftcore.values.message cimport Entries, Message
from raftcore.wire.datagram cimport DatagramBuilder
from raftcore.wire.header cimport DATAGRAM_HEADER_SIZE, Header

cdef enum:
    LARGEST_UDP = 65507   # bytes in a datagram over IPv4
    BYTES_PER_APPEND = 60000


class _Memory:
    """A StorageView that is never asked for entries: the window of a loopback's log has no bound."""

    def entries(self, lo, hi, max_bytes):
        raise Unavailable(f"entries {lo} to {hi - 1} are in memory")

    def snapshot(self):
        return Snapshot()


cdef class Seat:
    """One member of a :class:`Loopback`, with what a driver would hold for it.

    Attributes:
        node: its RawNode.
        outbox: its Outbox.
        stored: the Entries that it was given to write, in order.
        applied: the Entries that it was given to apply, in order.
    """

    cdef int work(self) except -1:
        """All that the core wants done for the store and the state machine, done; what is to be sent is encoded."""
        cdef Outbox outbox = self.outbox
        cdef PyObject* appends = <PyObject*> outbox.appends
        cdef PyObject* applies = <PyObject*> outbox.applies
        cdef PyObject* append
        cdef PyObject* entries
        cdef Py_ssize_t i
        cdef RawNode node = self.node
        while take_ready.collect(node.raft, &node.reported, &node.writes, outbox):
            if size_of(appends):
                for i in range(size_of(appends)):
                    append = item_of(appends, i)
                    if (<Message> append).entries is not None:
                        put_into(self.stored, (<Message> append).entries)
                take_ready.written(node.raft, &node.writes, outbox.appends, outbox)
                empty(outbox.appends)
            if size_of(applies):
                for i in range(size_of(applies)):
                    entries = item_of(applies, i)
                    put_into(self.applied, <Entries> entries)
                    take_ready.applied(node.raft, <Entries> entries)
                empty(outbox.applies)
        return 0


cdef class Loopback:
    """Loopback(voters=3, **options): members 1 to ``voters``, and the settings of all of them (raftcore.Config;
    ConfigError).

    Nobody leads at first: ``campaign(1)`` makes member 1 leader. Each member is a ``Seat``: ``seats[1].node`` is its
    RawNode, ``stored`` and ``applied`` are the Entries it was given to write and to apply (clear them as you like).
    ``datagrams`` is the number delivered so far.
    """

    def __init__(self, int voters=3, **options):
        cdef Seat seat
        if voters < 1:
            raise ConfigError(f"voters must be at least 1, not {voters}")
        settings = {"max_size_per_msg": BYTES_PER_APPEND, "max_window_bytes": NO_LIMIT,
                    "max_window_entries": NO_LIMIT, **options}
        ids = tuple(range(1, voters + 1))
        self.ordered = []
        seats = {}
        for id in ids:
            seat = Seat.__new__(Seat)
            seat.node = RawNode(
                Config(id=id, async_storage_writes=True, **settings), InitialState(conf_state=ConfState(ids)), _Memory()
            )
            seat.node._use(IN_OUTBOX)
            seat.outbox = Outbox([
                DatagramBuilder(Header(cluster_id=1, from_=id, to=to, from_store=id, from_boot=1, to_store=to,
                                       to_boot=1), LARGEST_UDP)
                for to in ids if to != id
            ])
            seat.stored = []
            seat.applied = []
            seats[id] = seat
            self.ordered.append(seat)
        self.by_id = seats

    @property
    def seats(self):
        """Node id -> Seat; a copy."""
        return dict(self.by_id)

    def campaign(self, int node_id):
        """One member stands for election, and everything that follows from it. KeyError when there is no such
        member."""
        self.by_id[node_id].node.campaign()
        self.run_until_idle()

    def propose(self, int node_id, commands, int times=1):
        """Proposes ``commands`` at a member, lets everything follow from it, and so on, ``times`` times. Raises what
        :meth:`raftcore.RawNode.propose` does."""
        cdef RawNode node = (<Seat> self.by_id[node_id]).node
        for _ in range(times):
            node.propose(commands)
            self.run_until_idle()

    cpdef int run_until_idle(self) except -1:
        """Works and delivers until nobody has anything to do."""
        cdef PyObject* seats = <PyObject*> self.ordered
        cdef PyObject* seat
        cdef Py_ssize_t i
        cdef bint some = True
        for i in range(size_of(seats)):
            (<Seat> item_of(seats, i)).due = True
        while some:
            some = False
            for i in range(size_of(seats)):
                seat = item_of(seats, i)
                if (<Seat> seat).due:
                    (<Seat> seat).due = False
                    (<Seat> seat).work()
                    some = self.deliver((<Seat> seat).outbox) or some
        return 0

    cdef int hand_over(self, Outbox outbox) except -1:
        # What no datagram holds reaches its receiver as it is.
        cdef Message m
        messages = outbox.messages
        outbox.messages = []
        for m in messages:
            if m.to in self.by_id:
                (<Seat?> self.by_id[m.to]).due = True
                try:
                    (<Seat?> self.by_id[m.to]).node.step(m)
                except RaftError:
                    pass  # as in step_frames: one message does not keep the others out
        return 0

    cdef bint deliver(self, Outbox outbox) except -1:
        """Steps what one member sends at those it is for, from the buffers it was encoded in. Was there anything?"""
        cdef PyObject* builders = <PyObject*> outbox.builders
        cdef PyObject* builder
        cdef Seat to
        cdef Py_ssize_t i, size
        cdef bint some = False
        if size_of(<PyObject*> outbox.full):
            for node_id, datagram in outbox.full:
                to = self.by_id[node_id]
                to.due = True
                to.node.step_frames(datagram)
                self.datagrams += 1
            empty(outbox.full)
            some = True
        if size_of(<PyObject*> outbox.messages):
            self.hand_over(outbox)
            some = True
        for i in range(size_of(builders)):
            builder = item_of(builders, i)
            if (<DatagramBuilder> builder).frames == 0:
                continue
            size = (<DatagramBuilder> builder).seal()
            if not 0 < (<DatagramBuilder> builder).header.to <= <uint64_t> size_of(<PyObject*> self.ordered):
                continue  # nobody there
            to = <Seat> item_of(<PyObject*> self.ordered, <Py_ssize_t> (<DatagramBuilder> builder).header.to - 1)
            to.due = True
            receive_frames(to.node.raft, (<DatagramBuilder> builder).buffer, size, DATAGRAM_HEADER_SIZE, 0,
                           &to.node.refused)
            self.datagrams += 1
            some = True
        return some
