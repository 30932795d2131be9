"""What of a core has changed since it was last looked at: asked after each step of each process, so in C."""
from libc.stdint cimport uint64_t

from raftcore.algorithm.state cimport Raft
from raftcore.api.raw_node cimport RawNode
from raftcore.check.invariants cimport check_raft

cdef enum:
    ROLE_CHANGED = 1
    LOG_CHANGED = 2
    COMMIT_CHANGED = 4

ROLE = ROLE_CHANGED
LOG = LOG_CHANGED
COMMIT = COMMIT_CHANGED


cdef class Glance:
    """One core as it looked at the last ``take``; at first as a node that was never started.

    ``role`` (a StateType), ``term``, ``leader``, ``commit`` (the index), ``last_index`` and ``last_term`` (of its log).
    """
    cdef public int role
    cdef public uint64_t term
    cdef public uint64_t leader
    cdef public uint64_t commit
    cdef public uint64_t last_index
    cdef public uint64_t last_term

    def changes(self, RawNode raw not None):
        """Checks what must hold within the node (``InvariantViolation``), and says what is not as it was: a sum of
        ROLE (role, term or leader), LOG (where it ends) and COMMIT; 0 for nothing."""
        cdef Raft r = raw.raft
        cdef int found = 0
        if <int> r.state != self.role or r.term != self.term or r.lead != self.leader:
            found |= ROLE_CHANGED
        if r.log.last_index() != self.last_index or r.log.last_term() != self.last_term:
            found |= LOG_CHANGED
        if r.log.committed != self.commit:
            found |= COMMIT_CHANGED
        check_raft(r, found & LOG_CHANGED)
        return found

    def take(self, RawNode raw not None):
        """As it looks now is how it looked last."""
        cdef Raft r = raw.raft
        self.role = <int> r.state
        self.term = r.term
        self.leader = r.lead
        self.commit = r.log.committed
        self.last_index = r.log.last_index()
        self.last_term = r.log.last_term()
