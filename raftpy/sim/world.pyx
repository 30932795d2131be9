"""A world on virtual time: what is due when, and which process has something to do.

Everything that happens is a call that was due: a timer of a process, a datagram that arrives, a write that has
completed, a client that asks, a fault. Calls that are due at the same time happen in the order in which they were asked
for. After each of them, the processes that have something to do do it, in the order in which they got it; after each
of their steps ``look`` is called, which is where everything is checked. Then time jumps to what is due next.
"""

from asyncio import events
from collections import deque
from random import Random

cimport cython
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.object cimport PyObject
from libc.stdint cimport uint64_t

from raftpy.sim.trace cimport Trace

cdef extern from "Python.h":
    ctypedef struct PyListObject:
        PyObject** ob_item

cdef object set_running_loop = events._set_running_loop
cdef object get_running_loop = events._get_running_loop

# Steps of all processes without time going on: more is a program that goes round in a circle.
MOST_STEPS_AT_ONCE = 20_000


class Stuck(AssertionError):
    """Processes have gone round and round at one moment of virtual time."""


cdef class Due:
    """Something that is due at ``time``, virtual seconds; as ``TimerHandle`` of the contract of clocks."""

    cdef int happen(self) except -1:
        # Its time has come.
        raise NotImplementedError

    def cancel(self):
        """It is not made."""
        self.open = False


@cython.final
cdef class PlannedCall(Due):
    """A call."""

    cdef int happen(self) except -1:
        call, arguments = self.call, self.arguments
        self.call = self.arguments = None
        call(*arguments)
        return 0

    def cancel(self):
        """It is not made."""
        self.open = False
        self.call = self.arguments = None


cdef inline bint before(PyObject* one, PyObject* other) noexcept:
    cdef Due left = <Due> one
    cdef Due right = <Due> other
    return left.time < right.time or (left.time == right.time and left.number < right.number)


cdef class Runnable:
    """Something that has steps to do at the present moment: a process."""

    cdef bint step(self) except -1:
        # Does what was to do when it was called; True: more has come meanwhile.
        raise NotImplementedError


@cython.final
cdef class World:
    """Virtual time, from 0 seconds on.

    ``seed`` decides everything that a ``source`` is asked for; ``now`` is the time, in seconds; ``trace`` takes the
    events; ``look(process)`` is called after each step of a process.
    """

    def __init__(self, seed, Trace trace=None):
        self.seed = seed
        self.now = 0.0
        self.trace = Trace() if trace is None else trace
        self.look = None
        self.due = []
        self.number = 0
        self.ready = deque()

    def source(self, str of):
        """Dice of their own for each concern: what one is asked for does not change what another gives."""
        return Random(f"{self.seed}/{of}")  # text is hashed the same whatever PYTHONHASHSEED says

    def at(self, double time, call, *arguments):
        """Has ``call(*arguments)`` made at ``time``, virtual seconds; at once if that has passed."""
        return self.plan(time, call, arguments)

    def after(self, double delay_s, call, *arguments):
        """Has the call made in ``delay_s`` seconds."""
        return self.plan(self.now + delay_s, call, arguments)

    cdef Due plan(self, double time, call, tuple arguments):
        cdef PlannedCall due = PlannedCall.__new__(PlannedCall)
        due.call = call
        due.arguments = arguments
        self.put(time, due)
        return due

    cdef int put(self, double time, Due due) except -1:
        # It is due at `time`, at once if that has passed.
        cdef list heap = self.due
        cdef Py_ssize_t at = PyList_GET_SIZE(heap)
        cdef Py_ssize_t above
        cdef PyObject** items
        due.time = time if time > self.now else self.now
        self.number += 1
        due.number = self.number
        due.open = True
        heap.append(due)
        items = (<PyListObject*> heap).ob_item
        while at > 0:
            above = (at - 1) >> 1
            if not before(<PyObject*> due, items[above]):
                break
            items[at] = items[above]
            at = above
        items[at] = <PyObject*> due
        return 0

    cdef Due take_next(self):
        # Takes the first off the heap, which is not empty.
        cdef list heap = self.due
        cdef PyObject** items = (<PyListObject*> heap).ob_item
        cdef Py_ssize_t last = PyList_GET_SIZE(heap) - 1
        cdef Py_ssize_t at = 0
        cdef Py_ssize_t below = 1
        cdef PyObject* moved = items[last]
        items[last] = items[0]
        while below < last:
            if below + 1 < last and before(items[below + 1], items[below]):
                below += 1
            if not before(items[below], moved):
                break
            items[at] = items[below]
            at = below
            below = 2 * at + 1
        if last > 0:
            items[at] = moved
        return <Due> heap.pop()

    cdef int wake(self, Runnable process) except -1:
        # The process has something to do; called once until it has said that nothing is left.
        self.ready.append(process)
        return 0

    def event(self, uint64_t node, str kind, *detail):
        """Notes that something happened now."""
        self.trace.note(self.now, node, kind, detail)

    def run(self, double until, done=None):
        """Lets time go on until ``until``, virtual seconds, or until ``done()`` holds, which is asked after each call.

        True: ``done`` holds. Raises what a call raises, and ``Stuck``.
        """
        cdef list due = self.due
        cdef Due next_due
        self.outer = get_running_loop()
        try:
            self.settle()
            while PyList_GET_SIZE(due):
                if (<Due> PyList_GET_ITEM(due, 0)).time > until:
                    break
                next_due = self.take_next()
                if not next_due.open:
                    continue
                next_due.open = False
                self.now = next_due.time
                if type(next_due) is PlannedCall:
                    self.leave()  # whatever it calls is not in any process
                next_due.happen()
                self.settle()
                if done is not None:
                    self.leave()
                    if done():
                        return True
        finally:
            self.leave()
        self.now = max(self.now, until)
        return done is not None and bool(done())

    cdef int enter(self, loop) except -1:
        # The loop of a process is the running one from now on. Asking asyncio for that, and saying it, asks the kernel
        # which process this is, each time; so it stays until another one is, or something else is to be called.
        if self.loop is not loop:
            set_running_loop(loop)
            self.loop = loop
        return 0

    cdef int leave(self) except -1:
        # No process's loop is the running one any more.
        if self.loop is not None:
            self.loop = None
            set_running_loop(self.outer)
        return 0

    cdef int settle(self) except -1:
        # Until no process has anything to do at this moment.
        cdef Runnable process
        cdef int steps = 0
        while self.ready:
            process = <Runnable> self.ready.popleft()
            if process.step():
                self.ready.append(process)
            if self.look is not None:
                self.look(process)
            steps += 1
            if steps > MOST_STEPS_AT_ONCE:
                raise Stuck(f"after {self.now} s: {MOST_STEPS_AT_ONCE:,} steps of processes, and time does not go on")
        return 0

    @property
    def pending(self):
        """What is due and not cancelled, in no particular order."""
        return [due for due in self.due if (<Due> due).open]
