"""Reads that wait for a quorum to confirm this leader's leadership (thesis 6.4)."""

from libc.stdint cimport uint64_t
from libc.stdlib cimport free, malloc

from raftcore.base.types cimport index_t, node_id_t
from raftcore.membership.quorum cimport majority_committed
from raftcore.membership.tracker cimport Tracker
from raftcore.values.message cimport Message


cdef class ReadOnly:
    """The queue of unconfirmed reads of one leadership; made anew whenever the role changes."""

    def __cinit__(self):
        self.round = 0
        self.round_open = False
        self.requests = []
        self.acknowledged = {}

    cdef bint add(self, index_t index, Message request):
        opened = self.open_round()
        self.requests.append((self.round, index, request))
        return opened

    cdef bint open_round(self) noexcept:
        if self.round_open:
            return False
        self.round += 1
        self.round_open = True
        return True

    cdef void acknowledge(self, node_id_t node, uint64_t round):
        # A round that this leadership has not begun: its number is from an earlier incarnation, or forged.
        if round <= self.round and self.acknowledged.get(node, 0) < round:
            self.acknowledged[node] = round

    cdef uint64_t confirmed(self, Tracker tracker, node_id_t self_id) except? 0:
        """The newest round that a quorum (of both halves of a joint configuration) has answered."""
        incoming = self._half(tracker.config.voters, self_id)
        outgoing = self._half(tracker.config.voters_outgoing, self_id)
        return min(incoming, outgoing)

    cdef uint64_t _half(self, tuple voters, node_id_t self_id) except? 0:
        cdef int count = <int> len(voters)
        cdef int i = 0
        cdef index_t* rounds = <index_t*> malloc((count + 1) * sizeof(index_t))
        if rounds == NULL:
            raise MemoryError()
        try:
            for voter in voters:
                rounds[i] = self.round if <node_id_t> voter == self_id else <uint64_t> self.acknowledged.get(voter, 0)
                i += 1
            return majority_committed(rounds, count)
        finally:
            free(rounds)

    cdef list release(self, uint64_t round):
        cdef Py_ssize_t taken = 0
        for entry in self.requests:
            if <uint64_t> entry[0] > round:
                break
            taken += 1
        released = self.requests[:taken]
        del self.requests[:taken]
        return released
