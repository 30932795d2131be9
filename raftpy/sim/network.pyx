"""A simulated network: links that lose, repeat, delay, reorder and damage datagrams, and sockets that overflow.

A datagram is a copy of bytes on its way to a node, not to a process: it arrives at whoever lives there by then. Links
count one way each.
"""

from dataclasses import replace

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_SIZE
from libc.errno cimport ECONNREFUSED
from libc.stdint cimport uint8_t, uint64_t

from raftcore.base.bytes cimport load64

from raftpy.sim.plan import NetworkFaults
from raftpy.transport.datagram.base import DatagramTransport

from raftpy.sim.process cimport Process
from raftpy.sim.world cimport Due, World
from raftpy.transport.exchange.exchange cimport Exchange

GOOD = NetworkFaults()


@cython.final
cdef class Arrival(Due):
    """A datagram that is on its way."""
    cdef Network network
    cdef uint64_t sent            # its number
    cdef uint64_t from_id
    cdef uint64_t to_id
    cdef bytes datagram

    cdef int happen(self) except -1:
        return self.network.arrive(self.sent, self.from_id, self.to_id, self.datagram)


cdef class Network:
    """Carries datagrams between the transports of a world. ``faults`` may be replaced while it runs.

    ``cuts``: links that lose everything, (from, to). ``slow``: links that take so many seconds more.
    ``paths``: links that take datagrams of so many bytes, and lose larger ones; ``searched``: transports that start
    find that out. ``sent``, ``lost``: how many datagrams were. ``reached`` counts rare branches, by name.

    ``keep`` is asked with (from, to, datagram) about each that is to be carried: True keeps it off, for ``send_on``, or
    for good; for scenarios that choose what arrives when. None: nobody asks. ``leaving(node, datagram)`` is told of
    each datagram that a node hands over, before anything becomes of it; ``given_on(node, datagrams)``, which ones a
    node's transport takes for ones that are meant for it.
    """

    def __init__(self, World world not None, faults=GOOD):
        self.world = world
        self.faults = faults
        self.cuts = set()
        self.slow = {}
        self.paths = {}
        self.reached = _nothing
        self.keep = None
        self.leaving = _nothing_leaves
        self.given_on = _nothing_given
        self.source = world.source("network")
        self.random = self.source.random
        self.sockets = {}

    @property
    def faults(self):
        """How bad it is, a ``NetworkFaults``."""
        return self.bad

    @faults.setter
    def faults(self, faults):
        self.bad = faults
        self.low_s, self.high_s = faults.delay_s
        self.late, self.loss, self.duplication = faults.late, faults.loss, faults.duplication
        self.flipped, self.held, self.refused = faults.flipped, faults.held, faults.refused
        self.buffer_bytes = faults.buffer_bytes

    # --- Faults -----------------------------------------------------------------------------------------------------

    def isolate(self, node, others):
        """Cuts a node off from the others, both ways."""
        for other in others:
            if other != node:
                self.cuts |= {(node, other), (other, node)}

    def heal(self, slowest_s):
        """No link is cut or slow, and what is sent from now on arrives, within ``slowest_s`` seconds; what is on its
        way stays on its way, and narrow paths stay narrow."""
        self.cuts.clear()
        self.slow.clear()
        low, high = self.bad.delay_s
        self.faults = replace(GOOD, delay_s=(min(low, slowest_s), min(high, slowest_s)), buffer_bytes=1 << 24)

    # --- Carrying ---------------------------------------------------------------------------------------------------

    cdef Socket at(self, uint64_t node):
        # Who lives at the address of a node and can hear, or None.
        cdef Socket socket = <Socket> self.sockets.get(node)
        return socket if socket is not None and socket.process.alive else None

    cpdef bint carry(self, uint64_t from_id, uint64_t to_id, bytes datagram, double late_s) except -1:
        """Takes a datagram that leaves in ``late_s`` seconds. False: nobody is there, and the sender is told."""
        cdef Py_ssize_t size = PyBytes_GET_SIZE(datagram)
        cdef uint64_t number
        self.sent += 1
        number = self.sent
        self.world.trace.note_sent(self.world.now, from_id, number, to_id, datagram)
        self.leaving(from_id, datagram)
        if len(self.cuts) and (from_id, to_id) in self.cuts:
            self.lose(from_id, number, "cut")
            return True
        if self.keep is not None and self.keep(from_id, to_id, datagram):
            self.lose(from_id, number, "kept")
            return True
        if len(self.paths) and <Py_ssize_t> self.paths.get((from_id, to_id), size) < size:
            self.reached("a datagram was too large for its path")
            self.lose(from_id, number, "too large")
            return True
        if self.loss and <double> self.random() < self.loss:
            self.lose(from_id, number, "lost")
            return True
        if self.flipped and <double> self.random() < self.flipped:
            datagram = self.damaged(datagram)
        self.send(number, from_id, to_id, datagram, late_s)
        if self.duplication and <double> self.random() < self.duplication:
            self.reached("a datagram arrived twice")
            self.send(number, from_id, to_id, datagram, late_s)
        if self.refused and self.at(to_id) is None and <double> self.random() < self.refused:
            self.reached("a sender was told that nobody is there")
            return False
        return True

    cdef bytes damaged(self, bytes datagram):
        source = self.source
        at = source.randrange(len(datagram))
        self.reached("a datagram was damaged")
        return datagram[:at] + bytes([datagram[at] ^ 1 << source.randrange(8)]) + datagram[at + 1:]

    def send_on(self, uint64_t from_id, uint64_t to_id, bytes datagram not None):
        """Sends a datagram that was kept, or any other, on its way now; it may be sent on as often as one likes."""
        self.sent += 1
        self.world.trace.note_sent(self.world.now, from_id, self.sent, to_id, datagram)
        self.send(self.sent, from_id, to_id, datagram, 0.0)

    cdef int send(self, uint64_t number, uint64_t from_id, uint64_t to_id, bytes datagram, double late_s) except -1:
        cdef double low = self.low_s
        cdef double high = self.high_s
        cdef double seconds
        cdef Arrival arrival
        if self.late and <double> self.random() < self.late:
            low, high = self.bad.late_s
        if self.held and <double> self.random() < self.held:
            low, high = self.bad.held_s
            self.reached("a datagram was held back")
        seconds = late_s + (low + (high - low) * <double> self.random())
        if len(self.slow):
            seconds += <double> self.slow.get((from_id, to_id), 0.0)
        arrival = Arrival.__new__(Arrival)
        arrival.network = self
        arrival.sent = number
        arrival.from_id = from_id
        arrival.to_id = to_id
        arrival.datagram = datagram
        return self.world.put(self.world.now + seconds, arrival)

    cdef int arrive(self, uint64_t number, uint64_t from_id, uint64_t to_id, bytes datagram) except -1:
        cdef Socket socket = self.at(to_id)
        if len(self.cuts) and (from_id, to_id) in self.cuts:
            return self.lose(to_id, number, "cut")
        if socket is None:
            return self.lose(to_id, number, "nobody there")
        if not socket.take(datagram):
            self.reached("a socket's buffer overflowed")
            return self.lose(to_id, number, "overflow")
        return self.world.trace.note_number(self.world.now, to_id, "deliver", number)

    cdef int lose(self, uint64_t node, uint64_t number, str why) except -1:
        self.lost += 1
        return self.world.trace.note(self.world.now, node, "drop", (number, why))


