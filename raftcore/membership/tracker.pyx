"""The configuration of the cluster, each member's progress, and the votes of the running election.

A member has progress exactly when it is a voter of either half or a learner. The configuration itself is immutable:
raftcore.membership.confchange makes a new one and the tracker installs it whole.
"""

from cpython.list cimport PyList_GET_SIZE
from cpython.object cimport PyObject
from libc.stdlib cimport free, malloc

from raftcore.base.types cimport index_t, node_id_t
from raftcore.membership.progress cimport Progress
from raftcore.membership.quorum cimport VoteResult, VoteWon, joint_vote, majority_committed, majority_vote
from raftcore.values.message cimport ConfState

from raftcore.base.errors import InvariantViolation
from raftcore.membership.quorum import VoteResult as PyVoteResult

# Members of one half whose match indexes or votes are counted on the stack.
cdef enum:
    ON_STACK = 64


cdef str id_set(tuple ids):
    return "(" + " ".join([str(id) for id in ids]) + ")"


cdef class TrackerConfig:
    """TrackerConfig(voters=(), voters_outgoing=(), learners=(), learners_next=(), auto_leave=False): as in ConfState,
    each a sorted tuple of node ids."""

    def __cinit__(self, voters=(), voters_outgoing=(), learners=(), learners_next=(), bint auto_leave=False):
        self.voters = tuple(sorted(voters))
        self.voters_outgoing = tuple(sorted(voters_outgoing))
        self.learners = tuple(sorted(learners))
        self.learners_next = tuple(sorted(learners_next))
        self.auto_leave = auto_leave

    def describe(self):
        """As etcd/raft prints it: ``voters=(1 2 3)&&(1) learners=(4) learners_next=(5) autoleave``."""
        text = "voters=" + id_set(self.voters)
        if self.voters_outgoing:
            text += "&&" + id_set(self.voters_outgoing)
        if self.learners:
            text += " learners=" + id_set(self.learners)
        if self.learners_next:
            text += " learners_next=" + id_set(self.learners_next)
        if self.auto_leave:
            text += " autoleave"
        return text

    def _values(self):
        return self.voters, self.voters_outgoing, self.learners, self.learners_next, self.auto_leave

    def __eq__(self, other):
        return self._values() == other._values() if isinstance(other, TrackerConfig) else NotImplemented

    def __hash__(self):
        return hash(self._values())

    def __repr__(self):
        return f"<TrackerConfig {self.describe()}>"


cdef VoteResult half_vote(list members, dict votes) except *:
    """How one half stands; votes: node id -> bool, who is missing has not voted."""
    cdef unsigned char on_stack[ON_STACK]
    cdef unsigned char* coded = on_stack
    cdef int count = len(members), i
    cdef VoteResult result
    on_stack[0] = 0  # an empty half reads nothing, but the compiler cannot know
    if count > ON_STACK:
        coded = <unsigned char*> malloc(count)
        if coded == NULL:
            raise MemoryError
    try:
        for i in range(count):
            vote = votes.get((<Progress> members[i]).id)
            coded[i] = 0 if vote is None else 1 if vote else 2
        result = majority_vote(coded, count)
    finally:
        if coded != on_stack:
            free(coded)
    return result


cdef index_t half_committed(list members) except? 0:
    cdef index_t on_stack[ON_STACK]
    cdef index_t* matched = on_stack
    cdef int count = <int> PyList_GET_SIZE(members), i
    cdef index_t result
    if count > ON_STACK:
        matched = <index_t*> malloc(count * sizeof(index_t))
        if matched == NULL:
            raise MemoryError
    for i in range(count):
        matched[i] = (<Progress> members[i]).match
    result = majority_committed(matched, count)
    if matched != on_stack:
        free(matched)
    return result


cdef str contradiction(TrackerConfig config, dict progress):
    """Which rule of tracker.pxd a configuration with this progress breaks, None when it breaks none."""
    cdef Progress member
    voters = {*config.voters, *config.voters_outgoing}
    if {*voters, *config.learners} != progress.keys():
        return "every member has progress, and nobody else"
    if not voters.isdisjoint(config.learners):
        return "nobody is voter and learner at once"
    if not set(config.learners_next) <= set(config.voters_outgoing):
        return "only outgoing voters wait to become learners"
    if config.auto_leave and not config.voters_outgoing:
        return "only a joint configuration is left"
    for id in progress:
        member = progress[id]
        if member.id != id or member.is_learner != (id in config.learners):
            return f"the progress of {id} is that of {member.id}, learner: {bool(member.is_learner)}"
    return None


