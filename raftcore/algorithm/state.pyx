"""All state of one node in one group, under Figure 2's headings, and its outbox."""

from libc.stdint cimport uint32_t, uint64_t

from raftcore.base.errors import InvariantViolation

from raftcore.base.options cimport Options
from raftcore.base.types cimport CAMPAIGNS, TERMLESS_TYPES, StateFollower
from raftcore.log.log cimport RaftLog
from raftcore.membership.tracker cimport Tracker
from raftcore.values.message cimport Message, push, queue_free


cdef class ReadOnly:
    """The queue of unconfirmed reads of one leadership."""

    def __cinit__(self):
        self.round = 0
        self.round_open = False
        self.requests = []
        self.acknowledged = {}


cdef class Raft:
    """Made by :class:`raftcore.RawNode`, which is the public face."""

    def __init__(self, config, RaftLog log not None, Tracker tracker not None):
        self.id = config.id
        self.log = log
        self.tracker = tracker
        self.state = StateFollower
        self.options = Options(config)
        self.witnesses = frozenset(config.witnesses) if config.witnesses else None
        self.priorities = dict(config.priorities) if config.priorities else None
        self.read_states = []
        self.postponed_reads = []
        self.round_times = {}
        self.reads = ReadOnly()
        # The id goes into the seed so that nodes given the same seed do not time out together. By a factor of its own:
        # with the step of a draw, node 1 would draw what node 2 drew an election before, and votes be split for ever.
        self.random_state = (<uint64_t> config.seed) + self.id * <uint64_t> 0xD1342543DE82EF95

    def __dealloc__(self):
        queue_free(&self.messages)
        queue_free(&self.after_append)
        queue_free(&self.waiting)

    cdef int send(self, Message m) except -1:
        """Queues m, stamped with sender and term.

        Votes and append acknowledgements promise something that must survive a crash (thesis 3.8): they wait until
        all that is unstable now is durable. So do requests for votes: they are what a leader's term rests on, and a
        candidate that forgets its term may stand in it again and be elected again, with other entries. Everything else,
        rejections of other kinds and the leader's own appends among them, leaves at once (thesis 10.2.1).
        """
        cdef uint32_t kind = <uint32_t> 1 << m.type
        if m.from_ == 0:
            m.from_ = self.id
        if kind & CAMPAIGNS:
            # The term campaigned for: a pre-vote names a term that nobody is in yet.
            if m.term == 0:
                raise InvariantViolation(f"message type {m.type} must be sent with a term")
        elif not kind & TERMLESS_TYPES:
            # Forwarded proposals and reads stay without a term: they are requests, not statements about a term.
            m.term = self.term
        if kind & self.options.promises:
            return push(&self.after_append, m)
        if m.to == self.id:
            raise InvariantViolation(f"message type {m.type} must not be sent to oneself")
        return push(&self.messages, m)

    cdef uint64_t draw(self, uint64_t below) noexcept:
        """The next random number from [0, below): splitmix64."""
        cdef uint64_t z
        self.random_state += <uint64_t> 0x9E3779B97F4A7C15
        z = self.random_state
        z = (z ^ (z >> 30)) * <uint64_t> 0xBF58476D1CE4E5B9
        z = (z ^ (z >> 27)) * <uint64_t> 0x94D049BB133111EB
        z ^= z >> 31
        return z % below

    cdef int emit(self, str event, dict fields) except -1:
        fields["id"] = self.id
        fields["term"] = self.term
        self.options.trace(event, fields)
        return 0
