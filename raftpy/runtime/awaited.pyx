"""What a task waits on until a pass of the driver has finished it.

An asyncio.Future and a Handle for each call would cost more than everything else the leader does for it. An
:class:`Awaited` is neither: it comes from a free list, takes part in asyncio's own protocol for things that can be
awaited (``_asyncio_future_blocking``, ``get_loop``, ``add_done_callback``), and the task that waits on it is resumed
straight from the pass that learned the result, without another turn of the loop.

Two rules keep that sound:

1. Callbacks are called only from :meth:`Waits.resume`, by a pass of the driver at a moment when the core's state
   is consistent and no task is running; whoever finishes one elsewhere (a cancellation, ``stop``) uses ``call_soon``.
2. Memory is used again only once nothing refers to the object: a handle that somebody holds never becomes another.
"""
from asyncio import CancelledError, InvalidStateError, Task
from contextvars import copy_context

cimport cython
from cpython.contextvars cimport PyContext_Enter, PyContext_Exit
from cpython.exc cimport PyErr_SetObject
from libc.math cimport INFINITY
from libc.stdint cimport uint64_t

from raftpy.contracts.errors import Timeout

cdef extern from "Python.h":
    bint PyCFunction_CheckExact(object callback)
    void* PyCFunction_GetFunction(object callback) except NULL

# Seconds that a call of a node waits for its result unless it says otherwise; a request of the HTTP server as well.
DEFAULT_TIMEOUT = 5.0

# asyncio's function that lets a task go on, NULL until it was seen.
cdef void* task_wakeup = NULL
# Cancelled so far, in all lists: a list that sees it grow throws its cancelled ones out at the next tick.
cdef uint64_t cancellations = 0


@cython.freelist(4096)
cdef class Awaited:
    """The result of one call, to come. Subclasses add no fields: they share the free list. Only the node makes one: the
    class raises TypeError when it is called.

    Works under ``await``, ``asyncio.create_task``, ``gather``, ``shield``, ``wait_for`` and ``timeout``, from tasks of
    the node's own event loop. A result that nobody asks for is dropped without a word. ``index``: of the first command,
    or the read index; 0 until it is known.
    """

    def __init__(self):
        raise TypeError("made by the node only")

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
        """The result; raises the error there was instead, or InvalidStateError while there is neither."""
        if self.state == RETURNED:
            return self.value
        if self.state == FAILED:
            raise self.value
        if self.state == CANCELLED:
            raise self._make_cancelled_error()
        raise InvalidStateError("there is no result yet")

    def exception(self):
        """The error, or None when there is a result."""
        if self.state == RETURNED:
            return None
        if self.state == FAILED:
            return self.value
        if self.state == CANCELLED:
            raise self._make_cancelled_error()
        raise InvalidStateError("there is no result yet")

    @property
    def _cancel_message(self):
        """What :meth:`cancel` was given; ``gather`` asks for it."""
        return self.value if self.state == CANCELLED else None

    def _make_cancelled_error(self):
        return CancelledError() if self.value is None else CancelledError(self.value)

    def cancel(self, msg=None):
        """Stops waiting: False when it was over already."""
        global cancellations
        if self.state >= RETURNED:
            return False
        cancellations += 1
        self.finish(CANCELLED, msg)
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
            # As raise StopIteration(value), but Cython would make a frame for its traceback; a raise without a value
            # in __next__ only returns, and leaves the exception that is set.
            end = self.value
            if isinstance(end, (tuple, BaseException)):  # would be taken for the arguments, or the exception itself
                end = StopIteration(end)
            PyErr_SetObject(StopIteration, end)
            raise StopIteration
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

    # --- for the driver -----------------------------------------------------------------------------------------

    cdef void finish(self, AwaitedState state, object value) noexcept:
        self.state = state
        self.value = value

    cdef int wake(self, object done) except -1:
        # Calls the callbacks here and now. Rule 1 of the module. A task that may go on is told so by done.
        cdef object callback = self.callback
        cdef object context = self.context
        cdef list others = self.others
        if callback is None:
            return 0
        self.callback = self.context = self.others = None
        if others is None:
            return self.call(callback, context, done)
        others.insert(0, (callback, context))
        while others:
            callback, context = others.pop(0)
            try:
                self.call(callback, context, done)
            except BaseException:  # KeyboardInterrupt and SystemExit come through: nobody else may lose a wake-up
                for callback, context in others:
                    self.loop.call_soon(callback, self, context=context)
                raise
        return 0

    cdef int call(self, object callback, object context, object done) except -1:
        try:
            PyContext_Enter(context)
        except RuntimeError:  # somebody up the stack runs in this very context
            self.loop.call_soon(callback, self, context=context)
            return 0
        try:
            callback(done if self.state == RETURNED and is_wakeup(callback) else self)
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


