"""What the leader knows of one follower, and every transition between its three states.

    StateProbe      The follower's log is not known to fit. One append at a time, the next only after an answer or a
                    heartbeat's answer; each rejection moves `next` back, the first success moves to StateReplicate.
    StateReplicate  The logs fit up to `match`. Appends go out without waiting; `next` runs ahead, as far as the window
                    of messages in flight allows. A rejection or a lost message moves back to StateProbe.
    StateSnapshot   What the follower needs is compacted away. Nothing is sent until the snapshot has arrived.

                      accepted, up to match
        +---------+ -------------------------> +-------------+
        |  Probe  | <------------------------- |  Replicate  |
        +---------+   rejected, unreachable    +-------------+
          |     ^                                 |       ^
          |     | snapshot arrived, or failed     |       |
          |     +--------------+   +--------------+       |
          |  compacted         |   |  compacted           | accepted, log reaches
          +---------------> +------------+                | the follower again
                            |  Snapshot  | ---------------+
                            +------------+

`match` and `next` are matchIndex and nextIndex of Figure 2.

A leader that pipelines (thesis 10.2.1) sends on before it has heard of the last message; the window of the appends on
their way (Inflights) bounds how far ahead it gets, in messages and in bytes. It is a ring: messages leave in the order
in which they entered, and one acknowledgement frees every message up to its index.

When a follower counts as caught up is at the end of progress.pxd: is_replicating, keeps_up, holds_whole_log. There are
also the bodies of can_bump_commit, maybe_update and is_paused, which the hot paths of the core inline.
"""

from libc.stdint cimport uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy

from raftcore.base.types cimport index_t, node_id_t

from raftcore.base.errors import InvariantViolation

cdef tuple STATE_NAMES = ("StateProbe", "StateReplicate", "StateSnapshot")


cdef class Inflights:
    """Inflights(size, max_bytes=0): at most ``size`` messages; paused from ``max_bytes`` bytes on, 0 for no limit.

    Raises ValueError for a size below 1. ``count`` and ``bytes`` are those of the messages on their way.
    """

    def __cinit__(self, int size, uint64_t max_bytes=0):
        if size < 1:
            raise ValueError(f"inflight window of {size} messages: it must hold at least 1")
        self.size = size
        self.max_bytes = max_bytes
        self.ring = NULL

    def __dealloc__(self):
        free(self.ring)

    cdef int grow(self) except -1:
        # Doubles, so that a window that never fills never costs what it could hold.
        cdef int room = min(max(self.capacity, 2), self.size - self.capacity)
        cdef int capacity = self.capacity + room
        cdef Inflight* ring = <Inflight*> realloc(self.ring, <size_t> capacity * sizeof(Inflight))
        if ring == NULL:
            raise MemoryError
        self.ring = ring
        # The ring is full here: what wrapped around to the front moves behind the old end, in pieces that fit.
        cdef int wrapped = self.start, i
        for i in range(min(wrapped, room)):
            ring[self.capacity + i] = ring[i]
        for i in range(room, wrapped):
            ring[i - room] = ring[i]
        self.capacity = capacity
        return 0

    cpdef int add(self, index_t index, uint64_t bytes) except -1:
        """Note a message whose last entry is ``index``. InvariantViolation when the window is full."""
        if self.is_full():
            raise InvariantViolation(f"message up to {index} added to a full window of {self.count}")
        if self.count == self.capacity:
            self.grow()
        # start + count stays below 2 * capacity, which may pass what an int holds.
        cdef long long at = <long long> self.start + self.count
        if at >= self.capacity:
            at -= self.capacity
        self.ring[at].index = index
        self.ring[at].bytes = bytes
        self.count += 1
        self.bytes += bytes
        return 0

    cpdef void free_le(self, index_t index) noexcept:
        """Free every message whose last entry is at or below ``index``."""
        while self.count > 0 and self.ring[self.start].index <= index:
            self.bytes -= self.ring[self.start].bytes
            self.count -= 1
            self.start += 1
            if self.start == self.capacity:
                self.start = 0
        if self.count == 0:
            self.start = 0

    cpdef bint is_full(self) noexcept:
        """True when no further message may be sent."""
        return is_full(self)

    cpdef void reset(self) noexcept:
        """Forget every message."""
        self.start = 0
        self.count = 0
        self.bytes = 0

    cpdef Inflights clone(self):
        """A copy that shares nothing."""
        cdef Inflights copy = Inflights(self.size, self.max_bytes)
        cdef int first = min(self.count, self.capacity - self.start)
        if self.count:
            copy.ring = <Inflight*> malloc(self.count * sizeof(Inflight))
            if copy.ring == NULL:
                raise MemoryError
            memcpy(copy.ring, self.ring + self.start, first * sizeof(Inflight))
            memcpy(copy.ring + first, self.ring, (self.count - first) * sizeof(Inflight))
            copy.capacity = self.count
            copy.count = self.count
            copy.bytes = self.bytes
        return copy

    def messages(self):
        """The messages on their way, oldest first, as (index of the last entry, bytes)."""
        cdef list found = []
        cdef long long at = self.start
        for _ in range(self.count):
            found.append((self.ring[at].index, self.ring[at].bytes))
            at += 1
            if at == self.capacity:
                at = 0
        return found

    def __repr__(self):
        return f"Inflights(size={self.size}, max_bytes={self.max_bytes}, messages={self.messages()})"


