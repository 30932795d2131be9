"""What a datagram transport does for every datagram: the look at its header, and its way to the wire.

A living peer's datagrams all open with the same bytes behind the checksum: comparing them lets a datagram pass, and
only a header that is not expected goes the long way, through the gate. What is sent leaves from the buffers in which
the core has encoded it. Everything that happens seldom is the subclass's, in Python (base.py): peers that come, begin a
new incarnation or have not been heard, hellos, errors of the socket, a network that is bad on purpose.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from libc.stdint cimport uint8_t
from libc.string cimport memcmp

from raftcore.base.bytes cimport load32
from raftcore.base.crc cimport crc32c_update
from raftcore.wire.frame cimport FRAME_TRANSPORT
from raftcore.wire.header cimport CHECKSUM_SIZE, DATAGRAM_HEADER_SIZE

from raftpy.transport.exchange.system_calls cimport DatagramIO

cdef enum:
    FIRST_KIND = DATAGRAM_HEADER_SIZE + 8  # offset of the first frame's kind: the transport's stand first or nowhere


# Has a datagram with a header the checksum that its bytes have?
cdef inline bint whole(bytes datagram) noexcept:
    cdef const uint8_t* at = <const uint8_t*> PyBytes_AS_STRING(datagram)
    return crc32c_update(0, at + CHECKSUM_SIZE, PyBytes_GET_SIZE(datagram) - CHECKSUM_SIZE) == load32(at)


cdef class Traffic:
    """Datagrams to and from one peer, and their bytes; they only grow.

    Attributes:
        received, received_bytes: those given on, and bare headers and hellos that were meant for this incarnation.
        sent, sent_bytes: those handed to the wire, bare headers and hellos included.
    """


cdef class Link:
    """What of a peer is looked at for every datagram; the rest of it is in peer.py.

    Attributes:
        id: the peer's node id.
        expected: a header of its incarnation to ours, behind the checksum; None while it has not been heard.
        packed: its address as the system wants it.
        builder: the open datagram.
        ready: the full ones since the last flush, that :meth:`Transport.send` has closed.
        counters: its Traffic.
    """

    def __cinit__(self, *arguments):
        self.packed = b""
        self.ready = []

    def __init__(self, uint64_t id):
        self.id = id


cdef class Exchange:
    """The part of a ``Transport`` that runs for every datagram.

    A subclass provides ``_read_errors()`` and ``_put_failed(link, datagram, number)`` where there is a socket,
    ``_pull(limit)`` where there is none, and for what happens seldom ``_admit(datagram)``, ``_after_receive()``,
    ``_take_own(link, datagram)``, ``_transmit(link, datagram)`` and ``_flush_unheard()``.
    """

    def __cinit__(self, *arguments, **options):
        self._heard = []
        self._waiting = []

    def receive(self, Py_ssize_t limit=64):
        """See ``Transport.receive``."""
        cdef list datagrams
        cdef list accepted
        cdef bytes datagram
        cdef Link link
        cdef Py_ssize_t size
        cdef bint strange = False
        if not self._running:
            return []
        if type(self._io) is DatagramIO:
            datagrams = (<DatagramIO> self._io).read(limit)
            if (<DatagramIO> self._io).may_have_error:
                self._read_errors()
        elif self._io is not None:
            datagrams = self._io.read(limit)
        else:
            datagrams = self._pull(limit)
        if PyList_GET_SIZE(datagrams) == 0:
            return datagrams
        accepted = []
        for datagram in datagrams:
            link = self.known(datagram)
            if link is None:
                strange = True
                link = self._admit(datagram)
                if link is None:
                    continue
            elif not whole(datagram):
                self.counters.malformed += 1
                continue
            size = PyBytes_GET_SIZE(datagram)
            link.counters.received += 1
            link.counters.received_bytes += size
            if size > FIRST_KIND and (
                <uint8_t> PyBytes_AS_STRING(datagram)[FIRST_KIND] < FRAME_TRANSPORT or self._take_own(link, datagram)
            ):
                accepted.append(datagram)
        if strange:
            self._after_receive()
        return accepted

    cdef Link known(self, bytes datagram):
        # Whose datagram it is, if it opens as expected of somebody; whether it is whole is yet to be seen.
        cdef const uint8_t* at = <const uint8_t*> PyBytes_AS_STRING(datagram)
        cdef Link link
        cdef Py_ssize_t i
        if PyBytes_GET_SIZE(datagram) < DATAGRAM_HEADER_SIZE:
            return None
        for i in range(PyList_GET_SIZE(self._heard)):
            link = <Link> PyList_GET_ITEM(self._heard, i)
            if link.expected is None or PyBytes_GET_SIZE(link.expected) != DATAGRAM_HEADER_SIZE - CHECKSUM_SIZE:
                continue
            if memcmp(at + CHECKSUM_SIZE, PyBytes_AS_STRING(link.expected), DATAGRAM_HEADER_SIZE - CHECKSUM_SIZE) == 0:
                return link
        return None

    def lend_builders(self, Outbox outbox not None):
        """See ``LendingTransport.lend_builders``."""
        self.outbox = outbox
        self._lend()

    def _lend(self):
        """Other peers than before are heard, or other incarnations of them."""
        cdef Link link
        if self.outbox is not None:
            self.outbox.set_builders([link.builder for link in self._heard])

    def _take_back(self, uint64_t id):
        """Full datagrams for an incarnation that has ended, taken out of the outbox."""
        cdef list taken = []
        if self.outbox is not None:
            taken = [datagram for to, datagram in self.outbox.full if to == id]
            self.outbox.full[:] = [pair for pair in self.outbox.full if pair[0] != id]
        return taken

    def flush(self):
        """See ``Transport.flush``."""
        cdef list heard = self._heard
        cdef Link link
        cdef Py_ssize_t i
        if not self._running:
            return
        if self.outbox is not None and PyList_GET_SIZE(self.outbox.full):
            self.send_full()
        for i in range(PyList_GET_SIZE(heard)):
            link = <Link> PyList_GET_ITEM(heard, i)
            if PyList_GET_SIZE(link.ready) or link.builder.frames:
                self.send_open(link)
        if PyList_GET_SIZE(self._waiting):
            self._flush_unheard()

    cdef int send_full(self) except -1:
        # What the core has filled, in the order in which it did.
        cdef list full = self.outbox.full
        cdef bytes datagram
        cdef Link link
        self.outbox.full = []
        for to, datagram in full:
            for link in self._heard:
                if link.id == <uint64_t> to:
                    self.put(link, PyBytes_AS_STRING(datagram), PyBytes_GET_SIZE(datagram))
        return 0

    cdef int send_open(self, Link link) except -1:
        # The peer's full datagrams, then the open one.
        cdef list ready = link.ready
        cdef bytes datagram
        cdef Py_ssize_t size
        if PyList_GET_SIZE(ready):
            link.ready = []
            for datagram in ready:
                self.put(link, PyBytes_AS_STRING(datagram), PyBytes_GET_SIZE(datagram))
        if link.builder.frames:
            size = link.builder.seal()
            self.put(link, link.builder.buffer, size)
        return 0

    cdef int put(self, Link link, const void* datagram, Py_ssize_t size) except -1:
        cdef int number
        if self._io is None or self._unreliable is not None:
            self._transmit(link, PyBytes_FromStringAndSize(<const char*> datagram, size))
            return 0
        link.counters.sent += 1
        link.counters.sent_bytes += size
        if type(self._io) is DatagramIO:
            number = (<DatagramIO> self._io).put(datagram, size, link.packed)
        else:
            number = self._io.write(PyBytes_FromStringAndSize(<const char*> datagram, size), link.packed)
        if number:
            self._put_failed(link, PyBytes_FromStringAndSize(<const char*> datagram, size), number)
        return 0
