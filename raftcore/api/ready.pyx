"""What a core asks its driver to do, in both forms: the Ready record, and storage messages with responses.

The order of things, in the plain form (``async_storage_writes=False``):

1. write ``hard_state``, ``snapshot`` and ``entries``, in one durable step if ``must_sync``;
2. AFTER that, send ``messages``; BEFORE that none of them may leave;
3. apply ``committed_entries`` (any time after step 1);
4. call ``RawNode.advance()``.

In the driver's form the same contents travel as messages to LOCAL_APPEND_THREAD and LOCAL_APPLY_THREAD among
``messages``, and everything else in ``messages`` may leave at once: what must wait for the write is attached to it as a
response (thesis 10.2.1).
"""

from raftcore.algorithm.state cimport Raft
from raftcore.api.take_ready cimport append_response, mark_reported
from raftcore.base.types cimport (
    APPEND_THREAD,
    APPLY_THREAD,
    MsgStorageAppend,
    MsgStorageApply,
    MsgStorageApplyResp,
)
from raftcore.log.log cimport has_next_or_in_progress_unstable
from raftcore.values.message cimport HardState, Message, new_message, queue_taken


cdef class SoftState:
    """Leader and role: for information, never stored (etcd/raft's SoftState).

    Attributes:
        lead: id of the leader of the current term as far as known, 0 for none.
        state: this node's role (:class:`raftcore.StateType`).
    """

    def __repr__(self):
        return f"SoftState(lead={self.lead}, state={self.state})"

    def __eq__(self, other):
        if not isinstance(other, SoftState):
            return NotImplemented
        return self.lead == (<SoftState> other).lead and self.state == (<SoftState> other).state

    def __hash__(self):
        return hash((self.lead, self.state))


cdef class Ready:
    """One batch of work (etcd/raft's Ready). Immutable; valid until the next call of ``RawNode.ready()``.

    Attributes:
        soft_state: leader and role, when either changed since the last Ready; else None. No storing needed.
        hard_state: term, vote and commit index, when any changed; else None. To be durable BEFORE ``messages`` are sent
            if ``must_sync``; a change of the commit index alone need not be.
        read_states: (index, context) of confirmed reads, the contexts as :meth:`raftcore.RawNode.read_index` was given
            them: serve each AFTER ``index`` is applied (thesis 6.4).
        entries: to be durable BEFORE ``messages`` are sent. They replace whatever the storage holds from their first
            index on. None when there are none.
        snapshot: to replace the storage's log, and with its bytes, which the driver has received, the state machine's
            state, BEFORE ``entries`` are written; None when there is none.
        committed_entries: to be applied in order, AFTER they are durable here (in the driver's form the core hands them
            out only then). None when there are none.
        messages: to be sent, in order for each receiver, AFTER the writes above; in the driver's form at once. They may
            be lost: the core repeats what has to arrive.
        must_sync: whether the writes must be durable, or may wait for the next that must.
    """

    def __bool__(self):
        return (
            self.soft_state is not None
            or self.hard_state is not None
            or bool(self.read_states)
            or self.entries is not None
            or self.snapshot is not None
            or self.committed_entries is not None
            or bool(self.messages)
        )

    def __repr__(self):
        return (
            f"Ready(soft_state={self.soft_state!r}, hard_state={self.hard_state!r}, read_states={self.read_states!r}, "
            f"entries={self.entries!r}, snapshot={self.snapshot!r}, committed_entries={self.committed_entries!r}, "
            f"messages={self.messages!r}, must_sync={bool(self.must_sync)})"
        )


cdef Ready new_ready(Raft r, const Reported* reported, bint plain):
    cdef Ready rd = Ready.__new__(Ready)
    cdef HardState hard
    rd.entries = r.log.next_unstable()
    rd.committed_entries = r.log.next_committed(plain)
    rd.snapshot = r.log.next_unstable_snapshot()
    rd.read_states = r.read_states
    rd.must_sync = rd.entries is not None or r.term != reported.term or r.vote != reported.vote
    if r.lead != reported.lead or r.state != reported.state:
        rd.soft_state = SoftState.__new__(SoftState)
        rd.soft_state.lead = r.lead
        rd.soft_state.state = r.state
    if r.term != reported.term or r.vote != reported.vote or r.log.committed != reported.commit:
        hard = HardState.__new__(HardState)
        hard.term = r.term
        hard.vote = r.vote
        hard.commit = r.log.committed
        rd.hard_state = hard
    return rd


cdef Ready quarantined_ready(Raft r, Reported* reported):
    """Its role, and nothing to be done."""
    cdef Ready rd = Ready.__new__(Ready)
    rd.read_states = []
    rd.messages = []
    rd.soft_state = SoftState.__new__(SoftState)
    rd.soft_state.lead = r.lead
    rd.soft_state.state = r.state
    mark_reported(r, reported)
    return rd


cdef bint append_response_needed(Raft r, Ready rd) except -1:
    # Also without entries in this Ready: while any are on their way to the disk, each write confirms the newest state
    # of the log, so that an earlier confirmation lost to a change of term does no lasting harm.
    return has_next_or_in_progress_unstable(r.log) or rd.snapshot is not None


cdef Message append_message(Raft r, Ready rd):
    m = new_message(MsgStorageAppend, APPEND_THREAD)
    m.from_ = r.id
    m.entries = rd.entries
    m.must_sync = rd.must_sync or rd.snapshot is not None  # its acknowledgement is among the responses
    if rd.hard_state is not None:
        m.term = rd.hard_state.term
        m.vote = rd.hard_state.vote
        m.commit = rd.hard_state.commit
    m.snapshot = rd.snapshot
    responses = queue_taken(&r.after_append)
    if append_response_needed(r, rd):
        # After the leader's acknowledgement to itself, which reads terms of these entries.
        responses.append(append_response(r, rd.snapshot))
    m.responses = responses
    return m


cdef Message apply_response(Raft r, Ready rd):
    m = new_message(MsgStorageApplyResp, r.id)
    m.from_ = APPLY_THREAD
    m.entries = rd.committed_entries
    return m


cdef Message apply_message(Raft r, Ready rd):
    m = new_message(MsgStorageApply, APPLY_THREAD)
    m.from_ = r.id
    m.entries = rd.committed_entries
    m.responses = [apply_response(r, rd)]
    return m