cdef class Progress:
    """Progress(id, match=0, next=1, *, max_inflight=256, max_inflight_bytes=0, is_learner=False), in StateProbe.

    Raises ValueError unless ``next`` is above ``match``, and for a window of no messages.

    Attributes:
        id, match, next: the member; matchIndex and nextIndex of Figure 2.
        sent_commit: highest commit index that it was sent in this state.
        state: a ProgressState's number.
        pending_snapshot: index of the snapshot on its way, 0 for none.
        recent_active: heard from since the last check of the quorum (thesis 6.2).
        msg_app_flow_paused: a probe, or a full window, is waiting for an answer.
        awaits_entries: the entries from ``next`` on have left the leader's memory, and its storage is reading them.
        spare: it lacks entries that have left the leader's memory, and at the last check of the quorum members that
            lack none of those, and had been heard from, were one: nobody's commit waits for what it is sent.
        heard_ms: the core's ``now_ms`` at its last answer, 0 before the first.
        bare_probe: probes go without payload, since it is not known where the logs agree.
        takeover_pause: election timeouts for which it is not handed over to by priority (options/priority.pyx).
        takeover_tries: how often that was tried in this leadership without an election having come of it, up to where
            the pause grows no more.
        is_learner: by the applied configuration.
        conf_index: index of the configuration entry that made this progress.
        inflights: the window of appends on their way.
    """

    def __cinit__(self, node_id_t id, index_t match=0, index_t next=1, *, int max_inflight=256,
                  uint64_t max_inflight_bytes=0, bint is_learner=False):
        if next <= match:
            raise ValueError(f"next {next} of node {id}: it must be above match {match}")
        self.id = id
        self.match = match
        self.next = next
        self.state = StateProbe
        self.is_learner = is_learner
        self.inflights = Inflights(max_inflight, max_inflight_bytes)

    cpdef void reset(self, index_t match, index_t next) noexcept:
        """Start over, as a new leader does: StateProbe, nothing heard yet. What the configuration says is kept."""
        self.reset_state(StateProbe)
        self.match = match
        self.next = next
        self.sent_commit = 0
        self.recent_active = False
        self.spare = False
        self.heard_ms = 0
        self.takeover_pause = 0
        self.takeover_tries = 0

    cpdef void reset_state(self, int state) noexcept:
        """Another state, and nothing on its way; ``match`` and ``next`` stay."""
        self.msg_app_flow_paused = False
        self.awaits_entries = False
        self.pending_snapshot = 0
        self.bare_probe = False
        self.state = state
        self.inflights.reset()

    cpdef void become_probe(self) noexcept:
        """Probe from match on, or from the snapshot on when one was on its way: it may well have arrived."""
        cdef index_t snapshot_index = self.pending_snapshot if self.state == StateSnapshot else 0
        self.reset_state(StateProbe)
        self.next = max(self.match, snapshot_index) + 1
        # What was sent beyond next may be lost: it has to be sent again, and the commit index with it.
        self.sent_commit = min(self.sent_commit, self.next - 1)

    cpdef void become_replicate(self) noexcept:
        """The logs fit up to ``match``: appends go on from there without waiting."""
        self.reset_state(StateReplicate)
        self.next = self.match + 1

    cpdef void become_snapshot(self, index_t snapshot_index) noexcept:
        """A snapshot up to ``snapshot_index`` is being sent; it carries the commit index up to there."""
        self.reset_state(StateSnapshot)
        self.pending_snapshot = snapshot_index
        self.next = snapshot_index + 1
        self.sent_commit = snapshot_index

    cpdef int sent_entries(self, uint64_t entries, uint64_t bytes) except -1:
        """An append with this many entries, from next on, and this many bytes has been sent. In StateSnapshot none may
        be: InvariantViolation."""
        if self.state == StateReplicate:
            if entries > 0:
                self.next += entries
                self.inflights.add(self.next - 1, bytes)
            # The message that fills the window is a probe itself: only its answer, or a heartbeat's, lets more out.
            self.msg_app_flow_paused = is_full(self.inflights)
        elif self.state == StateProbe:
            if entries > 0:
                self.msg_app_flow_paused = True
        else:
            raise InvariantViolation(f"append sent to node {self.id} while a snapshot is on its way: {self.describe()}")
        return 0

    cpdef bint can_bump_commit(self, index_t index) noexcept:
        """True when telling the follower that the log is committed up to ``index`` can be news to it.

        It can use a commit index only up to the last entry it was sent, next - 1; once it was told that much, more is
        worth a message only together with more entries.
        """
        return can_bump_commit(self, index)

    cpdef void sent_commit_to(self, index_t commit) noexcept:
        """It was told that the log is committed up to ``commit``."""
        self.sent_commit = commit

    cpdef bint maybe_update(self, index_t n) noexcept:
        """The follower has the log up to ``n``. False for an answer that tells nothing new."""
        return maybe_update(self, n)

    cpdef bint maybe_decr_to(self, index_t rejected, index_t match_hint) noexcept:
        """The follower refused an append after ``rejected`` and may fit up to ``match_hint``.

        False for a refusal that is stale: messages may be repeated or overtake one another.
        """
        if self.state == StateSnapshot:
            return False  # it was about the probe that showed a snapshot to be needed
        if self.state == StateReplicate:
            if rejected <= self.match:
                return False
            self.next = self.match + 1
            self.awaits_entries = False
        else:
            # Only one probe is out at a time, so only the answer to exactly that one counts.
            if self.next - 1 != rejected:
                return False
            self.next = max(min(rejected, match_hint + 1), self.match + 1)
            self.msg_app_flow_paused = False
            self.awaits_entries = False
        self.sent_commit = min(self.sent_commit, self.next - 1)
        return True

    cpdef bint is_paused(self) noexcept:
        """True when no append may be sent now: a probe is out, the window is full, a snapshot is on its way, or the
        entries have to be read first."""
        return is_paused(self)

    cpdef Progress clone(self):
        """A copy that shares nothing."""
        cdef Progress copy = Progress.__new__(Progress, self.id)
        copy.match = self.match
        copy.next = self.next
        copy.sent_commit = self.sent_commit
        copy.state = self.state
        copy.pending_snapshot = self.pending_snapshot
        copy.recent_active = self.recent_active
        copy.msg_app_flow_paused = self.msg_app_flow_paused
        copy.awaits_entries = self.awaits_entries
        copy.spare = self.spare
        copy.heard_ms = self.heard_ms
        copy.bare_probe = self.bare_probe
        copy.takeover_pause = self.takeover_pause
        copy.takeover_tries = self.takeover_tries
        copy.is_learner = self.is_learner
        copy.conf_index = self.conf_index
        copy.inflights = self.inflights.clone()
        return copy

    def describe(self):
        """As etcd/raft prints it: ``StateReplicate match=11 next=12 learner paused inactive inflight=2[full]``."""
        cdef list words = [STATE_NAMES[self.state], f"match={self.match}", f"next={self.next}"]
        if self.is_learner:
            words.append("learner")
        if self.is_paused():
            words.append("paused")
        if self.pending_snapshot > 0:
            words.append(f"pendingSnap={self.pending_snapshot}")
        if not self.recent_active:
            words.append("inactive")
        if self.inflights.count > 0:
            words.append(f"inflight={self.inflights.count}" + ("[full]" if self.inflights.is_full() else ""))
        return " ".join(words)

    def __repr__(self):
        return f"<Progress of {self.id}: {self.describe()}>"
