"""A simulated process: an event loop of its own, a clock of its own, and a death that runs no code.

Each node has a process. Because each has its own loop, a crash is nothing but a loop that never runs again: no
``finally``, no callback, nothing that a killed process would not do either. A pause keeps the loop from running while
time, and the clock of the process, go on.
"""

import traceback
from collections import deque

cimport cython
from libc.stdint cimport uint64_t

from raftpy.sim.process_loop import ProcessLoop

from raftpy.sim.world cimport Due, Runnable, World


class Died(BaseException):
    """The process dies in the middle of a call."""


@cython.final
@cython.freelist(256)
cdef class Call:
    """A call that the loop has taken; ``asyncio.Handle`` without its debugging."""

    def cancel(self):
        """It is not made."""
        self.call = None

    def cancelled(self):
        """Whether it is not made."""
        return self.call is None


cdef inline Call new_call(call, tuple arguments, context):
    cdef Call new = Call.__new__(Call)
    new.call = call
    new.arguments = arguments
    new.context = context
    return new


@cython.final
cdef class LoopTimer(Due):
    """A call at a later time; what ``call_later`` gives."""

    cdef int happen(self) except -1:
        self.process.timers -= 1
        self.process.take(self.call)
        return 0

    def cancel(self):
        """It is not made."""
        self.call.call = None
        if self.open:
            self.open = False
            self.process.timers -= 1

    def cancelled(self):
        """Whether it is not made."""
        return self.call.call is None

    def when(self):
        """Seconds of the loop's ``time``."""
        return self.own_time


@cython.final
cdef class Process(Runnable):
    """One life of node ``node`` in its ``world``: from a start to a stop or a crash. A ``Clock`` of the contract.

    ``rate``: how many of its clock's seconds pass in one; ``jump_ms`` is by how much its idea of the date is wrong.

    ``alive``, ``running`` (it is making calls at this moment), ``paused``: what it does. ``loop``: its event loop.
    ``timers``: how many are due later. ``spent``: seconds that the step under way has taken so far, as what a write
    inside it took. ``disk``: a ``Disk``, which tells what it has taken; None: nothing takes time. ``calls_left``: so
    many calls of its loop from now, before the last of them, ``at_the_last()`` is called, which may kill it; 0 for
    never. ``complaints``: what went wrong that nobody took care of.
    """

    def __init__(self, World world not None, uint64_t node, *, double rate=1.0, jump_ms=0):
        self.world = world
        self.node = node
        self.alive = True
        self.jump_ms = jump_ms
        self.complaints = []
        self.rate = rate
        self.calls = deque()
        self.loop = ProcessLoop(self)

    # --- Clock ----------------------------------------------------------------------------------------------------

    @cython.binding(False)
    def monotonic(self):
        """Its own seconds."""
        return (self.world.now + self.spent) * self.rate

    cpdef count_time(self):
        """What the disk has taken meanwhile counts as time of the step under way."""
        if self.disk is not None and <double> self.disk.seconds > 0:
            self.spent += <double> self.disk.take_seconds()

    def stopwatch(self):
        """``monotonic``, also within a step in which the disk was waited for."""
        self.count_time()
        return (self.world.now + self.spent) * self.rate

    def wall_ms(self):
        """Milliseconds since 1970, as this process believes."""
        return 1_700_000_000_000 + self.jump_ms + int((self.world.now + self.spent) * self.rate * 1000)

    @cython.binding(False)
    def call_later(self, double delay_s, callback):
        """See ``Clock.call_later``."""
        cdef Call call = new_call(callback, (), None)
        if delay_s <= 0:
            self.take(call)
            return call
        return self.timer((self.world.now + self.spent) * self.rate + delay_s, call)

    # --- The loop's -----------------------------------------------------------------------------------------------

    @cython.binding(False)
    def call_soon(self, callback, *args, context=None):
        """Has it called at the loop's next turn. A dead process makes no call."""
        cdef Call call = new_call(callback, args, context)
        self.take(call)
        return call

    @cython.binding(False)
    def call_in(self, double delay, callback, *args, context=None):
        """Has it called in ``delay`` seconds of the process's clock."""
        cdef double own_time = (self.world.now + self.spent) * self.rate + delay
        return self.timer(own_time, new_call(callback, args, context))

    @cython.binding(False)
    def call_at(self, double when, callback, *args, context=None):
        """Has it called when the process's clock shows ``when``."""
        return self.timer(when, new_call(callback, args, context))

    cdef LoopTimer timer(self, double own_time, Call call):
        cdef LoopTimer timer = LoopTimer.__new__(LoopTimer)
        timer.process = self
        timer.own_time = own_time
        timer.call = call
        self.world.put(own_time / self.rate, timer)
        self.timers += 1
        return timer

    cdef int soon(self, callback) except -1:
        # As call_soon.
        return self.take(new_call(callback, (), None))

    cdef int take(self, Call call) except -1:
        if not self.alive:
            return 0
        self.calls.append(call)
        if not self.awake and not self.paused and self.busy is None:
            self.awake = True
            self.world.wake(self)
        return 0

    def spawn(self, main):
        """A task in its loop."""
        return self.loop.create_task(main)

    cdef bint step(self) except -1:
        # One turn of the loop: the calls that waited when it began.
        cdef Py_ssize_t left = len(self.calls)
        cdef Call entry
        self.running = True
        self.world.enter(self.loop)
        try:
            while left > 0 and self.alive and not self.paused:
                left -= 1
                if self.calls_left > 0:
                    self.calls_left -= 1
                    if self.calls_left == 0:
                        self.at_the_last()
                        if not self.alive:
                            break
                entry = <Call> self.calls.popleft()
                call = entry.call
                if call is None:
                    continue
                try:
                    if entry.context is None:
                        call(*entry.arguments)
                    else:
                        entry.context.run(call, *entry.arguments)
                except Died:
                    break
                except (KeyboardInterrupt, SystemExit):
                    raise
                except BaseException as error:
                    self.complain({"message": f"in {call!r}", "exception": error})
                self.count_time()
        finally:
            self.running = False
        if not self.alive:
            self.awake = False
            return False
        if self.spent > 0:
            self.awake = False
            self.busy = self.world.plan(self.world.now + self.spent, self._go_on, ())
            self.spent = 0.0
            return False
        self.awake = len(self.calls) > 0 and not self.paused
        return self.awake

    def _go_on(self):
        self.busy = None
        self.wake_up()

    cdef int wake_up(self) except -1:
        if self.alive and len(self.calls) and not self.awake and not self.paused and self.busy is None:
            self.awake = True
            self.world.wake(self)
        return 0

    # --- Faults ---------------------------------------------------------------------------------------------------

    def pause(self):
        """Stands still (SIGSTOP, a swapped-out machine) while time goes on."""
        self.paused = True

    def resume(self):
        """Goes on."""
        self.paused = False
        self.wake_up()

    def kill(self):
        """Is gone, at this instant."""
        self.alive = False
        self.calls.clear()

    def complain(self, context):
        """Something went wrong that nobody took care of, as an exception in a callback; a finding, while it lives."""
        if self.alive:
            error = context.get("exception")
            trace = traceback.format_exception(error) if isinstance(error, BaseException) else []
            self.complaints.append(f"{context.get('message')}: {error!r}\n{''.join(trace)}")
