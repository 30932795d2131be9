"""What a caller of ``propose`` or ``propose_many`` waits on, and the node's list of all that have no outcome yet.

Waiting, being resumed and the timeouts are in awaited.pyx.
"""
cimport cython
from libc.stdint cimport uint64_t

from raftcore.base.types cimport index_t, term_t

from raftpy.contracts.errors import TooLarge

from raftpy.runtime.awaited import DEFAULT_TIMEOUT

from raftpy.runtime.awaited cimport FAILED, QUEUED, RETURNED, TAKEN, Awaited, Waits, checked_timeout

# Places at the front of the waiting list that are passed before it is cut: cutting each time would move all the rest.
cdef Py_ssize_t PASSED = 4096

cdef str LATE = "no answer in time: the command may or may not be committed"
cdef str LOST = "this node lost the leadership before an answer: the command may or may not be committed"
cdef str REPLACED = "another leader's entry took the command's place in the log"


@cython.final
cdef class Proposal(Awaited):
    """Awaitable result of one ``propose`` (what ``apply`` returned) or ``propose_many`` (a list of that).

    Works under ``await``, ``asyncio.create_task``, ``gather``, ``shield``, ``wait_for`` and ``timeout``, from tasks of
    the node's own event loop. ``index`` and ``term`` say where in the log the (first) command stands once it has been
    appended. A result that nobody asks for is dropped without a word. Cancelling it ends the wait only: a command that
    has been appended may still be committed. Only the node makes one: the class raises TypeError when it is called.
    """

    def __init__(self):
        raise TypeError("a Proposal is made by Node.propose or Node.propose_many")

    @property
    def term(self):
        """The term under which the (first) command was appended, 0 until then."""
        return self.entry_term

    def __repr__(self):
        cdef str state = ("queued", "appended", "returned", "failed", "cancelled")[self.state]
        cdef str place = f" at {self.entry_term}/{self.index}" if self.index else ""
        return f"<Proposal {state}{place}, {self.count} commands>"


cdef Proposal new_proposal(object loop, double timeout):
    cdef Proposal out = Proposal.__new__(Proposal)
    out.loop = loop
    out.timeout = timeout
    out.count = 1
    return out


cdef bytes checked_command(object command):
    if type(command) is bytes:
        return <bytes> command
    if isinstance(command, (bytes, bytearray, memoryview)):
        return bytes(command)
    raise TypeError(f"a command must be bytes, bytearray or memoryview, got {type(command).__name__}")


