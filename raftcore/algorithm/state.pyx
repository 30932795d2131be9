"""All state of one node in one group, under Figure 2's headings, and its outbox."""

from libc.stdint cimport uint64_t

from raftcore.base.options cimport Options
from raftcore.base.types cimport StateFollower
from raftcore.log.log cimport RaftLog
from raftcore.membership.tracker cimport Tracker
from raftcore.values.message cimport queue_free


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
        self.message_size = self.options.max_size_per_msg
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
