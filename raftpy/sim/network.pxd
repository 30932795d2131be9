# A simulated network, and the sockets at its ends.
cimport cython
from libc.stdint cimport uint64_t

from raftpy.sim.process cimport Process
from raftpy.sim.world cimport World

cdef class Network:
    cdef readonly World world
    cdef object bad               # its NetworkFaults; what of them each datagram asks for stands here as well
    cdef double low_s, high_s, late, loss, duplication, flipped, held, refused
    cdef Py_ssize_t buffer_bytes
    cdef public set cuts
    cdef public dict slow
    cdef public dict paths
    cdef public bint searched
    cdef readonly uint64_t sent
    cdef readonly uint64_t lost
    cdef public object reached
    cdef public object keep
    cdef public object leaving
    cdef public object given_on
    cdef object source
    cdef object random            # its method
    cdef dict sockets             # by node id

    cdef Socket at(self, uint64_t node)
    cpdef bint carry(self, uint64_t from_id, uint64_t to_id, bytes datagram, double late_s) except -1
    cdef bytes damaged(self, bytes datagram)
    cdef int send(self, uint64_t number, uint64_t from_id, uint64_t to_id, bytes datagram, double late_s) except -1
    cdef int arrive(self, uint64_t number, uint64_t from_id, uint64_t to_id, bytes datagram) except -1
    cdef int lose(self, uint64_t node, uint64_t number, str why) except -1

@cython.final
cdef class Socket:
    cdef readonly Network network
    cdef readonly Process process
    cdef uint64_t node            # at whose address it is
    cdef list inbox
    cdef Py_ssize_t waiting_bytes  # in the inbox
    cdef bint woken               # the loop was told that something can be read, and nothing was read since
    cdef object readable
    cdef object told              # its method, for the loop
    cdef public object leaves

    cpdef bint take(self, bytes datagram) except -1
    cdef int tell(self) except -1
