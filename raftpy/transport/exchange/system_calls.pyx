"""Reading and writing datagrams at the cost of the system calls.

Python's own ``socket`` costs as much again: an exception for "nothing there" at the end of every pass, 64 KiB allocated
and given back for each datagram, an address parsed for each send, and the GIL offered to other threads in between.
Measured here, one datagram and the end of the pass: 4.5 us there, 1.8 us here; a send: 7.6 us there, 5.1 us here.
(recvmmsg was measured too: never better than the loop by more than a tenth, and far worse for large datagrams.)
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport uint16_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

cimport cython


cdef extern from "<sys/socket.h>" nogil:
    ctypedef unsigned int socklen_t
    struct sockaddr:
        pass
    int AF_INET
    int AF_INET6
    int MSG_DONTWAIT
    ssize_t recv(int fd, void* buffer, size_t size, int flags)
    ssize_t sendto(int fd, const void* buffer, size_t size, int flags, sockaddr* address, socklen_t length)

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

    ``may_have_error``: the last read has met an error, or so many in a row have met nothing that one may be waiting.
    """

    def __cinit__(self, int fd):
        self.fd = fd
        self.buffer = <char*> malloc(READ_SIZE)
        if self.buffer == NULL:
            raise MemoryError(f"{<int> READ_SIZE} bytes to read datagrams")

    def __dealloc__(self):
        free(self.buffer)

    cpdef list read(self, Py_ssize_t limit):
        """At most limit datagrams; fewer when nothing more waits, or when there is an error: see ``may_have_error``."""
        cdef list datagrams = []
        cdef ssize_t size
        self.may_have_error = False
        while limit > 0:
            size = recv(self.fd, self.buffer, READ_SIZE, MSG_DONTWAIT)
            if size >= 0:
                datagrams.append(PyBytes_FromStringAndSize(self.buffer, size))
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
