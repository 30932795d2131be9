"""Configuration changes, single and joint (thesis 4.1 to 4.3), decided as etcd/raft decides them.

Each function takes a tracker and gives the configuration and the progress it would have after the change, for
Tracker.install; the tracker itself is left as it is, so a refused change has no effect. What the changes themselves
say, and their byte form, is in raftcore.values.changes and re-exported here.

    simple         changes at most one voter, and any number of learners: every majority of the old configuration
                   overlaps every majority of the new one (thesis 4.1)
    enter_joint    (1 2 3) -> (new)&&(1 2 3): both halves must agree until it is left
    leave_joint    (new)&&(old) -> (new)
    restore        nobody -> whatever a ConfState says

A voter that becomes a learner through a joint configuration stays a voter of the outgoing half until that is left; it
waits in learners_next, so that nobody is ever voter and learner at once.
"""

from raftcore.base.types cimport NO_LIMIT, index_t, node_id_t
from raftcore.membership.progress cimport Progress
from raftcore.membership.tracker cimport Tracker, TrackerConfig
from raftcore.values.message cimport ConfState

from raftcore.base.errors import ConfChangeError
from raftcore.values.changes import ConfChange, ConfChangeType, as_changes
from raftcore.values.changes import ConfChangeTransition, ConfChangeV2, describe, parse  # no-cython-lint: re-exported
from raftcore.values.changes import TransitionAuto, TransitionJointExplicit, TransitionJointImplicit  # no-cython-lint

__all__ = [
    "ConfChange",
    "ConfChangeTransition",
    "ConfChangeType",
    "ConfChangeV2",
    "TransitionAuto",
    "TransitionJointExplicit",
    "TransitionJointImplicit",
    "as_changes",
    "describe",
    "enter_joint",
    "leave_joint",
    "parse",
    "restore",
    "simple",
]

cdef enum:
    ADD_NODE = 0
    REMOVE_NODE = 1
    UPDATE_NODE = 2
    ADD_LEARNER = 3


cdef class _Draft:
    # A configuration that is being changed, apart from the tracker it came from.
    cdef set voters
    cdef set voters_outgoing
    cdef set learners
    cdef set learners_next
    cdef bint auto_leave
    cdef dict progress           # node id -> Progress
    cdef index_t last_index
    cdef int max_inflight
    cdef object max_inflight_bytes

    cdef int change(self, object changes) except -1:
        cdef node_id_t id
        cdef int kind
        for single in as_changes(changes):
            id = single.node_id
            kind = single.type
            if id == 0:
                continue  # a change that was struck out before it was applied
            if kind == ADD_NODE:
                self.make_voter(id)
            elif kind == ADD_LEARNER:
                self.make_learner(id)
            elif kind == REMOVE_NODE:
                self.remove(id)
            elif kind != UPDATE_NODE:
                raise ConfChangeError(f"unexpected conf type {kind}")
        if not self.voters:
            raise ConfChangeError("removed all voters")
        return 0

    cdef int make_voter(self, node_id_t id) except -1:
        cdef Progress member = self.progress.get(id)
        if member is None:
            member = self.add(id, False)
        member.is_learner = False
        self.learners.discard(id)
        self.learners_next.discard(id)
        self.voters.add(id)
        return 0

    cdef int make_learner(self, node_id_t id) except -1:
        cdef Progress member = self.progress.get(id)
        if member is None:
            self.add(id, True)
            self.learners.add(id)
            return 0
        self.remove(id)
        self.progress[id] = member  # only its role changes: what is known of its log stays true
        if id in self.voters_outgoing:
            self.learners_next.add(id)
        else:
            member.is_learner = True
            self.learners.add(id)
        return 0

    cdef int remove(self, node_id_t id) except -1:
        if id not in self.progress:
            return 0
        self.voters.discard(id)
        self.learners.discard(id)
        self.learners_next.discard(id)
        if id not in self.voters_outgoing:
            del self.progress[id]
        return 0

    cdef Progress add(self, node_id_t id, bint is_learner):
        # Probed at the end of the log first: it may well have been given a copy of the state beforehand.
        cdef index_t next = self.last_index if self.last_index > 0 else 1
        cdef Progress member = Progress(id, 0, next, max_inflight=self.max_inflight,
                                        max_inflight_bytes=self.max_inflight_bytes, is_learner=is_learner)
        # Otherwise check-quorum could depose the leader before the newcomer had a chance to answer.
        member.recent_active = True
        member.conf_index = NO_LIMIT  # whoever puts the change into force knows its index
        self.progress[id] = member
        return member

    cdef int enter(self, object changes, bint auto_leave) except -1:
        if self.voters_outgoing:
            raise ConfChangeError("config is already joint")
        if not self.voters:
            raise ConfChangeError("can't make a zero-voter config joint")
        self.voters_outgoing = set(self.voters)
        self.change(changes)
        self.auto_leave = auto_leave
        return 0

    cdef int leave(self) except -1:
        cdef Progress member
        if not self.voters_outgoing:
            raise ConfChangeError("can't leave a non-joint config")
        for id in self.learners_next:
            member = self.progress[id]
            member.is_learner = True
        self.learners |= self.learners_next
        for id in self.voters_outgoing - self.voters - self.learners:
            del self.progress[id]
        self.learners_next = set()
        self.voters_outgoing = set()
        self.auto_leave = False
        return 0

    cdef tuple result(self):
        # Tracker.install checks what must hold between the two.
        config = TrackerConfig(self.voters, self.voters_outgoing, self.learners, self.learners_next, self.auto_leave)
        return config, self.progress


