"""Rounds: what one pass of the driver does.

A pass takes all that waits and carries everything that follows from it as far as it goes:

    datagrams, finished writes, ticks  -> core
    what the core decided              -> messages in the peers' open datagrams, appends and committed entries noted
    committed entries, if somebody waits for them -> state machine -> the waiting tasks go on, here and now
    the proposals and reads of these tasks -> core -> messages queued
    messages                           -> wire        (a notice of the commit and the next append share a datagram)
    appends                            -> store       (while the followers write the same)
    what depended on the write         -> core, wire
    committed entries nobody waits for -> state machine

and begins again as long as a write has been done meanwhile, because answers may have come in during it. So a proposal
costs no turn of the event loop beyond the ones the network imposes, and whatever arrives during one sync goes into the
next one together.

There is no rule of Raft here. What may be sent before a write and what only after it is the core's to say: it keeps the
latter until the write is reported (docs/design.md, "The one-way road").

Everything the core decides comes through an Outbox. Where the transport lends its datagram builders
(``raftpy.contracts.transport.LendingTransport``), messages are encoded straight into them; any other gets each message
through ``send``.
"""
cimport cython
from cpython.list cimport PyList_GET_SIZE
from libc.stdint cimport UINT32_MAX, uint32_t, uint64_t

from raftcore.api.outbox cimport Outbox
from raftcore.base.lists cimport empty
from raftcore.base.types cimport StateLeader, index_t, node_id_t
from raftcore.values.message cimport Entries, Message
from raftcore.wire.frame cimport DATAGRAM_HEADER_SIZE

from raftcore.base.errors import ProposalDropped

from raftpy.contracts.errors import Overloaded

from raftpy.runtime.applying cimport Applying
from raftpy.runtime.pending_proposals cimport Proposals
from raftpy.runtime.reads cimport Reads
from raftpy.runtime.ticks cimport Ticks

cdef enum:
    DATAGRAMS = 64    # taken at a time
    ROUNDS = 16       # of one pass before the event loop gets a turn
    FREE_ROUNDS = 2   # before a pass begins to look at the clock

cdef double PASS_S = 0.02  # after which a pass ends at its next round, so that timers and other tasks get their turn
cdef double LINGER_S = 0.002  # after which a pass waits for answers no more: the loop's timers may be due


