"""Applying: committed entries -> state machine -> results -> proposals.

    Committed Entries wait in order; the ones at the front are handed over one by one until all are done or the slice of
    time is up. Only Entries applied to their end are given back, for the core to be told.

New leaders' empty entries and configuration changes are not shown to the state machine. ``ApplyError`` is a result;
anything else that ``apply`` raises leaves the state machine in a state no other replica has, so the node stops before
it acknowledges anything that follows (decision 10).
"""
from collections import deque

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from raftcore.base.types cimport EntryNoop, EntryNormal, index_t
from raftcore.values.block cimport (
    BLOCK_HEADER_SIZE, LENGTH_SIZE, block_size, load32, payload_span, read_block_header,
)
from raftcore.values.message cimport Entries

from raftpy.contracts.errors import ApplyError, ApplyFailed

from raftpy.runtime.commands cimport make_commands
from raftpy.runtime.pending_proposals cimport Proposal, Proposals

# Entries between two looks at the clock, at most: reading it costs about as much as a small apply. Cheap entries are no
# promise for the next: so many may pass before a look, and fewer where other groups wait for their turn.
cdef Py_ssize_t LONGEST_STRIDE = 256
cdef Py_ssize_t FIRST_STRIDE = 64
cdef Py_ssize_t LONGEST_SHARED_STRIDE = 8
cdef Py_ssize_t LONGEST_SHARED_BATCH = 64
# Sequences whose items are there, or made without fail: where nobody waits for a result none is asked for. After a
# restart that is millions.
cdef tuple COUNTED = (range, tuple)


cdef inline bint makes_on_demand(kind) except -1:
    return kind in COUNTED or getattr(kind, "never_fails", False) is True