cdef _Draft empty_draft(Tracker tracker, index_t last_index):
    cdef _Draft draft = _Draft()
    draft.voters = set()
    draft.voters_outgoing = set()
    draft.learners = set()
    draft.learners_next = set()
    draft.progress = {}
    draft.last_index = last_index
    draft.max_inflight = tracker.max_inflight
    draft.max_inflight_bytes = tracker.max_inflight_bytes
    return draft


cdef _Draft draft_of(Tracker tracker, index_t last_index):
    cdef _Draft draft = empty_draft(tracker, last_index)
    cdef Progress member
    draft.voters = set(tracker.config.voters)
    draft.voters_outgoing = set(tracker.config.voters_outgoing)
    draft.learners = set(tracker.config.learners)
    draft.learners_next = set(tracker.config.learners_next)
    draft.auto_leave = tracker.config.auto_leave
    for member in tracker.ordered:
        draft.progress[member.id] = member.clone()
    return draft


cpdef tuple simple(Tracker tracker, index_t last_index, object changes):
    """Change at most one voter, and learners, at once (thesis 4.1). A new member's `next` is last_index (at least 1).
    Raises ConfChangeError in a joint configuration, for more than one voter, and when no voter would be left."""
    cdef _Draft draft = draft_of(tracker, last_index)
    if draft.voters_outgoing:
        raise ConfChangeError("can't apply simple config change in joint config")
    draft.change(changes)
    if len(draft.voters.symmetric_difference(tracker.config.voters)) > 1:
        raise ConfChangeError("more than one voter changed without entering joint config")
    return draft.result()


cpdef tuple enter_joint(Tracker tracker, index_t last_index, bint auto_leave, object changes):
    """Keep the voters as the outgoing half and make the changes in the incoming one (C_old,new of thesis 4.3)."""
    cdef _Draft draft = draft_of(tracker, last_index)
    draft.enter(changes, auto_leave)
    return draft.result()


cpdef tuple leave_joint(Tracker tracker, index_t last_index):
    """Drop the outgoing half; who waited to become a learner becomes one."""
    cdef _Draft draft = draft_of(tracker, last_index)
    draft.leave()
    return draft.result()


cpdef tuple restore(Tracker tracker, index_t last_index, ConfState cs):
    """The configuration that cs says, from nothing: only the tracker's limits count, not who is in it.

    ConfChangeError when no sequence of changes leads there (a learner that votes, autoleave without a joint one).
    """
    cdef _Draft draft = empty_draft(tracker, last_index)
    voters = [ConfChange(ConfChangeType.AddNode, id) for id in cs.voters]
    learners = [ConfChange(ConfChangeType.AddLearner, id) for id in (*cs.learners, *cs.learners_next)]
    if cs.voters_outgoing:
        draft.change([ConfChange(ConfChangeType.AddNode, id) for id in cs.voters_outgoing])
        gone = [ConfChange(ConfChangeType.RemoveNode, id) for id in cs.voters_outgoing]
        draft.enter(gone + voters + learners, cs.auto_leave)
    elif voters or learners:
        draft.change(voters + learners)
    wanted = TrackerConfig(cs.voters, cs.voters_outgoing, cs.learners, cs.learners_next, cs.auto_leave)
    cdef tuple made = draft.result()
    if made[0] != wanted:
        raise ConfChangeError(f"no configuration: {wanted.describe()} (as restored: {made[0].describe()})")
    return made