@cython.final
cdef class Socket:
    """A node's end of a network, which its transport has in the place of a ``DatagramIO``; the address of a node is its
    id as eight bytes.

    ``readable()`` is called in the loop of ``process`` when there is something to read. ``leaves(process, datagram)``:
    told of each datagram that goes out; None: nobody.
    """

    def __init__(self, Network network not None, Process process not None):
        self.network = network
        self.process = process
        self.inbox = []
        self.told = self.tell_reader

    def __len__(self):
        return PyList_GET_SIZE(self.inbox)

    def open(self, uint64_t node, readable):
        """Is at the address of ``node``, in the place of whoever was there."""
        self.node = node
        self.readable = readable
        self.inbox.clear()
        self.waiting_bytes = 0
        self.woken = False
        self.network.sockets[node] = self

    def close(self):
        """Nobody is there any more, if it was this one."""
        if self.network.sockets.get(self.node) is self:
            del self.network.sockets[self.node]
        self.readable = None
        self.inbox.clear()

    cpdef bint take(self, bytes datagram) except -1:
        """One has arrived. False: there is no room for it."""
        cdef Py_ssize_t size = PyBytes_GET_SIZE(datagram)
        if self.waiting_bytes and self.waiting_bytes + size > self.network.buffer_bytes:
            return False
        self.inbox.append(datagram)
        self.waiting_bytes += size
        self.tell()
        return True

    cdef int tell(self) except -1:
        if not self.woken:
            self.woken = True
            self.process.soon(self.told)
        return 0

    @cython.binding(False)
    def tell_reader(self):
        """The loop has come to it."""
        if PyList_GET_SIZE(self.inbox) and self.readable is not None:
            self.readable()
        else:
            self.woken = False

    def read(self, Py_ssize_t limit):
        """At most ``limit`` datagrams; ``readable`` is called again if more wait."""
        cdef list inbox = self.inbox
        cdef list datagrams
        self.woken = False
        if PyList_GET_SIZE(inbox) <= limit:
            self.inbox = []
            self.waiting_bytes = 0
            return inbox
        datagrams = inbox[:limit]
        del inbox[:limit]
        for datagram in datagrams:
            self.waiting_bytes -= PyBytes_GET_SIZE(datagram)
        self.tell()
        return datagrams

    def write(self, bytes datagram not None, bytes address not None):
        """Sends one; 0, or the number of the error: ECONNREFUSED where nobody is there, as senders sometimes hear."""
        cdef Process process = self.process
        if not process.alive:
            return 0
        if self.leaves is not None:
            self.leaves(process, datagram)
        process.count_time()
        if self.network.carry(self.node, load64(<const uint8_t*> PyBytes_AS_STRING(address)), datagram, process.spent):
            return 0
        return ECONNREFUSED


