"""What a pass does for one group: the part of it that no other group shares.

    datagrams, writes, ticks -> core -> appends, committed entries, confirmed reads
    committed entries -> state machine -> results -> the waiting tasks go on
    the proposals and reads of these tasks -> core

In which order that is done for all groups of a pass is in rounds.pyx. The store, the socket and the clock are the
host's. A group that has ended (``closed``) is as if it were not there: its core hears nothing, no time passes for it,
and what is reported of its writes is dropped.
"""
cimport cython
from cpython.list cimport PyList_GET_SIZE
from libc.math cimport INFINITY
from libc.stdint cimport uint32_t, uint64_t

from raftcore.api.raw_node cimport IN_OUTBOX
from raftcore.api.receive cimport receive_commands, receive_read
from raftcore.base.types cimport StateLeader, index_t, node_id_t

from raftcore.base.errors import ProposalDropped

from raftpy.contracts.errors import Overloaded

from raftpy.runtime.applying cimport Applying
from raftpy.runtime.pending_proposals cimport Proposals
from raftpy.runtime.reads cimport Reads


@cython.final
cdef class GroupWork:
    """One group's core, and who waits for what it does. Made before its parts are, which ask for a pass by ``queued``.

    ``request(group)`` asks for a pass that looks at it, as ``Passes.note`` does; ``publish(entries)`` is told of what
    is applied; ``refusal()`` makes the exception for whoever proposes to a node that does not lead; ``role_changed()``
    is called when this node's role in the group has changed, or the leader that the core names; ``failed(error)`` when
    the state machine has raised ``error``, an ``ApplyFailed``: False ends the host.

    Attributes:
        id: of the group, u64.
        raw: its core.
        appends: MsgStorageAppend messages that are not submitted yet.
        noted: the pass under way, or the next one, looks at it.
        moved: the core may have decided something that was not collected yet; set by whoever orders something of it.
        cuts: the store was told to cut the log, which a batch of this group has to carry out; set by whoever told it.
        closed: it has ended; set by whoever ends it.
    """

    def __init__(self, uint64_t id, raw, request, publish, refusal, role_changed, failed):
        self.id = id
        self.raw = raw
        self.raw._use(IN_OUTBOX)
        self.request = request
        self.publish = publish
        self.refusal = refusal
        self.role_changed = role_changed
        self.failed = failed
        self.appends = []
        self.leader = self.raw.raft.lead
        self.role = self.raw.raft.state

    def bind(self, Proposals proposals not None, Applying applying not None, Reads reads not None, offered=None,
             installed=None):
        """The parts are there; to be called once, before the first pass.

        ``offered(message)`` is called with each MsgSnap that comes, which the core has not stepped; ``installed()``
        when a snapshot that it has stepped is written. Applying is held from when the core hands that out. None for
        both: a MsgSnap is stepped as it comes.
        """
        self.proposals = proposals
        self.applying = applying
        self.reads = reads
        self.offered = offered
        self.installed = installed
        if offered is not None:
            self.raw.hold_snapshots()

    @cython.binding(False)
    def queued(self):
        """A proposal or a read was queued: the pass under way takes it up, or the next."""
        self.request(self)

    cdef bint has_left(self) except -1:
        # Whether a pass has left something for the next.
        return not self.closed and (self.moved or self.has_queued() or self.applying.has_pending())

    cdef bint has_queued(self) noexcept:
        # Whether something waits to go to the core, or to the store.
        return (PyList_GET_SIZE(self.proposals.queued) > 0 or self.reads.wanted or PyList_GET_SIZE(self.appends) > 0
                or self.cuts)

    cdef bint is_awaited(self) noexcept:
        # Whether somebody waits for an answer of other nodes.
        return self.proposals.head < PyList_GET_SIZE(self.proposals.waiting) or self.reads.any_waiting()

    cdef int begin_ticks(self, uint32_t count, uint64_t wall_ms) except -1:
        # Those in which nothing is due pass before anything is heard, because messages restart the timeouts.
        cdef uint32_t quiet = <uint32_t> (self.raw._due_within(<uint64_t> count + 1) - 1)
        if quiet:
            self.raw._tick(wall_ms, quiet)
        self.due = count - quiet
        return 0

    cdef bint expire(self, double now) except -1:
        # Ends the waits whose time is up. True: there is something to do now.
        self.proposals.expire(now)
        if self.reads.any_waiting():
            self.reads.tick(now)
        return (PyList_GET_SIZE(self.proposals.finished) > 0 or PyList_GET_SIZE(self.reads.finished) > 0
                or self.reads.wanted)

    cdef int look_at_role(self) except -1:
        cdef node_id_t leader = self.raw.raft.lead
        cdef int role = self.raw.raft.state
        if leader != self.leader or role != self.role:
            self.leader = leader
            self.role = role
            self.role_changed()
        return 0

    cdef int lose(self) except -1:
        # What was appended under a term that this node leads no more may never be committed.
        if self.raw.raft.term != self.term or self.raw.raft.state != StateLeader:
            self.proposals.lose(self.raw.raft.log.committed)
        return 0

    cdef int offer(self) except -1:
        # What the core has held back.
        for message in self.raw.take_offers():
            self.offered(message)
        return 0

    cdef int install(self) except -1:
        # The core hands out a snapshot in the place of the log. What this node has proposed in an earlier term is
        # covered by it or gone, and which of the two nobody here will learn.
        self.installing = True
        self.applying.hold()
        self.proposals.lose(0)
        return 0

    cdef int look_at_snapshot(self) except -1:
        # Something was written: perhaps the snapshot.
        if self.raw.raft.log.unstable.snapshot is None:
            self.installing = False
            self.installed()
        return 0

    cdef bint resume(self) except -1:
        # Those whose results are there go on, here and now. A state that is being restored nobody may read.
        if self.reads.confirmed and not self.applying.held:
            self.reads.release(self.applying.applied)
        if not PyList_GET_SIZE(self.proposals.finished) and not PyList_GET_SIZE(self.reads.finished):
            return False
        self.proposals.resume()
        self.reads.resume()
        return True

    cdef double begin_reads(self, uint64_t wall_ms, double now) except? -1:
        # When the first of their timeouts ends.
        cdef bytes context = self.reads.begin(now)
        if context is not None and not receive_read(self.raw.raft, context, wall_ms):
            self.reads.take_back(context)
        return self.reads.next_deadline

    cdef double append_proposals(self, uint64_t wall_ms, double now) except? -1:
        # When the first of their timeouts ends; infinite when none has begun.
        cdef list commands = self.proposals.take()
        cdef index_t first
        if not commands:
            return INFINITY
        try:
            first = receive_commands(self.raw.raft, commands, wall_ms)
        except ProposalDropped as error:
            self.proposals.refused(Overloaded if error.reason == "uncommitted_limit" else self.refusal)
            return INFINITY
        self.term = self.raw.raft.term
        self.proposals.appended(first, self.term, now)
        return self.proposals.next_deadline
