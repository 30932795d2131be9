"""The object a caller of ``propose`` waits on, and the node's list of all that are not settled.

An asyncio.Future and a Handle for each command would cost more than everything else the leader does for it. A
:class:`Proposal` is neither: it comes from a free list, takes part in asyncio's own protocol for things that can be
awaited (``_asyncio_future_blocking``, ``get_loop``, ``add_done_callback``), and the task that waits on it is resumed
straight from the pass that learned the result, without another turn of the loop.

Two rules keep that sound:

1. Callbacks are called only from :meth:`Proposals.resume`, by a pass of the driver at a moment when the core's state
   is consistent and no task is running; whoever settles a proposal elsewhere (a cancellation, ``stop``) uses
   ``call_soon``.
2. Memory is used again only once nothing refers to the object: a handle that somebody holds never becomes another.
"""
from asyncio import CancelledError, InvalidStateError
from contextvars import copy_context

cimport cython
from cpython.contextvars cimport PyContext_Enter, PyContext_Exit
from libc.stdint cimport uint64_t

from raftcore.types cimport index_t, term_t

from raftpy.errors import Timeout, TooLarge

cdef double NEVER = float("inf")
# Cancelled proposals so far, in all lists: a list that sees it grow throws its cancelled ones out at the next tick.
cdef uint64_t cancellations = 0
# Settled proposals at the front of the waiting list before it is cut: cutting each time would move all the rest.
cdef Py_ssize_t PASSED = 4096

cdef str LATE = "no answer in time: the command may or may not be committed"
cdef str LOST = "this node lost the leadership before an answer: the command may or may not be committed"
cdef str REPLACED = "another leader's entry took the command's place in the log"


@cython.final
@cython.freelist(4096)
cdef class Proposal:
    """Awaitable result of one ``propose`` (what ``apply`` returned) or ``propose_many`` (a list of that).

    Works under ``await``, ``asyncio.create_task``, ``gather``, ``shield``, ``wait_for`` and ``timeout``, from tasks of
    the node's own event loop. ``index`` and ``term`` say where in the log the (first) command stands once it has been
    appended. A result that nobody asks for is dropped without a word.
    """

    def __init__(self):
        raise TypeError("a Proposal is made by Node.propose or Node.propose_many")

    # --- asyncio's protocol -----------------------------------------------------------------------------------

    def get_loop(self):
        """The event loop of the node."""
        return self.loop

    def done(self):
        """Whether there is a result, an exception or a cancellation."""
        return self.state >= RETURNED

    def cancelled(self):
        """Whether :meth:`cancel` ended it."""
        return self.state == CANCELLED

    def result(self):
        """What ``apply`` returned; raises the error there was instead, or InvalidStateError while there is neither."""
        if self.state == RETURNED:
            return self.value
        if self.state == FAILED:
            raise self.value
        if self.state == CANCELLED:
            raise self._make_cancelled_error()
        raise InvalidStateError("the proposal has no result yet")

    def exception(self):
        """The error, or None when there is a result."""
        if self.state == RETURNED:
            return None
        if self.state == FAILED:
            return self.value
        if self.state == CANCELLED:
            raise self._make_cancelled_error()
        raise InvalidStateError("the proposal has no result yet")

    def _make_cancelled_error(self):
        return CancelledError() if self.value is None else CancelledError(self.value)

    def cancel(self, msg=None):
        """Stops waiting: False when it was over already. A command that has been appended may still be committed."""
        global cancellations
        if self.state >= RETURNED:
            return False
        cancellations += 1
        self.settle(CANCELLED, msg)
        self.wake_soon()
        return True

    def add_done_callback(self, callback, *, context=None):
        """Calls ``callback(self)`` once there is an outcome, in ``context`` (a copy of the current one by default)."""
        if context is None:
            context = copy_context()
        if self.state >= RETURNED:
            self.loop.call_soon(callback, self, context=context)
        elif self.callback is None:
            self.callback = callback
            self.context = context
        elif self.others is None:
            self.others = [(callback, context)]
        else:
            self.others.append((callback, context))

    def remove_done_callback(self, callback):
        """Takes back every registration of callback; gives their number."""
        cdef list kept = []
        cdef list pairs = [] if self.callback is None else [(self.callback, self.context)]
        if self.others is not None:
            pairs += self.others
        kept = [pair for pair in pairs if pair[0] != callback]
        self.callback = self.context = self.others = None
        if kept:
            self.callback, self.context = kept[0]
            self.others = kept[1:] or None
        return len(pairs) - len(kept)

    # --- being a coroutine, which create_task asks for, and its own iterator ------------------------------------

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        if self.state == RETURNED:
            raise StopIteration(self.value)
        if self.state >= FAILED:
            self.result()
        self._asyncio_future_blocking = True
        return self

    def send(self, value):
        """As of a coroutine: goes on to the next wait, or raises StopIteration with the result."""
        return self.__next__()

    def throw(self, kind, value=None, traceback=None):
        """As of a coroutine: raises at the wait."""
        if isinstance(kind, BaseException):
            raise kind
        raise (kind() if value is None else value if isinstance(value, BaseException) else kind(value))

    def close(self):
        """As of a coroutine: nothing to clean up."""

    def __repr__(self):
        cdef str state = ("queued", "appended", "returned", "failed", "cancelled")[self.state]
        cdef str place = f" at {self.term}/{self.index}" if self.index else ""
        return f"<Proposal {state}{place}, {self.count} commands>"

    # --- for the driver -----------------------------------------------------------------------------------------

    cdef void settle(self, ProposalState state, object value) noexcept:
        self.state = state
        self.value = value

    cdef int wake(self) except -1:
        # Calls the callbacks here and now. Rule 1 of the module.
        cdef object callback = self.callback
        cdef object context = self.context
        cdef list others = self.others
        if callback is None:
            return 0
        self.callback = self.context = self.others = None
        self.call(callback, context)
        if others is not None:
            for callback, context in others:
                self.call(callback, context)
        return 0

    cdef int call(self, object callback, object context) except -1:
        try:
            PyContext_Enter(context)
        except RuntimeError:  # somebody up the stack runs in this very context
            self.loop.call_soon(callback, self, context=context)
            return 0
        try:
            callback(self)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            self.loop.call_exception_handler(
                {"message": f"callback of {self!r} failed", "exception": error, "callback": callback}
            )
        finally:
            PyContext_Exit(context)
        return 0

    cdef int wake_soon(self) except -1:
        # The same by way of the loop, for when a task may be running.
        if self.callback is not None:
            self.loop.call_soon(self.callback, self, context=self.context)
            if self.others is not None:
                for callback, context in self.others:
                    self.loop.call_soon(callback, self, context=context)
            self.callback = self.context = self.others = None
        return 0


