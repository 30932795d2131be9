"""Rounds: what one pass of the driver does.

A pass takes all that waits and carries everything that follows from it as far as it goes:

    datagrams, finished writes, ticks  -> core
    what the core decided              -> messages queued, appends and committed entries noted
    committed entries, if somebody waits for them -> state machine -> the waiting tasks go on, here and now
    the proposals and reads of these tasks -> core -> messages queued
    messages                           -> wire        (a notice of the commit and the next append share a datagram)
    appends                            -> store       (while the followers write the same)
    what depended on the write         -> core, wire
    committed entries nobody waits for -> state machine

and begins again as long as a write has been done meanwhile, because answers may have come in during it. So a proposal
costs no turn of the event loop beyond the ones the network imposes, and whatever arrives during one sync goes into the
next one together.

There is no rule of Raft here. What may be sent before a write and what only after it is the core's to say: it hangs the
latter on the append as responses (architecture, "The one-way road").
"""
cimport cython
from libc.stdint cimport UINT32_MAX, uint32_t, uint64_t

from raftcore.message cimport Message
from raftcore.ready cimport Ready
from raftcore.types cimport APPEND_THREAD, APPLY_THREAD, StateLeader, index_t

from raftcore.errors import ProposalDropped, StepPeerNotFound

from raftpy.errors import Overloaded

from raftpy.runtime.applying cimport Applying
from raftpy.runtime.proposal cimport Proposals
from raftpy.runtime.reads cimport Reads
from raftpy.runtime.ticks cimport Ticks

cdef enum:
    DATAGRAMS = 64    # taken at a time
    ROUNDS = 16       # of one pass before the event loop gets a turn
    FREE_ROUNDS = 2   # before a pass begins to look at the clock
    HEADER_SIZE = 64  # where a datagram's frames begin

cdef double PASS_S = 0.02  # after which a pass ends at its next round, so that timers and other tasks get their turn


