"""What a datagram transport does for every datagram: the look at its header, and its way to the wire.

A living peer's datagrams all open with the same bytes behind the checksum: comparing them lets a datagram pass, and
only a header that is not expected goes the long way, through the gate. What is sent leaves from the buffers in which
the core has encoded it. Everything that happens seldom is the subclass's, in Python (base.py): peers that come, begin a
new incarnation or have not been heard, hellos, errors of the socket, a network that is bad on purpose.

Where there is a socket, datagrams are read and written at the cost of the system calls (DatagramIO).
Python's own ``socket`` costs as much again: an exception for "nothing there" at the end of every pass, 64 KiB allocated
and given back for each datagram, an address parsed for each send, and the GIL offered to other threads in between.
Measured here, one datagram and the end of the pass: 4.5 us there, 1.8 us here; a send: 7.6 us there, 5.1 us here.
(recvmmsg was measured too: never better than the loop by more than a tenth, and far worse for large datagrams.)
Of small fragments, which come densely, the system takes and gives several at a time (UDP_SEGMENT, UDP_GRO).
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, memset

cimport cython

from raftcore.base.bytes cimport load32
from raftcore.base.crc cimport crc32c_update
from raftcore.wire.fragment cimport FRAME_FRAGMENT, FRAME_FRAGMENT_ACK, RUN_DATAGRAMS, SURE_SIZE
from raftcore.wire.frame cimport FRAME_TRANSPORT
from raftcore.wire.header cimport CHECKSUM_SIZE, DATAGRAM_HEADER_SIZE
from raftcore.wire.parity cimport FRAME_PARITY

# For Python. (The number itself stands in exchange.pxd.)
globals().update(FIRST_KIND=FIRST_KIND)


# --- The system's calls ----------------------------------------------------------------------------------------------

cdef extern from "<sys/socket.h>" nogil:
    ctypedef unsigned int socklen_t
    struct sockaddr:
        pass
    int AF_INET
    int AF_INET6
    int MSG_DONTWAIT
    ssize_t recv(int fd, void* buffer, size_t size, int flags)
    ssize_t sendto(int fd, const void* buffer, size_t size, int flags, sockaddr* address, socklen_t length)
    struct iovec:
        void* iov_base
        size_t iov_len
    struct msghdr:
        void* msg_name
        socklen_t msg_namelen
        iovec* msg_iov
        size_t msg_iovlen
        void* msg_control
        size_t msg_controllen
        int msg_flags
    struct cmsghdr:
        size_t cmsg_len
        int cmsg_level
        int cmsg_type
    ssize_t sendmsg(int fd, const msghdr* message, int flags)
    ssize_t recvmsg(int fd, msghdr* message, int flags)
    int setsockopt(int fd, int level, int name, const void* value, socklen_t length)
    cmsghdr* CMSG_FIRSTHDR(msghdr* message)
    cmsghdr* CMSG_NXTHDR(msghdr* message, cmsghdr* control)
    unsigned char* CMSG_DATA(cmsghdr* control)
    size_t CMSG_LEN(size_t length)
    size_t CMSG_SPACE(size_t length)

cdef extern from "<netinet/in.h>" nogil:
    struct in_addr:
        pass
    struct in6_addr:
        pass
    struct sockaddr_in:
        int sin_family
        uint16_t sin_port
        in_addr sin_addr
    struct sockaddr_in6:
        int sin6_family
        uint16_t sin6_port
        uint32_t sin6_flowinfo
        in6_addr sin6_addr
        uint32_t sin6_scope_id

cdef extern from "<arpa/inet.h>" nogil:
    uint16_t htons(uint16_t number)
    uint32_t htonl(uint32_t number)
    int inet_pton(int family, const char* text, void* address)

cdef enum:
    # Above what any datagram can be (65,507 bytes on IPv4, 65,527 on IPv6), whatever a peer's max_datagram is.
    READ_SIZE = 65536
    # One read takes no more datagrams once it has so many bytes: what follows from them, a synced write above all, is
    # done before the rest is looked at. So a member that catches up works in pieces, and other work goes in between.
    READ_BYTES = 512 << 10
    JOINED_SIZE = 16384             # fragments that are worth it that several are handed over at once
    # Linux's numbers.
    SOL_UDP = 17
    UDP_SEGMENT = 103
    UDP_GRO = 104
    CONTROL_SIZE = 64      # bytes of control messages: one with a number, and room to spare
    # After so many reads in a row that met nothing, what keeps waking the reader may be an error and no datagram.
    SUSPICIOUS = 4


def pack_address(address not None):
    """The system's form of what getaddrinfo gives: (host, port) or (host, port, flow, scope), host a number.

    ValueError when host is no number of the address's family.
    """
    cdef sockaddr_in four
    cdef sockaddr_in6 six
    cdef bytes host = address[0].split("%")[0].encode()
    if len(address) == 2:
        memset(&four, 0, sizeof(four))
        four.sin_family = AF_INET
        four.sin_port = htons(address[1])
        if inet_pton(AF_INET, host, &four.sin_addr) == 1:
            return PyBytes_FromStringAndSize(<char*> &four, sizeof(four))
    else:
        memset(&six, 0, sizeof(six))
        six.sin6_family = AF_INET6
        six.sin6_port = htons(address[1])
        six.sin6_flowinfo = htonl(address[2])
        six.sin6_scope_id = address[3]
        if inet_pton(AF_INET6, host, &six.sin6_addr) == 1:
            return PyBytes_FromStringAndSize(<char*> &six, sizeof(six))
    raise ValueError(f"{address[0]!r} is no numeric address")


@cython.final
cdef class DatagramIO:
    """Reads and writes on a socket's descriptor, which the caller keeps open as long as this is used. Never waits.

    ``may_join``: once small fragments come, the system is asked to hand over several datagrams at once (UDP_GRO).
    ``may_have_error``: the last read has met an error, or so many in a row have met nothing that one may be waiting.
    """

    def __cinit__(self, int fd, bint may_join=False):
        self.fd = fd
        self.may_join = may_join
        self.buffer = <char*> malloc(READ_SIZE)
        if self.buffer == NULL:
            raise MemoryError(f"{<int> READ_SIZE} bytes to read datagrams")

    def __dealloc__(self):
        free(self.buffer)

    cpdef list read(self, Py_ssize_t limit):
        """At most limit datagrams, and the others that the system has handed over with the last, RUN_DATAGRAMS at once;
        fewer when nothing more waits, when they are large (READ_BYTES), or when there is an error: see
        ``may_have_error``."""
        cdef list datagrams = []
        cdef ssize_t size, at
        cdef Py_ssize_t left = READ_BYTES
        cdef int each = 0
        self.may_have_error = False
        while limit > 0 and left > 0:
            if self.joined:
                size = self.read_run(&each)
            else:
                size = recv(self.fd, self.buffer, READ_SIZE, MSG_DONTWAIT)
            if size >= 0:
                left -= size
                at = 0
                while 0 < each < size - at:
                    datagrams.append(PyBytes_FromStringAndSize(self.buffer + at, each))
                    at += each
                    limit -= 1
                datagrams.append(PyBytes_FromStringAndSize(self.buffer + at, size - at))
                limit -= 1
            elif errno != EINTR:
                self.may_have_error = errno != EAGAIN
                break
        if datagrams:
            self.fruitless = 0
        else:
            self.fruitless += 1
            if self.fruitless >= SUSPICIOUS:
                self.fruitless = 0
                self.may_have_error = True
        return datagrams

    cdef int join(self) noexcept:
        """Small fragments come: several may be handed over at once from now on, if the system does that."""
        cdef int on = 1
        if self.may_join:
            self.may_join = False
            self.joined = setsockopt(self.fd, SOL_UDP, UDP_GRO, &on, sizeof(on)) == 0
        return 0

    cdef ssize_t read_run(self, int* each) noexcept:
        """Reads what the system hands over at once: datagrams of ``each`` bytes but the last; 0: it is one. The bytes
        of all of them, or -1 and an error."""
        cdef char control[CONTROL_SIZE]
        cdef iovec part
        cdef msghdr message
        cdef cmsghdr* found
        cdef ssize_t size
        memset(&message, 0, sizeof(message))
        part.iov_base, part.iov_len = self.buffer, READ_SIZE
        message.msg_iov, message.msg_iovlen = &part, 1
        message.msg_control, message.msg_controllen = control, CONTROL_SIZE
        size = recvmsg(self.fd, &message, MSG_DONTWAIT)
        each[0] = 0
        if size > 0:
            found = CMSG_FIRSTHDR(&message)
            while found != NULL:
                if found.cmsg_level == SOL_UDP and found.cmsg_type == UDP_GRO:
                    memcpy(each, CMSG_DATA(found), sizeof(int))
                found = CMSG_NXTHDR(&message, found)
        return size

    def write_run(self, list datagrams not None, bytes address not None):
        """Sends at most RUN_DATAGRAMS datagrams to an address from pack_address at once (UDP_SEGMENT), of 65,507 bytes
        together: all as large as the first but the last, which may be smaller. 0, or the error's number: then nothing
        was sent. ValueError for others."""
        cdef iovec parts[RUN_DATAGRAMS]
        cdef char control[CONTROL_SIZE]
        cdef msghdr message
        cdef cmsghdr* how
        cdef Py_ssize_t count = PyList_GET_SIZE(datagrams)
        cdef Py_ssize_t i
        cdef bytes datagram
        cdef uint16_t each
        if not 1 <= count <= RUN_DATAGRAMS:
            raise ValueError(f"{count} datagrams: 1 to {<int> RUN_DATAGRAMS} are sent at once")
        each = <uint16_t> len(datagrams[0])
        for i in range(count):
            datagram = <bytes?> datagrams[i]
            parts[i].iov_base, parts[i].iov_len = PyBytes_AS_STRING(datagram), PyBytes_GET_SIZE(datagram)
            if parts[i].iov_len > each or (parts[i].iov_len < each and i < count - 1):
                raise ValueError(f"datagram {i} has {parts[i].iov_len} bytes, and the first {each}")
        memset(&message, 0, sizeof(message))
        memset(control, 0, CONTROL_SIZE)
        message.msg_name, message.msg_namelen = PyBytes_AS_STRING(address), <socklen_t> PyBytes_GET_SIZE(address)
        message.msg_iov, message.msg_iovlen = parts, count
        message.msg_control, message.msg_controllen = control, CMSG_SPACE(sizeof(each))
        how = CMSG_FIRSTHDR(&message)
        how.cmsg_level, how.cmsg_type, how.cmsg_len = SOL_UDP, UDP_SEGMENT, CMSG_LEN(sizeof(each))
        memcpy(CMSG_DATA(how), &each, sizeof(each))
        while sendmsg(self.fd, &message, MSG_DONTWAIT) < 0:
            if errno != EINTR:
                return errno
        return 0

    def write(self, bytes datagram not None, bytes address not None):
        """Sends one datagram to an address from pack_address. 0, or the error's number: then nothing was sent."""
        return self.put(PyBytes_AS_STRING(datagram), PyBytes_GET_SIZE(datagram), address)

    cdef int put(self, const void* datagram, Py_ssize_t size, bytes address) noexcept:
        """``write`` for C."""
        while sendto(self.fd, datagram, size, MSG_DONTWAIT,
                     <sockaddr*> PyBytes_AS_STRING(address), <socklen_t> PyBytes_GET_SIZE(address)) < 0:
            if errno != EINTR:
                return errno
        return 0


