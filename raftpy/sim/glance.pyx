"""What of a core has changed since it was last looked at: asked after each step of each process, so in C."""
from libc.stdint cimport int64_t, uint64_t

from raftcore.algorithm.state cimport Raft
from raftcore.api.raw_node cimport RawNode
from raftcore.base.types cimport StateQuarantined
from raftcore.check.invariants cimport check_raft

from raftpy.runtime.applying cimport Applying
from raftpy.runtime.group_work cimport GroupWork
from raftpy.runtime.reads cimport Reads

cdef enum:
    ROLE_CHANGED = 1
    LOG_CHANGED = 2
    COMMIT_CHANGED = 4
    WRITTEN = 8
    RESTS = 0
    FORGOTTEN = 1
    NOT_WRITTEN = 2

ROLE = ROLE_CHANGED
LOG = LOG_CHANGED
COMMIT = COMMIT_CHANGED
HEAD = WRITTEN
LEFT = FORGOTTEN
UNWRITTEN = NOT_WRITTEN


cdef class Glance:
    """One core as it looked at the last ``take``; at first as a node that was never started.

    ``role`` (a StateType), ``term``, ``leader``, ``commit`` (the index), ``last_index`` and ``last_term`` (of its log),
    ``written`` (the number of the store's last batch).
    """
    cdef public int role
    cdef public uint64_t term
    cdef public uint64_t leader
    cdef public uint64_t commit
    cdef public uint64_t last_index
    cdef public uint64_t last_term
    cdef public int64_t written
    cdef uint64_t logs            # how often the log was seen to have changed

    def changes(self, RawNode raw not None, head):
        """Checks what must hold within the node (``InvariantViolation``), and says what is not as it was: a sum of
        ROLE (role, term or leader), LOG (where it ends), COMMIT and HEAD (the store's ``head`` is of a later batch); 0
        for nothing."""
        cdef Raft r = raw.raft
        cdef int found = 0
        if <int> r.state != self.role or r.term != self.term or r.lead != self.leader:
            found |= ROLE_CHANGED
        if r.log.last_index() != self.last_index or r.log.last_term() != self.last_term:
            found |= LOG_CHANGED
        if r.log.committed != self.commit:
            found |= COMMIT_CHANGED
        if found & LOG_CHANGED:
            self.logs += 1
        # What is wrong with an entry stays wrong: each of them is visited now and then, as that takes the longest.
        check_raft(r, found & ROLE_CHANGED or (found & LOG_CHANGED and self.logs % 8 == 0), found != 0)
        if <int64_t> head.number != self.written:
            found |= WRITTEN
        return found

    @staticmethod
    def rest(GroupWork work not None, Reads reads not None, Applying applying not None, RawNode raw not None, head):
        """Whether a group rests when nothing is to be done in its process: 0; LEFT: a pass has left work; UNWRITTEN:
        nothing is under way to the disk, and it does not have what the core promises by. ``head``: the store's, None
        while something may be under way."""
        cdef Raft r = raw.raft
        if work.closed:
            return RESTS
        if work.moved or len(work.appends) or reads.wanted or applying.has_pending():
            return FORGOTTEN
        if head is None or r.state == StateQuarantined:
            return RESTS
        if r.term != <uint64_t> head.term or r.vote != <uint64_t> head.vote \
                or r.log.last_index() != <uint64_t> head.last_index:
            return NOT_WRITTEN
        return RESTS

    def take(self, RawNode raw not None):
        """As it looks now is how it looked last."""
        cdef Raft r = raw.raft
        self.role = <int> r.state
        self.term = r.term
        self.leader = r.lead
        self.commit = r.log.committed
        self.last_index = r.log.last_index()
        self.last_term = r.log.last_term()