@cython.final
cdef class Rounds:
    """The inner loop of one node, over its parts; every failure of theirs comes out of :meth:`run`.

    ``refusal()`` makes the exception for whoever proposes to a node that does not lead; ``role_changed()`` is called
    when this node's role has changed, or the leader that the core names.
    """

    def __init__(self, config, opened, clock, Proposals proposals, Applying applying, Reads reads, Ticks ticks,
                 membership, publish, refusal, role_changed):
        self.id = config.id
        self.raw = opened.raw
        self.storage = opened.storage
        self.transport = opened.transport
        self.monotonic = clock.monotonic
        self.wall_ms = clock.wall_ms
        self.proposals = proposals
        self.applying = applying
        self.reads = reads
        self.ticks = ticks
        self.membership = membership
        self.publish = publish
        self.refusal = refusal
        self.role_changed = role_changed
        self.appends = []
        self.written = []
        self.unreachable = []

    @property
    def pending(self):
        """Whether a pass has left something for the next."""
        return (self.proposals.has_queued or self.applying.has_pending() or self.reads.wanted
                or len(self.appends) > 0 or len(self.unreachable) > 0)

    def run(self):
        """One pass."""
        cdef double now = self.monotonic()
        cdef double until = now + PASS_S
        cdef uint32_t count = self.ticks.passed(now)
        cdef bint look = True  # at the socket
        cdef int number
        self.resuming = False
        if count:
            self.begin_ticks(count)
            self.proposals.expire(now)
            self.membership.tick()
            if self.reads.any_waiting():
                self.reads.tick(now)
        for number in range(ROUNDS):
            if number >= FREE_ROUNDS and self.monotonic() > until:
                break
            self.take(look)
            self.settle()
            look = self.write()
            # What only the state machine waits for.
            if self.applying.has_pending():
                self.apply()
                self.collect()
            if self.membership.due and self.membership.propose():
                self.collect()
            self.resume()
            if self.closed or not (look or self.proposals.queued or self.appends or self.reads.wanted):
                break
        if self.queued:
            self.flush()

    cdef int take(self, bint look) except -1:
        # Everything that waits goes to the core, and what the core says to it is collected.
        if self.due:
            self.finish_ticks()
        elif look:
            self.hear()
        while self.written:
            self.deliver(self.written.pop(0))
        while self.unreachable:
            self.raw.report_unreachable(self.unreachable.pop())
        return self.collect()

    cdef int settle(self) except -1:
        # Those who wait for a result make the next proposals and reads; then everything queued leaves.
        cdef Proposals proposals = self.proposals
        cdef bint moved = False  # the core may have decided something
        if proposals.head < len(proposals.waiting):
            if self.raw.term != self.term or self.raw.state != StateLeader:
                proposals.lose(self.raw.commit_index)
            moved = self.applying.has_pending()
            if moved:
                self.apply()
        self.resume()
        if self.reads.wanted:
            moved = True
            self.begin_reads()
        if proposals.queued:
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
        if not appends:
            return False
        self.appends = []
        if not self.storage.submit(appends):
            return False
        self.deliver(appends)
        self.collect()
        if self.queued:
            self.flush()
        # While this node wrote, the others did. Where nobody waits it is cheaper to be woken.
        return self.proposals.head < len(self.proposals.waiting)

    cdef int begin_ticks(self, uint32_t count) except -1:
        # Those in which nothing is due pass before anything is heard, because messages restart the timeouts.
        cdef uint32_t quiet = <uint32_t> min(<uint64_t> count, <uint64_t> self.raw.ticks_until_due() - 1)
        if quiet:
            self.raw.tick(self.wall_ms(), quiet)
        self.due = count - quiet
        return 0

    cdef int finish_ticks(self) except -1:
        # Something may be due; first everything is heard that was said meanwhile.
        cdef uint32_t count = self.due
        for _ in range(DATAGRAMS):
            if not self.hear():
                break
        self.due = 0
        self.raw.tick(self.wall_ms(), count)
        return 0

    cdef bint hear(self) except -1:
        cdef list datagrams = self.transport.receive(DATAGRAMS)
        for datagram in datagrams:
            self.raw.step_frames(datagram, HEADER_SIZE)
        return len(datagrams) > 0

    cdef int resume(self) except -1:
        if self.reads.confirmed:
            self.reads.release(self.applying.applied)
        if self.proposals.settled or self.reads.settled:
            self.resuming = True
            self.proposals.resume()
            self.reads.resume()
            self.resuming = False
        return 0

    cdef int flush(self) except -1:
        self.queued = False
        self.transport.flush()
        return 0

    cdef int collect(self) except -1:
        # Takes what the core has decided: messages are queued, work for the store and the state machine noted.
        cdef Ready ready
        cdef Message message
        while self.raw.has_ready():
            ready = self.raw.ready()
            for message in ready.messages:
                if message.to == APPEND_THREAD:
                    self.appends.append(message)
                elif message.to == APPLY_THREAD:
                    self.applying.push(message)
                else:
                    self.transport.send(message)
                    self.queued = True
            for index, context in ready.read_states:
                self.reads.answered(index, context)
            if ready.soft_state is not None:
                self.role_changed()
        return 0

    cdef int deliver(self, object done) except -1:
        # What hung on storage work that is done now: to this node itself, or out.
        cdef Message message, response
        for message in done:
            if message.responses is None:
                continue
            for response in message.responses:
                if response.to == self.id:
                    try:
                        self.raw.step(response)
                    except StepPeerNotFound:
                        pass  # its own acknowledgement, after its own removal
                else:
                    self.transport.send(response)
                    self.queued = True
        return 0

    cdef int apply(self) except -1:
        # Applies for a slice of time; a message that is through gives its responses to the core.
        cdef Message message
        self.applying.begin()
        while True:
            message = self.applying.run()
            if message is None:
                return 0
            self.deliver((message,))
            self.publish(message.entries)

    cdef int begin_reads(self) except -1:
        self.reads.begin(self.monotonic())
        if self.reads.next_deadline < self.ticks.due_at():
            self.ticks.plan(UINT32_MAX, self.reads.next_deadline)
        return 0

    cdef int append_proposals(self) except -1:
        cdef list commands = self.proposals.take()
        cdef index_t first
        cdef double now
        if not commands:
            return 0
        try:
            first = self.raw.propose(commands, self.wall_ms())
        except ProposalDropped as error:
            self.proposals.refused(Overloaded if error.reason == "uncommitted_limit" else self.refusal)
            return 0
        now = self.monotonic()
        self.term = self.raw.term
        self.proposals.appended(first, self.term, now)
        if self.proposals.next_deadline < self.ticks.due_at():
            self.ticks.plan(UINT32_MAX, self.proposals.next_deadline)
        return 0