cdef bint is_wakeup(object callback) except -1:
    # Whether this is asyncio's own way to let a task go on. It asks what it is called with for a result, only to see
    # whether there is an error to throw: a Future directly, anything else by the name of the method, which would be a
    # sixth of all that a read costs. So where there is no error it is called with a Future that is done.
    global task_wakeup
    if not PyCFunction_CheckExact(callback):
        return False
    if task_wakeup == NULL and callback.__name__ == "task_wakeup" and type(callback.__self__) is Task:
        task_wakeup = PyCFunction_GetFunction(callback)
    return PyCFunction_GetFunction(callback) == task_wakeup


cdef double checked_timeout(object timeout) except? -1.0:
    # Seconds, infinite for None: wait for ever.
    if timeout is None:
        return INFINITY
    cdef double seconds = timeout
    if not seconds >= 0.0:
        raise ValueError(f"timeout must be None or at least 0 seconds, got {timeout!r}")
    return seconds


cdef class Waits:
    """All calls of one kind that have no outcome yet, and those that have one while their tasks have not been resumed.

    ``schedule()`` asks for a pass. ``next_deadline``: nobody who was taken up is late before that reading of the clock.
    """

    def __init__(self, loop, schedule):
        self.loop = loop
        self.schedule = schedule
        self.finished = []
        self.next_deadline = INFINITY
        self.done = loop.create_future()
        self.done.set_result(None)

    @property
    def has_finished(self):
        """Whether :meth:`resume` has anything to do."""
        return len(self.finished) > 0

    def resume(self):
        """Calls the callbacks of all that has finished since, here and now; see rule 1 above. Gives their number."""
        cdef list finished
        cdef Py_ssize_t at = 0
        cdef Py_ssize_t count = 0
        while self.finished:
            finished = self.finished
            self.finished = []
            try:
                for at in range(len(finished)):
                    (<Awaited> finished[at]).wake(self.done)
            except BaseException:  # KeyboardInterrupt and SystemExit come through: nobody else may lose a wake-up
                for awaited in finished[at + 1:]:
                    (<Awaited> awaited).wake_soon()
                raise
            count += len(finished)
        return count

    def resume_soon(self):
        """The same by way of the loop, for callers that are tasks themselves."""
        cdef Awaited awaited
        cdef list finished = self.finished
        self.finished = []
        for awaited in finished:
            awaited.wake_soon()

    # --- for subclasses -----------------------------------------------------------------------------------------

    cdef void mark_taken(self, Awaited awaited, double now) noexcept:
        # Its timeout begins.
        awaited.state = TAKEN
        awaited.deadline = now + awaited.timeout
        if awaited.deadline < self.next_deadline:
            self.next_deadline = awaited.deadline

    cdef bint sweep_is_due(self, double now) noexcept:
        # Whether somebody is late or was cancelled. If so, next_deadline is made anew by passing all to swept.
        if now < self.next_deadline and self.cancellations == cancellations:
            return False
        self.cancellations = cancellations
        self.next_deadline = INFINITY
        return True

    cdef list swept(self, list waiting, double now):
        # Those of waiting who go on waiting; the wait of the late ones ends.
        cdef Awaited awaited
        cdef list kept = []
        for awaited in waiting:
            if awaited.state >= RETURNED:
                continue
            if awaited.state == TAKEN:
                if awaited.deadline <= now:
                    self.give_up(awaited, self.late(awaited))
                    continue
                if awaited.deadline < self.next_deadline:
                    self.next_deadline = awaited.deadline
            kept.append(awaited)
        return kept

    cdef str late(self, Awaited awaited):
        # What to tell whoever waited too long.
        raise NotImplementedError

    cdef int give_up(self, Awaited awaited, str text) except -1:
        awaited.finish(FAILED, Timeout(text))
        self.finished.append(awaited)
        return 0

    cdef int fail(self, list waiting, object error) except -1:
        # Whoever of them still waits raises what error() makes.
        cdef Awaited awaited
        for awaited in waiting:
            if awaited.state < RETURNED:
                awaited.finish(FAILED, error())
                self.finished.append(awaited)
        return 0