@cython.final
cdef class Applying:
    """The queue of committed entries of one group in front of its state machine.

    ``configure(index, kind, data)`` is called for configuration entries. ``applied`` is the index the state machine
    already has. ``slice_seconds`` is how long :meth:`run` may keep the loop. ``shared``: other groups wait meanwhile.
    Commands up to ``known`` the state machine has from before, and is not given.

    Attributes: ``applied`` is the index of the last entry that was handed over, ``applied_bytes`` how many bytes the
    entries that are applied to their end take in the log; ``held``: nothing is applied now (:meth:`hold`).
    """

    def __init__(self, state_machine, Proposals proposals, configure, monotonic, index_t applied=0,
                 double slice_seconds=0.004, bint shared=False, index_t known=0):
        self.apply_one = state_machine.apply
        self.apply_batch = getattr(state_machine, "apply_batch", None)
        self.proposals = proposals
        self.configure = configure
        self.monotonic = monotonic
        self.applied = applied
        self.known = known
        self.slice_seconds = slice_seconds
        self.longest_stride = LONGEST_STRIDE
        if shared:
            self.longest_stride = LONGEST_SHARED_STRIDE if self.apply_batch is None else LONGEST_SHARED_BATCH
        self.stride = min(FIRST_STRIDE, self.longest_stride)
        self.over = True
        self.queue = deque()

    @property
    def pending(self):
        """Whether :meth:`run` has anything left to do."""
        return self.has_pending()

    cdef bint has_pending(self) except -1:
        return not self.held and (self.entries is not None or len(self.queue) > 0)

    def hold(self):
        """Nothing is applied from now on, until :meth:`replaced`: the state machine is going to be restored."""
        self.held = True

    def replaced(self, index_t index):
        """The state machine has been restored as of ``index``. The entries up to there that were waiting, which are
        never applied: the core is to be told of each. Those behind it are applied as before."""
        cdef list covered = [] if self.entries is None else [self.entries]
        self.entries = None
        while self.queue and (<Entries> self.queue[0]).first <= index:
            covered.append(self.queue.popleft())
        self.applied = index
        self.held = False
        return covered

    def push(self, Entries entries not None):
        """Queues committed entries, which follow those pushed before."""
        self.queue.append(entries)

    cpdef int begin(self, double share=1.0) except -1:
        """Starts a slice of time, or so much of one."""
        self.looked = self.monotonic()
        self.until = self.looked + share * self.slice_seconds
        self.unlooked = 0
        self.over = False
        return 0

    def run(self):
        """Applies until Entries are done, and returns them; None when nothing is left or the slice is over.

        Raises ``ApplyFailed`` when the state machine raised anything but ``ApplyError``.
        """
        cdef Entries done
        cdef uint64_t count
        if self.held or (self.entries is None and not self.next_entries()):
            return None
        while self.position < self.entries.count:
            if self.over:
                return None
            count = self.next_run(min(self.entries.count - self.position, <uint64_t> (self.stride - self.unlooked)))
            if self.cursor.header.kind == <uint32_t> EntryNormal:
                if self.applied < self.known:
                    count = self.pass_over(count)
                elif self.apply_batch is None:
                    self.run_singles(count)
                else:
                    self.run_batch(count)
            else:
                self.run_others(count)
            self.unlooked += <Py_ssize_t> count
            if self.unlooked >= self.stride:
                self.look()
        self.proposals.drop_passed()
        done = self.entries
        self.applied_bytes += <uint64_t> PyBytes_GET_SIZE(done.data)
        self.entries = None
        return done

    cdef bint next_entries(self) except -1:
        if not self.queue:
            return False
        self.entries = self.queue.popleft()
        self.position = 0
        self.cursor.block = <const uint8_t*> PyBytes_AS_STRING(self.entries.data)
        self.cursor.start = 0
        read_block_header(self.cursor.block, &self.cursor.header)
        return True

    cdef int look(self) except -1:
        # At the clock; and adapts how often, so that neither a slow apply overruns the slice by much nor a fast one
        # pays for the clock.
        cdef double now = self.monotonic()
        cdef double took = now - self.looked
        if took > self.slice_seconds / 8:
            # As far back as the slice was overrun, at least by half.
            self.stride = max(1, min(self.stride // 2, <Py_ssize_t> (self.stride * self.slice_seconds / (8 * took))))
        elif took < self.slice_seconds / 32:
            self.stride = min(self.longest_stride, self.stride * 2)
        self.looked = now
        self.unlooked = 0
        self.over = now >= self.until
        return 0

    cdef void next_block(self) noexcept:
        self.cursor.block += block_size(&self.cursor.header)
        self.cursor.start += self.cursor.header.count
        read_block_header(self.cursor.block, &self.cursor.header)

    cdef uint64_t next_run(self, uint64_t limit) noexcept:
        # How many entries from position on are of one kind, at most limit (which lies within the entries).
        cdef Cursor ahead
        cdef uint64_t end
        if self.position >= self.cursor.start + self.cursor.header.count:
            self.next_block()
        ahead = self.cursor
        end = ahead.start + ahead.header.count
        while end - self.position < limit:
            ahead.block += block_size(&ahead.header)
            read_block_header(ahead.block, &ahead.header)
            if ahead.header.kind != self.cursor.header.kind:
                return end - self.position
            end += ahead.header.count
        return limit

    cdef uint64_t pass_over(self, uint64_t count) noexcept:
        # Commands that the state machine has from before: how many of them there are.
        count = min(count, <uint64_t> (self.known - self.applied))
        self.applied = self.entries.first + self.position + count - 1
        self.position += count
        while self.position > self.cursor.start + self.cursor.header.count:
            self.next_block()
        return count

    cdef int run_singles(self, uint64_t count) except -1:
        # apply, once for each entry.
        cdef object apply_one = self.apply_one
        cdef Proposals proposals = self.proposals
        cdef Proposal proposal
        cdef bint failed
        cdef index_t index = self.entries.first + self.position
        cdef uint32_t entry = <uint32_t> (self.position - self.cursor.start)
        cdef const uint8_t* lengths = self.cursor.block + BLOCK_HEADER_SIZE
        cdef const uint8_t* payload = (lengths + LENGTH_SIZE * <uint64_t> self.cursor.header.count
                                       + payload_span(self.cursor.block, 0, entry))
        cdef uint32_t length
        while count:
            if entry == self.cursor.header.count:
                self.next_block()
                entry = 0
                lengths = self.cursor.block + BLOCK_HEADER_SIZE
                payload = lengths + LENGTH_SIZE * <uint64_t> self.cursor.header.count
            length = load32(lengths + LENGTH_SIZE * <uint64_t> entry)
            command = PyBytes_FromStringAndSize(<const char*> payload, length)
            try:
                failed = False
                value = apply_one(index, command)
            except ApplyError as error:
                failed = True
                value = error
            except BaseException as error:
                raise ApplyFailed(index) from error
            self.position += 1
            self.applied = index
            proposal = proposals.expect(index, self.cursor.header.term)
            if proposal is not None:
                proposals.deliver(proposal, value, failed)
            payload += length
            entry += 1
            index += 1
            count -= 1
        return 0

    cdef int run_batch(self, uint64_t count) except -1:
        # apply_batch, once for all of them.
        cdef index_t first = self.entries.first + self.position
        cdef object given
        try:
            given = self.apply_batch(first, make_commands(self.entries, self.position, count))
            if type(given) is not list and (self.proposals.has_waiting or not makes_on_demand(type(given))):
                given = list(given)
        except BaseException as error:
            raise ApplyFailed(first, first + count - 1) from error
        if <uint64_t> len(given) != count:
            raise ApplyFailed(first, first + count - 1) from ValueError(
                f"apply_batch must return one result for each of its {count} commands, got {len(given)}"
            )
        self.deliver_batch(<list> given if type(given) is list else None, <Py_ssize_t> count)
        return 0

    cdef int deliver_batch(self, list results, Py_ssize_t count) except -1:
        # Results of so many entries from position on; None: nobody waits for any of them.
        cdef Proposals proposals = self.proposals
        cdef Proposal proposal
        cdef Py_ssize_t at = 0
        cdef Py_ssize_t run
        cdef index_t index = self.entries.first + self.position
        while at < count:
            if self.position == self.cursor.start + self.cursor.header.count:
                self.next_block()
            proposal = proposals.expect(index, self.cursor.header.term)
            run = 1
            if proposal is None:
                if not proposals.has_waiting:
                    run = count - at  # nobody waits for any of the rest
            elif proposal.many:
                run = min(count - at, <Py_ssize_t> (proposal.index + proposal.count - index))
                run = min(run, <Py_ssize_t> (self.cursor.start + self.cursor.header.count - self.position))
                proposals.deliver_run(proposal, results, at, at + run)
            else:
                value = results[at]
                proposals.deliver(proposal, value, isinstance(value, ApplyError))
            at += run
            index += run
            self.position += run
            while self.position > self.cursor.start + self.cursor.header.count:
                self.next_block()
        self.applied = index - 1
        return 0

    cdef int run_others(self, uint64_t count) except -1:
        # A new leader's empty entry says nothing to the state machine; a configuration goes to the core.
        cdef const uint8_t* at
        cdef uint32_t length
        while count:
            if self.cursor.header.kind != <uint32_t> EntryNoop:
                length = self.entries.payload_at(self.position, &at)
                self.configure(self.entries.first + self.position, <int> self.cursor.header.kind,
                               PyBytes_FromStringAndSize(<const char*> at, length))
            self.applied = self.entries.first + self.position
            self.position += 1
            count -= 1
            if count and self.position == self.cursor.start + self.cursor.header.count:
                self.next_block()
        return 0