cdef Proposal new_proposal(object loop, double timeout):
    cdef Proposal out = Proposal.__new__(Proposal)
    out.loop = loop
    out.deadline = timeout
    out.count = 1
    return out


cdef double checked_timeout(object timeout) except? -2.0:
    # Seconds, or -1 for None: wait for ever.
    if timeout is None:
        return -1.0
    cdef double seconds = timeout
    if not seconds >= 0.0:
        raise ValueError(f"timeout must be None or at least 0 seconds, got {timeout!r}")
    return seconds


cdef bytes checked_command(object command):
    if type(command) is bytes:
        return <bytes> command
    if isinstance(command, (bytes, bytearray, memoryview)):
        return bytes(command)
    raise TypeError(f"a command must be bytes, bytearray or memoryview, got {type(command).__name__}")


@cython.final
cdef class Proposals:
    """All proposals of one node that are not settled. ``propose`` and ``propose_many`` are for callers, the rest for
    the driver, which asks in this order on each pass: :meth:`take`, then :meth:`appended` or :meth:`refused`."""

    def __init__(self, loop, schedule, Py_ssize_t max_command):
        self.loop = loop
        self.schedule = schedule
        self.max_command = max_command
        self.queued = []
        self.commands = []
        self.taken = []
        self.waiting = []
        self.settled = []
        self.next_deadline = NEVER

    def propose(self, command, timeout=5.0):
        """Queues one command; the Proposal to wait on. ``timeout`` in seconds, None for ever."""
        cdef Proposal proposal = new_proposal(self.loop, checked_timeout(timeout))
        cdef bytes checked = checked_command(command)
        if len(checked) > self.max_command:
            proposal.settle(FAILED, TooLarge(len(checked), self.max_command))
        elif self.stopped is not None:
            proposal.settle(FAILED, self.stopped())
        else:
            self.commands.append(checked)
            self.queue(proposal)
        return proposal

    def propose_many(self, commands, timeout=5.0):
        """Queues commands that follow one another in the log; one Proposal for all, its result a list."""
        cdef Proposal proposal = new_proposal(self.loop, checked_timeout(timeout))
        cdef list checked = [checked_command(command) for command in commands]
        proposal.many = True
        proposal.count = len(checked)
        for command in checked:
            if len(<bytes> command) > self.max_command:
                proposal.settle(FAILED, TooLarge(len(command), self.max_command))
                return proposal
        if self.stopped is not None:
            proposal.settle(FAILED, self.stopped())
        elif not checked:
            proposal.settle(RETURNED, [])
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
    def has_queued(self):
        """Whether there is something to take."""
        return len(self.queued) > 0

    @property
    def has_waiting(self):
        """Whether a proposal that is in the log is not settled."""
        return self.head < len(self.waiting)

    @property
    def has_settled(self):
        """Whether :meth:`resume` has anything to do."""
        return len(self.settled) > 0

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
            proposal.term = term
            proposal.state = APPENDED
            first += proposal.count
            if proposal.many:
                proposal.value = []
            if proposal.deadline >= 0:
                proposal.deadline += now
                if proposal.deadline < self.next_deadline:
                    self.next_deadline = proposal.deadline
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
            proposal.settle(FAILED, error())
        self.settled += self.taken
        self.taken = []

    def lose(self, index_t commit_index):
        """This node no longer leads under the term it appended with: what is not committed by now may never be.

        A proposal up to ``commit_index`` still waits: its entry is about to be applied, or another in its place.
        """
        cdef Proposal proposal
        cdef list kept = []
        for proposal in self.waiting[self.head:]:
            if proposal.state != APPENDED:
                continue
            if proposal.index + proposal.count - 1 <= commit_index:
                kept.append(proposal)
            else:
                self.give_up(proposal, LOST)
        self.waiting = kept
        self.head = 0

    def expire(self, double now):
        """Ends the waits whose time is up at ``now`` and forgets the cancelled ones. Cheap when there are none."""
        cdef Proposal proposal
        cdef list kept
        if now < self.next_deadline and self.cancellations == cancellations:
            return
        kept = []
        self.cancellations = cancellations
        self.next_deadline = NEVER
        for proposal in self.waiting[self.head:]:
            if proposal.state != APPENDED:
                continue
            if 0 <= proposal.deadline <= now:
                self.give_up(proposal, LATE)
                continue
            if 0 <= proposal.deadline < self.next_deadline:
                self.next_deadline = proposal.deadline
            kept.append(proposal)
        self.waiting = kept
        self.head = 0

    def stop(self, error):
        """Every proposal there is and every later one raises what ``error()`` makes. Call :meth:`resume_soon` then."""
        cdef Proposal proposal
        self.stopped = error
        for proposal in self.taken + self.queued + self.waiting[self.head:]:
            if proposal.state < RETURNED:
                proposal.settle(FAILED, error())
                self.settled.append(proposal)
        self.taken = []
        self.queued = []
        self.commands = []
        self.waiting = []
        self.head = 0

    def resume(self):
        """Calls the callbacks of everything settled since, here and now; see rule 1 above. Gives their number."""
        cdef list settled
        cdef Py_ssize_t at = 0
        cdef Py_ssize_t count = 0
        while self.settled:
            settled = self.settled
            self.settled = []
            try:
                for at in range(len(settled)):
                    (<Proposal> settled[at]).wake()
            except BaseException:  # KeyboardInterrupt and SystemExit come through: nobody else may lose a wake-up
                for proposal in settled[at + 1:]:
                    (<Proposal> proposal).wake_soon()
                raise
            count += len(settled)
        return count

    def resume_soon(self):
        """The same by way of the loop, for callers that are tasks themselves."""
        cdef Proposal proposal
        cdef list settled = self.settled
        self.settled = []
        for proposal in settled:
            proposal.wake_soon()

    # --- for Applying -------------------------------------------------------------------------------------------

    cdef Proposal expect(self, index_t index, term_t term):
        # The proposal that waits for the entry at index, which was committed under term; None when nobody does.
        cdef Proposal proposal
        while self.head < len(self.waiting):
            proposal = <Proposal> self.waiting[self.head]
            if proposal.state == APPENDED:
                if proposal.index > index:
                    return None
                if proposal.term == term:
                    return proposal
                self.give_up(proposal, REPLACED)
            self.head += 1
        return None

    cdef int deliver(self, Proposal proposal, object value, bint failed) except -1:
        # What apply made of the next entry of this proposal, the one that expect gave.
        if not proposal.many:
            proposal.settle(FAILED if failed else RETURNED, value)
            self.settled.append(proposal)
            self.head += 1
            return 0
        (<list> proposal.value).append(value)
        if <uint64_t> len(<list> proposal.value) == proposal.count:
            proposal.state = RETURNED
            self.settled.append(proposal)
            self.head += 1
        return 0

    cdef int deliver_run(self, Proposal proposal, list results, Py_ssize_t lo, Py_ssize_t hi) except -1:
        # The same for the next hi - lo entries of a propose_many.
        cdef list values = <list> proposal.value
        values += results if lo == 0 and hi == len(results) else results[lo:hi]
        if <uint64_t> len(values) == proposal.count:
            proposal.state = RETURNED
            self.settled.append(proposal)
            self.head += 1
        return 0

    cdef int drop_passed(self) except -1:
        # Lets go of the settled ones at the front.
        if self.head == len(self.waiting):
            self.waiting = []
        elif self.head >= PASSED:
            del self.waiting[:self.head]
        else:
            return 0
        self.head = 0
        return 0

    cdef int give_up(self, Proposal proposal, str text) except -1:
        proposal.settle(FAILED, Timeout(text))
        self.settled.append(proposal)
        return 0