@cython.final
cdef class Rounds:
    """The inner loop of one node, over its parts; every failure of theirs comes out of :meth:`run`.

    ``refusal()`` makes the exception for whoever proposes to a node that does not lead; ``role_changed()`` is called
    when this node's role has changed, or the leader that the core names.

    Attributes:
        raw, storage, transport: the core and the parts that do for it what it cannot.
        takes_part: until then the core hears nothing, and no time passes for it.
        closed: set by whoever ends the node; the pass ends at the next opportunity.
        resuming: tasks that wait for results run now.
        appends: MsgStorageAppend messages that are not submitted yet.
        written: submits that have completed since the last round, each a sequence of MsgStorageAppend messages.
        unreachable: node ids whose address has refused a datagram.
    """

    def __init__(self, config, opened, clock, Proposals proposals, Applying applying, Reads reads, Ticks ticks,
                 member_operations, linger, publish, refusal, role_changed, slow_writes, owner):
        self.raw = opened.raw
        self.owner = owner
        self.storage = opened.storage
        self.transport = opened.transport
        self.monotonic = clock.monotonic
        self.wall_ms = clock.wall_ms
        self.proposals = proposals
        self.applying = applying
        self.reads = reads
        self.ticks = ticks
        self.member_operations = member_operations
        self.linger = linger
        self.publish = publish
        self.refusal = refusal
        self.role_changed = role_changed
        self.slow_writes = slow_writes
        self.tick_s = config.tick_ms / 1000
        self.begun = []
        self.outbox = Outbox()
        self.appends = []
        self.under_way = []
        self.written = []
        self.unreachable = []
        self.takes_part = True
        self.leader = self.raw.raft.lead
        self.role = self.raw.raft.state
        lend = getattr(self.transport, "lend_builders", None)
        if lend is not None:
            lend(self.outbox)

    def disown(self, elsewhere):
        """In a forked child: the pass that was cut off goes no further, and reaches nothing that is the parent's."""
        self.storage = self.transport = elsewhere
        self.closed = self.disowned = True

    cdef inline int check_owner(self) except -1:
        # After what may have forked: the state machine, and the tasks that were resumed.
        if self.disowned:
            self.owner.check_process()
        return 0

    @property
    def pending(self):
        """Whether a pass has left something for the next."""
        return self.has_left()

    cdef bint has_left(self) except -1:
        return (PyList_GET_SIZE(self.proposals.queued) > 0 or self.applying.has_pending() or self.reads.wanted
                or PyList_GET_SIZE(self.appends) > 0 or PyList_GET_SIZE(self.unreachable) > 0)

    cpdef run(self):
        """One pass."""
        cdef double now = self.monotonic()
        cdef double until = now + PASS_S
        cdef uint32_t count = self.ticks.passed(now)
        cdef bint look = True  # at the socket
        cdef bint lingered = False
        cdef int number
        self.resuming = False
        self.answering = False
        if count:
            self.begin_ticks(count)
            self.proposals.expire(now)
            self.member_operations.tick()
            if PyList_GET_SIZE(self.begun):
                self.slow_writes.waiting(now - self.begun[0])
            if self.reads.any_waiting():
                self.reads.tick(now)
        for number in range(ROUNDS):
            if number >= FREE_ROUNDS and self.monotonic() > until:
                break
            self.heard = False
            self.take(look)
            if lingered:
                self.linger.found(self.heard)
                if not self.heard and not self.member_operations.due:
                    break  # what came is for somebody else
            self.serve_callers()
            look = self.write()
            # What only the state machine waits for.
            if self.applying.has_pending():
                self.apply()
                self.collect()
            if self.member_operations.due and self.member_operations.propose():
                self.collect()
            self.resume()
            if self.closed:
                break
            lingered = False
            if look or PyList_GET_SIZE(self.proposals.queued) or PyList_GET_SIZE(self.appends) or self.reads.wanted:
                continue
            if not (self.answering or self.proposals.head < PyList_GET_SIZE(self.proposals.waiting)
                    or self.reads.any_waiting()):
                break  # no answer is expected
            if self.has_left() or number + 1 == ROUNDS or self.monotonic() > now + LINGER_S:
                break
            if not self.linger.wait():
                break
            look = lingered = True
        if self.queued:
            self.flush()

    cdef int take(self, bint look) except -1:
        # Everything that waits goes to the core, and what the core says to it is collected.
        if self.due:
            self.finish_ticks()
        elif look:
            self.hear()
        while PyList_GET_SIZE(self.written):
            self.completed(self.written.pop(0))
        while PyList_GET_SIZE(self.unreachable):
            self.raw.report_unreachable(self.unreachable.pop())
        return self.collect()

    cdef int serve_callers(self) except -1:
        # Those who wait for a result make the next proposals and reads; then everything queued leaves.
        cdef Proposals proposals = self.proposals
        cdef bint moved = False  # the core may have decided something
        if proposals.head < PyList_GET_SIZE(proposals.waiting):
            if self.raw.raft.term != self.term or self.raw.raft.state != StateLeader:
                proposals.lose(self.raw.raft.log.committed)
            moved = self.applying.has_pending()
            if moved:
                self.apply()
        self.resume()
        if self.reads.wanted:
            moved = True
            self.begin_reads()
        if PyList_GET_SIZE(proposals.queued):
            moved = True
            self.append_proposals()
        if moved:
            self.collect()
        if self.queued:
            self.flush()
        return 0

    cdef bint write(self) except -1:
        # Write, and send what depended on it. True: answers may have come in meanwhile that somebody waits for.
        cdef list appends = self.appends
        if not PyList_GET_SIZE(appends):
            return False
        cdef double begun = self.monotonic()
        self.appends = []
        if not self.storage.submit([(0, appends)]):
            self.under_way.append(None)
            self.begun.append(begun)
            return False
        if PyList_GET_SIZE(self.under_way):  # those before it are durable, but have not been reported yet
            self.under_way.append(appends)
            return False
        self.measure(appends, begun)
        self.raw._written(appends, self.outbox)
        self.collect()
        if self.queued:
            self.answering = True
            self.flush()
        # While this node wrote, the others did. Where nobody waits it is cheaper to be woken.
        return self.proposals.head < len(self.proposals.waiting)

    cdef int measure(self, object appends, double begun) except -1:
        # A write is done: those of less than a tick, which are the rule, concern nobody.
        cdef double seconds = self.monotonic() - begun
        if seconds >= self.tick_s or self.slow:
            self.slow = self.slow_writes.took(appends, seconds)
        return 0

    cdef int begin_ticks(self, uint32_t count) except -1:
        # Those in which nothing is due pass before anything is heard, because messages restart the timeouts.
        cdef uint32_t quiet
        if not self.takes_part:
            return 0
        quiet = <uint32_t> min(<uint64_t> count, self.raw._ticks_until_due() - 1)
        if quiet:
            self.raw._tick(self.wall_ms(), quiet)
        self.due = count - quiet
        return 0

    cdef int finish_ticks(self) except -1:
        # Something may be due; first everything is heard that was said meanwhile.
        cdef uint32_t count = self.due
        for _ in range(DATAGRAMS):
            if not self.hear():
                break
        self.due = 0
        self.raw._tick(self.wall_ms(), count)
        return 0

    cdef bint hear(self) except -1:
        cdef list datagrams = self.transport.receive(DATAGRAMS)
        if PyList_GET_SIZE(datagrams) == 0:
            return False
        self.heard = True
        if not self.takes_part:
            return True  # for Raft this node is not there yet: see founding.py
        for datagram in datagrams:
            self.raw._step_frames(datagram, DATAGRAM_HEADER_SIZE, 0)
        return True

    cdef int resume(self) except -1:
        if self.reads.confirmed:
            self.reads.release(self.applying.applied)
        if self.proposals.finished or self.reads.finished:
            self.resuming = True
            self.proposals.resume()
            self.reads.resume()
            self.resuming = False
            self.check_owner()
        return 0

    cdef int flush(self) except -1:
        self.queued = False
        self.transport.flush()
        return 0

    cdef int collect(self) except -1:
        # Takes what the core has decided: messages are queued, work for the store and the state machine noted.
        cdef Outbox outbox = self.outbox
        while self.raw._collect(outbox):
            if PyList_GET_SIZE(outbox.appends):
                self.appends += outbox.appends
                empty(outbox.appends)
            if PyList_GET_SIZE(outbox.applies):
                for entries in outbox.applies:
                    self.applying.push(entries)
                empty(outbox.applies)
            if PyList_GET_SIZE(outbox.read_states):
                for index, context in outbox.read_states:
                    self.reads.answered(index, context)
                empty(outbox.read_states)
            self.look_at_role()
        if PyList_GET_SIZE(outbox.messages):
            self.send()
        if outbox.has_datagrams():
            self.queued = True
        return 0

    cdef int look_at_role(self) except -1:
        cdef node_id_t leader = self.raw.raft.lead
        cdef int role = self.raw.raft.state
        if leader != self.leader or role != self.role:
            self.leader = leader
            self.role = role
            self.role_changed()
        return 0

    cdef int send(self) except -1:
        # What the core could not encode: the transport has lent no builder for its receiver, or none that holds it.
        cdef Message message
        cdef list messages = self.outbox.messages
        self.queued = True
        for message in messages:
            self.transport.send(message)
        empty(messages)
        return 0

    cdef int completed(self, object appends) except -1:
        # A submit that took longer has been reported, and with it what was written at once after it.
        if PyList_GET_SIZE(self.under_way):
            self.under_way.pop(0)
        if PyList_GET_SIZE(self.begun):
            self.measure(appends, self.begun.pop(0))
        self.answering = True
        self.raw._written(appends, self.outbox)
        while PyList_GET_SIZE(self.under_way) and self.under_way[0] is not None:
            self.raw._written(self.under_way.pop(0), self.outbox)
        return 0

    cdef int apply(self) except -1:
        # Applies for a slice of time; the core hears of Entries that are through.
        cdef Entries entries
        self.applying.begin()
        while True:
            entries = self.applying.run()
            self.check_owner()
            if entries is None:
                return 0
            self.raw._applied(entries)
            self.publish(entries)

    cdef int begin_reads(self) except -1:
        self.reads.begin(self.monotonic())
        return self.wake_by(self.reads.next_deadline)

    cdef int append_proposals(self) except -1:
        cdef list commands = self.proposals.take()
        cdef index_t first
        cdef double now
        if not commands:
            return 0
        try:
            first = self.raw._propose(commands, self.wall_ms())
        except ProposalDropped as error:
            self.proposals.refused(Overloaded if error.reason == "uncommitted_limit" else self.refusal)
            return 0
        now = self.monotonic()
        self.term = self.raw.raft.term
        self.proposals.appended(first, self.term, now)
        return self.wake_by(self.proposals.next_deadline)

    cdef int wake_by(self, double deadline) except -1:
        # Somebody's timeout ends then.
        if deadline < self.ticks.due_at():
            self.ticks.plan(UINT32_MAX, deadline)
        return 0