class SimulatedTransport(DatagramTransport):
    """The shipped transport of one ``process``, with a :class:`Network` behind its socket."""

    def __init__(self, network, process, entropy, max_datagram):
        self.process = process
        self.socket = Socket(network, process)
        super().__init__(clock=process, max_datagram=max_datagram, entropy=entropy)

    def receive(self, Py_ssize_t limit=64):
        """See ``Transport.receive``."""
        cdef Socket socket = <Socket> self.socket
        cdef list datagrams
        if not PyList_GET_SIZE(socket.inbox):  # asked again until nothing is left
            socket.woken = False
            return []
        datagrams = Exchange.receive(self, limit)
        if PyList_GET_SIZE(datagrams):
            socket.network.given_on(socket.node, datagrams)
        return datagrams

    def _open(self):
        self._io = self.socket
        self.socket.open(self._own.node_id, self._wake)

    def _searches(self):
        return self.socket.network.searched

    def _attach(self, peer):
        peer.packed = peer.id.to_bytes(8, "little")

    def _put(self, peer, datagram):
        number = self.socket.write(datagram, peer.packed)
        if number:
            self._put_failed(peer, datagram, number)

    def _put_failed(self, peer, datagram, number):
        self.process.call_soon(self._report_refused, peer)

    def _shut(self):
        self._io = None
        self.socket.close()


def _nothing_leaves(node, datagram):
    """Nobody looks."""


def _nothing_given(node, datagrams):
    """Nobody looks."""


def _nothing(reached):
    """Counts nothing."""
