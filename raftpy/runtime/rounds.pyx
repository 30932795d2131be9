"""Rounds: what one pass of a host does, for all of its groups.

A pass takes all that waits and carries everything that follows from it as far as it goes:

    datagrams (each frame to its group), finished writes, ticks  -> cores
    what the cores decided              -> messages in the peers' open datagrams, appends and committed entries noted
    committed entries, if somebody waits for them -> state machines -> the waiting tasks go on, here and now
    the proposals and reads of these tasks -> cores -> messages queued
    messages                            -> wire       (a notice of the commit and the next append share a datagram)
    appends, of all groups              -> store      (one synced batch, while the followers write the same)
    what depended on the write          -> cores, wire
    committed entries nobody waits for  -> state machines

and begins again as long as a write has been done meanwhile, because answers may have come in during it. So a proposal
costs no turn of the event loop beyond the ones the network imposes, and whatever arrives during one sync goes into the
next one together.

A pass looks at the groups that are *noted*: those in which somebody has proposed or reads, which were heard of, whose
tick is due, which have left something. All others cost it nothing, but for a look at the ticks. The only group of a
host is always noted.

There is no rule of Raft here. What may be sent before a write and what only after it is the core's to say: it keeps the
latter until the write is reported (docs/design.md, "The one-way road").

Everything the cores decide comes through one Outbox, as datagrams belong to a peer and not to a group. Where the
transport lends its datagram builders (``raftpy.contracts.transport.LendingTransport``), messages are encoded straight
into them; any other gets each message through ``send``.
"""
cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_SIZE
from libc.math cimport INFINITY
from libc.stdint cimport uint32_t, uint64_t

from raftcore.api cimport take_ready
from raftcore.api.outbox cimport Outbox
from raftcore.api.raw_node cimport RawNode
from raftcore.api.receive cimport receive_datagram, receive_frame
from raftcore.base.lists cimport empty
from raftcore.base.types cimport StateLeader, StateQuarantined
from raftcore.values.message cimport Entries, Message
from raftcore.wire.frame cimport end_of_frame
from raftcore.wire.header cimport DATAGRAM_HEADER_SIZE

from raftpy.contracts.clock import is_systems
from raftpy.contracts.errors import ApplyFailed

from raftpy.system.now cimport READS_CLOCKS, read_clock, wall_clock_ms

from raftpy.members.due cimport Due

from raftpy.runtime.group_work cimport GroupWork

cdef enum:
    DATAGRAMS = 64    # taken at a time
    ROUNDS = 16       # of one pass before the event loop gets a turn
    FREE_ROUNDS = 2   # before a pass begins to look at the clock

cdef double PASS_S = 0.02  # after which a pass ends at its next round, so that timers and other tasks get their turn
cdef double LINGER_S = 0.002  # after which a pass waits for answers no more: the loop's timers may be due