# --- For every datagram ----------------------------------------------------------------------------------------------

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
        repeated: the last hello of its, if it says nothing new when it comes again; None: there is no such.
        builder: the open datagram.
        ready: the full ones since the last flush, that :meth:`Transport.send` has closed.
        counters: its Traffic.
        large: how many large datagrams have gone to it, of which no acknowledgement says whether they arrive.
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
    ``_take_own(link, datagram)``, ``_take_fragment(link, datagram)``, ``_transmit(link, datagram)`` and
    ``_flush_waiting()``.
    """

    def __cinit__(self, *arguments, **options):
        self._heard = []
        self._waiting = []

    @cython.binding(False)
    def receive(self, Py_ssize_t limit=64):
        """See ``Transport.receive``."""
        cdef list datagrams
        cdef list accepted
        cdef bytes datagram
        cdef Link link
        cdef Py_ssize_t size
        cdef uint8_t kind
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
            if size <= FIRST_KIND:
                continue
            kind = <uint8_t> PyBytes_AS_STRING(datagram)[FIRST_KIND]
            if kind < FRAME_TRANSPORT:
                accepted.append(datagram)
            elif kind == FRAME_FRAGMENT or kind == FRAME_FRAGMENT_ACK or kind == FRAME_PARITY:
                strange = True
                if kind == FRAME_FRAGMENT and size <= JOINED_SIZE and type(self._io) is DatagramIO:
                    (<DatagramIO> self._io).join()
                accepted.extend(self._take_fragment(link, datagram))
            elif datagram == link.repeated:
                continue
            elif self._take_own(link, datagram):
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

    @cython.binding(False)
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
            self._flush_waiting()

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
        link.large += size > SURE_SIZE
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