cdef VoteResult tally_votes(Tracker tracker, int* granted, int* rejected) except *:
    cdef Progress member
    granted[0] = 0
    rejected[0] = 0
    for member in tracker.ordered:
        if member.is_learner or member.id not in tracker.votes:
            continue
        if tracker.votes[member.id]:
            granted[0] += 1
        else:
            rejected[0] += 1
    return joint_vote(half_vote(tracker.incoming, tracker.votes), half_vote(tracker.outgoing, tracker.votes))


cdef class Tracker:
    """Tracker(max_inflight=256, max_inflight_bytes=0): nobody in it yet; the limits are those of new followers.

    Attributes:
        config: the TrackerConfig in force.
        progress: node id -> Progress, of every member.
        votes: node id -> whether it granted its vote, in the running election.
    """

    def __cinit__(self, int max_inflight=256, max_inflight_bytes=0):
        self.max_inflight = max_inflight
        self.max_inflight_bytes = max_inflight_bytes
        self.config = TrackerConfig()
        self.progress = {}
        self.ordered = []
        self.incoming = []
        self.outgoing = []
        self.votes = {}

    cpdef int install(self, TrackerConfig config, dict progress) except -1:
        """Take a configuration and its progress (node id -> Progress) as raftcore.membership.confchange made them.

        InvariantViolation, and nothing changed, when they contradict each other or the rules of a configuration.
        """
        fault = contradiction(config, progress)
        if fault is not None:
            raise InvariantViolation(f"{fault}: progress of {sorted(progress)} for {config.describe()}")
        self.config = config
        self.progress = progress
        self.ordered = [progress[id] for id in sorted(progress)]
        self.few = <int> len(self.ordered)
        for i in range(min(self.few, FEW)):
            self.ids[i] = (<Progress> self.ordered[i]).id
        self.incoming = [progress[id] for id in config.voters]
        self.outgoing = [progress[id] for id in config.voters_outgoing]
        return 0

    cpdef Progress get(self, node_id_t id):
        """The progress of a member, None for a node that is not in the configuration."""
        cdef PyObject* found = borrowed_progress(self, id)
        return None if found == NULL else <Progress> found

    cpdef bint is_singleton(self) noexcept:
        """True when one voter decides alone."""
        return len(self.incoming) == 1 and len(self.outgoing) == 0

    cpdef bint is_joint(self) noexcept:
        """Whether the configuration is joint: two majorities decide (thesis 4.3)."""
        return len(self.outgoing) > 0

    cpdef index_t committed(self) except? 0:
        """The highest index that a majority of each half has acknowledged (paper 5.3). UNLIMITED without voters."""
        if PyList_GET_SIZE(self.outgoing) == 0:
            return half_committed(self.incoming)
        return min(half_committed(self.incoming), half_committed(self.outgoing))

    cpdef bint quorum_active(self) except -1:
        """True when a quorum has been heard from since `recent_active` was last cleared (thesis 6.2)."""
        return self.has_quorum([member.id for member in self.ordered if member.recent_active])

    cpdef bint quorum_active_from(self, index_t index) except -1:
        """True when those of that quorum who lack nothing before this index are one: commits wait for no other."""
        return self.has_quorum([member.id for member in self.ordered
                                if member.recent_active and member.match + 1 >= index])

    cpdef tuple voter_ids(self):
        """Both halves, sorted, no repeats."""
        return tuple(sorted({*self.config.voters, *self.config.voters_outgoing}))

    cpdef void reset_votes(self) except *:
        """Begin a new count."""
        self.votes = {}

    cpdef void record_vote(self, node_id_t id, bint granted) except *:
        """Note a vote. The first answer of a node counts; a repeated message changes nothing."""
        self.votes.setdefault(id, granted)

    def tally_votes(self):
        """(granted, rejected, VoteResult): how the election stands."""
        cdef int granted, rejected
        cdef VoteResult result = tally_votes(self, &granted, &rejected)
        return granted, rejected, PyVoteResult(result)

    cpdef bint has_quorum(self, object ids) except -1:
        """Would these nodes, all together, be a quorum of both halves?"""
        cdef dict votes = dict.fromkeys(ids, True)
        return joint_vote(half_vote(self.incoming, votes), half_vote(self.outgoing, votes)) == VoteWon

    cpdef ConfState conf_state(self):
        """The configuration as it is stored and sent."""
        return ConfState(self.config.voters, self.config.voters_outgoing, self.config.learners,
                         self.config.learners_next, self.config.auto_leave)

    cpdef Tracker clone(self):
        """A copy that shares nothing that changes."""
        cdef Tracker copy = Tracker(self.max_inflight, self.max_inflight_bytes)
        copy.install(self.config, {member.id: member.clone() for member in self.ordered})
        copy.votes = dict(self.votes)
        return copy

    def describe_progress(self):
        """One line a member, ascending by id: ``1: StateProbe match=0 next=1``."""
        return [f"{member.id}: {member.describe()}" for member in self.ordered]