@cython.final
cdef class Proposals(Waits):
    """All proposals of one node that have no outcome yet.

    ``propose`` and ``propose_many`` are for callers, the rest for the driver, which asks in this order on each pass:
    :meth:`take`, then :meth:`appended` or :meth:`refused`. ``max_command``: bytes in the largest command.
    ``scheduled``: a pass is running, or on its way.
    """

    def __init__(self, loop, schedule, Py_ssize_t max_command):
        Waits.__init__(self, loop, schedule)
        self.max_command = max_command
        self.queued = []
        self.commands = []
        self.taken = []
        self.waiting = []

    cpdef Proposal propose(self, object command, object timeout=DEFAULT_TIMEOUT):
        """Queues one command; the Proposal to wait on. ``timeout`` in seconds, None for ever."""
        cdef Proposal proposal = new_proposal(self.loop, checked_timeout(timeout))
        cdef bytes checked = checked_command(command)
        if len(checked) > self.max_command:
            proposal.finish(FAILED, TooLarge(len(checked), self.max_command))
        elif self.stopped is not None:
            proposal.finish(FAILED, self.stopped())
        else:
            self.commands.append(checked)
            self.queue(proposal)
        return proposal

    cpdef Proposal propose_many(self, object commands, object timeout=DEFAULT_TIMEOUT):
        """Queues commands that follow one another in the log; one Proposal for all, its result a list."""
        cdef Proposal proposal = new_proposal(self.loop, checked_timeout(timeout))
        cdef list checked = [checked_command(command) for command in commands]
        proposal.many = True
        proposal.count = len(checked)
        for command in checked:
            if len(<bytes> command) > self.max_command:
                proposal.finish(FAILED, TooLarge(len(command), self.max_command))
                return proposal
        if self.stopped is not None:
            proposal.finish(FAILED, self.stopped())
        elif not checked:
            proposal.finish(RETURNED, [])
        else:
            self.commands.extend(checked)
            self.queue(proposal)
        return proposal

    cdef int queue(self, Proposal proposal) except -1:
        self.queued.append(proposal)
        if not self.scheduled:
            self.scheduled = True
            self.schedule()
        return 0

    @property
    def has_waiting(self):
        """Whether a proposal that is in the log has no outcome yet."""
        return self.head < len(self.waiting)

    def __len__(self):
        return len(self.queued) + len(self.waiting) - self.head

    def take(self):
        """The commands to append now, in order, perhaps none. Then call :meth:`appended` or :meth:`refused`."""
        cdef list commands = self.commands
        cdef Proposal proposal
        cdef bint withdrawn = False
        self.taken = self.queued
        self.queued = []
        self.commands = []
        for proposal in self.taken:
            if proposal.state != QUEUED:
                withdrawn = True
        return self.without_withdrawn(commands) if withdrawn else commands

    cdef list without_withdrawn(self, list commands):
        # Cancelled before anything was appended: these leave no trace in the log.
        cdef list kept = []
        cdef list kept_commands = []
        cdef Proposal proposal
        cdef uint64_t at = 0
        for proposal in self.taken:
            if proposal.state == QUEUED:
                kept.append(proposal)
                kept_commands += commands[at:at + proposal.count]
            at += proposal.count
        self.taken = kept
        return kept_commands

    def appended(self, index_t first, term_t term, double now):
        """The commands taken stand in the log from ``first`` on, under ``term``; their timeouts begin at ``now``."""
        cdef Proposal proposal
        for proposal in self.taken:
            proposal.index = first
            proposal.entry_term = term
            first += proposal.count
            if proposal.state != QUEUED:
                continue  # cancelled since it was taken, by a signal
            if proposal.many:
                proposal.value = []
            self.mark_taken(proposal, now)
        self.drop_passed()
        if self.waiting:
            self.waiting += self.taken
        else:
            self.waiting = self.taken
        self.taken = []

    def refused(self, error):
        """The commands taken were not appended: each of their proposals raises what ``error()`` makes."""
        cdef Proposal proposal
        for proposal in self.taken:
            if proposal.state == QUEUED:
                proposal.finish(FAILED, error())
                self.finished.append(proposal)
        self.taken = []

    def lose(self, index_t commit_index):
        """This node no longer leads under the term it appended with: what is not committed by now may never be.

        A proposal up to ``commit_index`` still waits: its entry is about to be applied, or another in its place.
        """
        cdef Proposal proposal
        cdef list kept = []
        for proposal in self.waiting[self.head:]:
            if proposal.state != TAKEN:
                continue
            if proposal.index + proposal.count - 1 <= commit_index:
                kept.append(proposal)
            else:
                self.give_up(proposal, LOST)
        self.waiting = kept
        self.head = 0

    cpdef int expire(self, double now) except -1:
        """Ends the waits whose time is up at ``now`` and forgets the cancelled ones. Cheap when there are none."""
        if self.sweep_is_due(now):
            self.waiting = self.swept(self.waiting[self.head:], now)
            self.head = 0
        return 0

    def refuse(self, error):
        """Every later proposal raises what ``error()`` makes, until this is called with None; those there are go on."""
        self.stopped = error

    def limit(self, Py_ssize_t max_command):
        """Commands of more bytes are refused from now on; those queued already stay."""
        self.max_command = max_command

    def stop(self, error):
        """Every proposal there is and every later one raises what ``error()`` makes. Call :meth:`resume_soon` then."""
        self.stopped = error
        self.fail(self.taken + self.queued + self.waiting[self.head:], error)
        self.taken = []
        self.queued = []
        self.commands = []
        self.waiting = []
        self.head = 0

    # --- for Applying -------------------------------------------------------------------------------------------

    cdef Proposal expect(self, index_t index, term_t term):
        # The proposal that waits for the entry at index, which was committed under term; None when nobody does.
        cdef Proposal proposal
        while self.head < len(self.waiting):
            proposal = <Proposal> self.waiting[self.head]
            if proposal.state == TAKEN:
                if proposal.index > index:
                    return None
                if proposal.entry_term == term:
                    return proposal
                self.give_up(proposal, REPLACED)
            let_go_of_first(self)
        return None

    cdef int deliver(self, Proposal proposal, object value, bint failed) except -1:
        # What apply made of the next entry of this proposal, the one that expect gave.
        if not proposal.many:
            proposal.finish(FAILED if failed else RETURNED, value)
            self.finished.append(proposal)
            let_go_of_first(self)
            return 0
        (<list> proposal.value).append(value)
        if <uint64_t> len(<list> proposal.value) == proposal.count:
            proposal.state = RETURNED
            self.finished.append(proposal)
            let_go_of_first(self)
        return 0

    cdef int deliver_run(self, Proposal proposal, list results, Py_ssize_t lo, Py_ssize_t hi) except -1:
        # The same for the next hi - lo entries of a propose_many.
        cdef list values = <list> proposal.value
        values += results if lo == 0 and hi == len(results) else results[lo:hi]
        if <uint64_t> len(values) == proposal.count:
            proposal.state = RETURNED
            self.finished.append(proposal)
            let_go_of_first(self)
        return 0

    cdef int drop_passed(self) except -1:
        # Cuts off the places at the front that are passed.
        if self.head == len(self.waiting):
            self.waiting = []
        elif self.head >= PASSED:
            del self.waiting[:self.head]
        else:
            return 0
        self.head = 0
        return 0

    cdef str late(self, Awaited awaited):
        return LATE


cdef int let_go_of_first(Proposals proposals) except -1:
    # The first that waits has its outcome. Its place is passed, and empty: a caller who always has some on their way
    # would otherwise keep the results of the last PASSED calls, and all of them would be freed in one step of the loop.
    proposals.waiting[proposals.head] = None
    proposals.head += 1
    return 0