@cython.final
cdef class Rounds:
    """The inner loop of one host, over the work of its groups; every failure but a state machine's comes out of
    :meth:`run`, and ends the host.

    ``groups`` are GroupWork by ascending id, group 0 first; ``member_operations`` proposes there.

    Attributes:
        storage, transport: the parts that do for the cores what they cannot.
        takes_part: until then the cores hear nothing, and no time passes for them.
        closed: set by whoever ends the host; the pass ends at the next opportunity.
        resuming: tasks that wait for results run now.
        written: submits that have completed since the last round, each a batch of (group id, MsgStorageAppends).
        unreachable: node ids whose address has refused a datagram.
        strangers: frames of groups that a host with several does not have, or has no more.
    """

    def __init__(self, config, opened, clock, list groups not None, Due member_operations, linger, slow_writes, owner):
        self.owner = owner
        self.storage = opened.storage
        self.transport = opened.transport
        self.reads_system = READS_CLOCKS and is_systems(clock)
        self.monotonic = None if self.reads_system else clock.monotonic
        self.wall_clock = clock.wall_ms
        self.groups = groups
        self.first = groups[0]
        self.alone = groups[0] if len(groups) == 1 else None
        self.noted = []
        self.member_operations = member_operations
        self.linger = linger
        self.slow_writes = slow_writes
        self.tick_s = config.tick_ms / 1000
        self.begun = []
        self.outbox = Outbox()
        self.under_way = []
        self.written = []
        self.unreachable = []
        self.takes_part = True
        lend = getattr(self.transport, "lend_builders", None)
        if lend is not None:
            lend(self.outbox)

    cdef double now(self) except? -1:
        return read_clock(self.monotonic)

    cdef uint64_t wall_ms(self) except? 0:
        return wall_clock_ms() if self.reads_system else self.wall_clock()

    def disown(self, elsewhere):
        """In a forked child: the pass that was cut off goes no further, and reaches nothing that is the parent's."""
        self.storage = self.transport = elsewhere
        self.closed = self.disowned = True

    cdef inline int check_owner(self) except -1:
        # After what may have forked: the state machine, and the tasks that were resumed.
        if self.disowned:
            self.owner.check_process()
        return 0

    # --- Groups -------------------------------------------------------------------------------------------------

    cpdef int note(self, GroupWork group) except -1:
        """The pass under way, or the next one, has to look at this group."""
        if not group.noted:
            group.noted = group.proposals.scheduled = True
            self.noted.append(group)
        return 0

    cdef int rest(self, bint again) except -1:
        # The pass is over, and another is on its way or not: whoever proposes must then ask for one.
        cdef GroupWork group
        cdef list kept
        if not again:
            for group in self.noted:
                group.noted = group.proposals.scheduled = False
            empty(self.noted)
            return 0
        if self.alone is not None or self.resuming:  # resuming: a task has cut the pass off
            return 0
        kept = []
        for group in self.noted:
            if group.has_left():
                kept.append(group)
            else:
                group.noted = group.proposals.scheduled = False
        self.noted = kept
        return 0

    cdef inline GroupWork at(self, Py_ssize_t position):
        return <GroupWork> self.noted[position]

    cdef Py_ssize_t position(self, GroupWork group):
        # Where it is among the noted; 0 as well if it is not there.
        cdef Py_ssize_t at
        if group is not None:
            for at in range(PyList_GET_SIZE(self.noted)):
                if self.noted[at] is group:
                    return at
        return 0

    cdef GroupWork find(self, uint64_t group_id):
        # The group of that id that has not ended, or None. Most hosts number theirs from 0 without a gap.
        cdef Py_ssize_t low = 0
        cdef Py_ssize_t high = PyList_GET_SIZE(self.groups)
        cdef Py_ssize_t middle
        cdef GroupWork group
        middle = <Py_ssize_t> group_id if group_id < <uint64_t> high else high // 2
        while low < high:
            group = <GroupWork> self.groups[middle]
            if group.id == group_id:
                return None if group.closed else group
            if group.id < group_id:
                low = middle + 1
            else:
                high = middle
            middle = (low + high) // 2
        return None

    @property
    def leads(self):
        """Whether this node leads in one of its groups."""
        return self.is_leading()

    cdef bint is_leading(self) except -1:
        cdef GroupWork group
        for group in self.groups:
            if group.raw.raft.state == StateLeader and not group.closed:
                return True
        return False

    cdef double due_within(self, uint32_t* ticks) except? -1:
        # The first moment at which something may be due in a group: in how many ticks, at most as many as it was, and
        # by which reading of the clock a wait ends (infinite: none does).
        cdef GroupWork group
        cdef double deadline = INFINITY
        for group in self.groups:
            if not group.closed:
                ticks[0] = <uint32_t> group.raw._due_within(ticks[0])
                deadline = min(deadline, group.proposals.next_deadline, group.reads.next_deadline)
        return deadline

    cdef bint has_left(self) except -1:
        # Whether a pass has left something for the next.
        cdef GroupWork group
        if PyList_GET_SIZE(self.unreachable):
            return True
        for group in self.noted:
            if group.has_left():
                return True
        return False

    cdef bint has_queued(self) except -1:
        cdef GroupWork group
        for group in self.noted:
            if group.has_queued():
                return True
        return False

    cdef bint is_awaited(self) except -1:
        cdef GroupWork group
        for group in self.noted:
            if group.is_awaited():
                return True
        return False

    # --- One pass -----------------------------------------------------------------------------------------------

    cpdef run(self, double now, uint32_t count):
        """One pass, at the reading ``now`` of the clock, ``count`` ticks after the one before."""
        cdef double until = now + PASS_S
        cdef bint look = True  # at the socket
        cdef bint lingered = False
        cdef int number
        self.deadline = INFINITY
        self.resuming = False
        self.answering = False
        if self.alone is not None:
            self.note(self.alone)
        if count:
            self.begin_ticks(count, now)
        for number in range(ROUNDS):
            if number >= FREE_ROUNDS and self.now() > until:
                break
            self.heard = False
            self.take(look)
            if lingered:
                self.linger.found(self.heard)
                if not self.heard and not self.member_operations.due:
                    break  # what came is for somebody else
            self.serve_callers()
            look = self.write()
            # What only the state machines wait for.
            self.apply(False)
            if self.member_operations.due and not self.first.closed and self.member_operations.propose():
                self.note(self.first)
                self.collect(self.first)
            self.resume()
            if self.closed:
                break
            lingered = False
            if look or self.has_queued():
                continue
            if not (self.answering or self.is_awaited()):
                break  # no answer is expected
            if self.has_left() or number + 1 == ROUNDS or self.now() > now + LINGER_S:
                break
            if not self.linger.wait():
                break
            look = lingered = True
        if self.queued:
            self.flush()

    cdef int begin_ticks(self, uint32_t count, double now) except -1:
        # Time has passed, for every group.
        cdef GroupWork group
        cdef uint64_t wall_ms = self.wall_ms() if self.takes_part else 0
        for group in self.groups:
            if group.closed:
                continue
            if self.takes_part:
                group.begin_ticks(count, wall_ms)
                if group.due:
                    self.ticks_due = True
                    self.note(group)
            if group.expire(now):
                self.note(group)
        if self.member_operations.retry:
            self.member_operations.tick()
        if PyList_GET_SIZE(self.begun):
            self.slow_writes.waiting(now - self.begun[0])
        return 0

    cdef int finish_ticks(self) except -1:
        # Something may be due; first everything is heard that was said meanwhile.
        cdef GroupWork group
        cdef uint64_t wall_ms
        cdef uint32_t count
        if not self.nothing_waits:
            for _ in range(DATAGRAMS):
                if not self.hear():
                    break
        self.ticks_due = False
        wall_ms = self.wall_ms()
        for group in self.noted:
            if group.due:
                count = group.due
                group.due = 0
                if not group.closed:
                    group.raw._tick(wall_ms, count)
        return 0

    cdef int take(self, bint look) except -1:
        # Everything that waits goes to the cores, and what they say to it is collected.
        cdef Py_ssize_t at = 0
        if self.ticks_due:
            self.finish_ticks()
        elif look:
            self.hear()
        while PyList_GET_SIZE(self.written):
            self.completed(self.written.pop(0))
        while PyList_GET_SIZE(self.unreachable):
            self.lost_sight_of(self.unreachable.pop())
        while at < PyList_GET_SIZE(self.noted):
            self.collect(self.at(at))
            at += 1
        return 0

    cdef int lost_sight_of(self, node_id) except -1:
        cdef GroupWork group
        for group in self.groups:
            if not group.closed:
                group.raw.report_unreachable(node_id)
                self.note(group)
        return 0

    cdef int serve_callers(self) except -1:
        # Those who wait for a result make the next proposals and reads; then everything queued leaves.
        cdef GroupWork group
        cdef Py_ssize_t at = 0
        cdef double now
        self.apply(True)
        self.resume()
        while at < PyList_GET_SIZE(self.noted):
            group = self.at(at)
            at += 1
            if group.closed:
                continue
            if group.reads.wanted:
                group.moved = True
                self.deadline = min(self.deadline, group.begin_reads(self.wall_ms(), self.now()))
            if PyList_GET_SIZE(group.proposals.queued):
                group.moved = True
                now = self.now()
                self.deadline = min(self.deadline, group.append_proposals(self.wall_ms(), now))
            if group.moved:
                group.moved = False
                self.collect(group)
        if self.queued:
            self.flush()
        return 0

    cdef bint write(self) except -1:
        # Write, and send what depended on it. True: answers may have come in meanwhile that somebody waits for.
        cdef GroupWork group
        cdef list batch = None
        cdef double begun
        for group in self.noted:
            if PyList_GET_SIZE(group.appends) or group.cuts:
                if not group.closed and group.raw.raft.state != StateQuarantined:  # which promises nothing any more
                    if batch is None:
                        batch = []
                    batch.append((group.id, group.appends))
                group.appends = []
                group.cuts = False
        if batch is None:
            return False
        begun = self.now()
        if not self.storage.submit(batch):
            self.under_way.append(None)
            self.begun.append(begun)
            return False
        if PyList_GET_SIZE(self.under_way):  # those before it are durable, but have not been reported yet
            self.under_way.append(batch)
            return False
        self.measure(batch, begun)
        self.report_written(batch, True)
        if self.queued:
            self.answering = True
            self.flush()
        # While this node wrote, the others did. Where nobody waits it is cheaper to be woken.
        for group in self.noted:
            if group.proposals.head < PyList_GET_SIZE(group.proposals.waiting):
                return True
        return False

    cdef int completed(self, object batch) except -1:
        # A submit that took longer has been reported, and with it what was written at once after it.
        if PyList_GET_SIZE(self.under_way):
            self.under_way.pop(0)
        if PyList_GET_SIZE(self.begun):
            self.measure(batch, self.begun.pop(0))
        self.answering = True
        self.report_written(batch, False)
        while PyList_GET_SIZE(self.under_way) and self.under_way[0] is not None:
            self.report_written(self.under_way.pop(0), False)
        return 0

    cdef int report_written(self, object batch, bint collect) except -1:
        # A batch is durable: each of its groups hears of its part.
        cdef GroupWork group
        for group_id, appends in batch:
            group = self.alone if self.alone is not None else self.find(group_id)
            if group is None:
                continue  # it has ended since
            self.outbox.group = group.id
            take_ready.written(group.raw.raft, &group.raw.writes, appends, self.outbox)
            if group.installing:
                group.look_at_snapshot()
            self.note(group)
            if collect:
                self.collect(group)
            elif PyList_GET_SIZE(self.outbox.messages):
                self.send(group.id)  # before another group's are put there: the outbox keeps no group of each
        if not collect and self.outbox.has_datagrams():
            self.queued = True
        return 0

    cdef int measure(self, object batch, double begun) except -1:
        # A write is done: those of less than a tick, which are the rule, concern nobody.
        cdef double seconds = self.now() - begun
        if seconds >= self.tick_s or self.slow:
            self.slow = self.slow_writes.took(batch, seconds)
        return 0

    # --- From and to the peers ----------------------------------------------------------------------------------

    cdef bint hear(self) except -1:
        cdef list datagrams = self.transport.receive(DATAGRAMS)
        cdef RawNode raw
        if PyList_GET_SIZE(datagrams) == 0:
            return False
        self.heard = True
        if not self.takes_part:
            return True  # for Raft this node is not there yet: see founding.py
        for datagram in datagrams:
            if self.alone is not None:
                raw = self.alone.raw
                receive_datagram(raw.raft, datagram, DATAGRAM_HEADER_SIZE, self.alone.id, &raw.refused)
            else:
                self.hand_out(datagram)
        return True

    cdef int hand_out(self, bytes datagram) except -1:
        # Each frame of a datagram goes to the core of its group.
        cdef const unsigned char* data = <const unsigned char*> PyBytes_AS_STRING(datagram)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(datagram)
        cdef Py_ssize_t at = DATAGRAM_HEADER_SIZE
        cdef Py_ssize_t end
        cdef uint64_t group_id = 0
        cdef GroupWork group
        while at < size:
            end = end_of_frame(data, size, at, &group_id)
            group = self.find(group_id)
            if group is None:
                self.strangers += 1
                at = end
                continue
            receive_frame(group.raw.raft, data, size, &at, &group.raw.refused)
            self.note(group)
        return 0

    cdef int flush(self) except -1:
        self.queued = False
        self.transport.flush()
        return 0

    cdef int collect(self, GroupWork group) except -1:
        # Takes what a core has decided: messages are queued, work for the store and the state machine noted.
        cdef Outbox outbox = self.outbox
        cdef RawNode raw = group.raw
        if group.closed:
            return 0
        if raw.raft.offers is not None and PyList_GET_SIZE(raw.raft.offers):
            group.offer()
        outbox.group = group.id
        while take_ready.collect(raw.raft, &raw.reported, &raw.writes, outbox):
            if PyList_GET_SIZE(outbox.appends):
                if (<Message> outbox.appends[0]).snapshot is not None:
                    group.install()
                group.appends += outbox.appends
                empty(outbox.appends)
            if PyList_GET_SIZE(outbox.applies):
                for entries in outbox.applies:
                    group.applying.push(entries)
                empty(outbox.applies)
            if PyList_GET_SIZE(outbox.read_states):
                for index, context in outbox.read_states:
                    group.reads.answered(index, context)
                empty(outbox.read_states)
            group.look_at_role()
        if PyList_GET_SIZE(outbox.messages):
            self.send(group.id)
        if outbox.has_datagrams():
            self.queued = True
        return 0

    cdef int send(self, uint64_t group_id) except -1:
        # What the core could not encode: the transport has lent no builder for its receiver, or none that holds it.
        cdef Message message
        cdef list messages = self.outbox.messages
        self.queued = True
        for message in messages:
            self.transport.send(message, group_id)
        empty(messages)
        return 0

    # --- Applying, and those who wait ---------------------------------------------------------------------------

    cdef int apply(self, bint awaited) except -1:
        # Applies for a slice of time, which the groups share that have something to apply: `awaited`, those in which
        # somebody waits for a result. Where it was over before all had their turn, the next time begins; for those
        # groups and for all each, as those in which somebody waits have their turn among all as well.
        cdef GroupWork group
        cdef Py_ssize_t at
        cdef Py_ssize_t count = PyList_GET_SIZE(self.noted)
        cdef Py_ssize_t sharing = 0
        cdef Py_ssize_t first = 0
        cdef double until = 0
        for group in self.noted:
            if awaited and not group.closed and group.proposals.head < PyList_GET_SIZE(group.proposals.waiting):
                group.lose()
            if self.may_apply(group, awaited):
                sharing += 1
        if not sharing:
            return 0
        if sharing > 1:
            first = self.position(self.next_awaited if awaited else self.next_of_all)
            self.set_next_to_apply(awaited, None)
            until = self.now() + self.at(first).applying.slice_seconds
        for at in range(count):
            group = self.at((first + at) % count)
            if not self.may_apply(group, awaited):
                continue
            if until and self.now() > until:
                self.set_next_to_apply(awaited, group)
                break
            group.moved = awaited
            self.apply_one(group, 1.0 / <double> sharing)
            if not awaited:
                self.collect(group)
        return 0

    cdef inline int set_next_to_apply(self, bint awaited, GroupWork group) except -1:
        if awaited:
            self.next_awaited = group
        else:
            self.next_of_all = group
        return 0

    cdef inline bint may_apply(self, GroupWork group, bint awaited) except -1:
        return (group.applying.has_pending() and not group.closed
                and (not awaited or group.proposals.head < PyList_GET_SIZE(group.proposals.waiting)))

    cdef int apply_one(self, GroupWork group, double share) except -1:
        # The core hears of Entries that are through.
        cdef Entries entries
        group.applying.begin(share)
        while True:
            try:
                entries = group.applying.run()
            except ApplyFailed as error:
                self.check_owner()
                if not group.failed(error):
                    raise
                return 0
            self.check_owner()
            if entries is None:
                return 0
            take_ready.applied(group.raw.raft, entries)
            group.publish(entries)

    cdef int resume(self) except -1:
        cdef GroupWork group
        cdef Py_ssize_t at = 0
        while at < PyList_GET_SIZE(self.noted):  # those who go on may propose in other groups
            group = self.at(at)
            at += 1
            self.resuming = True
            group.resume()
            self.resuming = False
            self.check_owner()
        return 0
