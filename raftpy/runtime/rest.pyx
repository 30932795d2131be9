"""Rest: a node that has nothing to do waits where its event loop does, and is woken without a turn of the loop.

A quiet node wakes up only for heartbeats and their answers. Through the event loop each of these costs several times
what the node does with it: a list of events, handles, timers that are made and cancelled, all of it interpreted and
long gone from the processor's caches. So the loop's wait is replaced, and nothing else of it: while nodes rest on a
loop, ``loop._selector.select`` is a :class:`Rest`. The loop calls it when it has nothing to run, and says for how long
it has nothing: until its next timer. In that time a Rest waits on the loop's own epoll descriptor, and

    a node's socket can be read, and nothing else is there      that node's pass, here
    a node's timer is due                                       what it calls, here
    anything else                                               back to the loop, at once

Anything else is: another descriptor (its own pipe among them, through which threads and signals wake it), a signal, a
call that is to be run, a new timer, an order to stop, the end of the time given. To go back is always allowed: the loop
sees what is there and comes again. So no rule is needed for what a pass may do in here, and it does all that it does
elsewhere.

A loop with something to run asks what is there without waiting. Then a Rest is out of its way: it has the loop call
what is due, and leaves everything to the selector's own select. So it does where a loop runs in a pass, or in a task:
a pass resumes tasks, which one that runs itself cannot do.

The attributes ``_selector``, ``_ready``, ``_scheduled`` and ``_stopping`` of the loop are private to asyncio. On a loop
of any other class than asyncio's own, or with any other selector than the one on Linux, no node rests: it is woken by
the loop's readers and timers, as everything on it.
"""
from asyncio import SelectorEventLoop, current_task
from collections import deque

cimport cython
from cpython.contextvars cimport PyContext_Copy, PyContext_CopyCurrent, PyContext_Enter, PyContext_Exit
from cpython.exc cimport PyErr_CheckSignals
from cpython.list cimport PyList_GET_SIZE
from libc.errno cimport EINTR, errno
from libc.math cimport INFINITY, ceil

from raftpy.contracts.clock import is_systems

from raftpy.system.now cimport monotonic_s

from raftpy.runtime.passes cimport KEPT, Passes, Ticks

cdef extern from *:
    """
    #if defined(__linux__)
    #include <sys/epoll.h>
    /* Which descriptors can be read, at most `most`, waiting that many milliseconds (-1: for ever). */
    static int raftpy_wait(int epoll, int* found, int most, int milliseconds) {
        struct epoll_event events[16];
        int count = epoll_wait(epoll, events, most < 16 ? most : 16, milliseconds);
        for (int i = 0; i < count; i++) found[i] = events[i].data.fd;
        return count;
    }
    #else
    #include <errno.h>
    static int raftpy_wait(int epoll, int* found, int most, int milliseconds) {
        (void)epoll; (void)found; (void)most; (void)milliseconds;
        errno = ENOSYS;
        return -1;
    }
    #endif
    """
    int raftpy_wait(int epoll, int* found, int most, int milliseconds) nogil

cdef extern from "Python.h":
    Py_ssize_t size_of_any "Py_SIZE" (object items)  # a deque's length, for one

cdef enum:
    MOST = 16  # descriptors looked at at once

cdef double LONGEST_S = 3600.0  # of one wait; then the loop has a look
cdef double FRESH_S = 0.001  # for so long after a wait in which nothing came, nothing is taken to have come


def rest(loop, clock, transport, Passes passes not None, Ticks ticks not None):
    """A node rests on its loop from now on, if that can be: returns what it has to :meth:`~Rest.leave`, else None.

    It can be where the loop is one of asyncio's own, on Linux and not in debug mode; where ``clock`` is the system's
    and sets its timers on this loop; and where ``transport`` says which descriptor it has under the loop's reader
    (``SocketTransport``). From then on the timer of ``ticks`` is kept here.
    """
    cdef Rest place
    cdef Sleeper sleeper
    descriptor = transport.fileno() if hasattr(transport, "fileno") else -1
    if descriptor < 0 or not is_systems(clock) or not clock.is_of(loop) or not can_rest(loop):
        return None
    selector = loop._selector
    place = vars(selector).get("select")
    if place is None:
        place = Rest(loop)
        selector.select = place
    sleeper = Sleeper()
    sleeper.descriptor, sleeper.passes, sleeper.ticks = descriptor, passes, ticks
    sleeper.context = PyContext_CopyCurrent()
    place.join(sleeper)
    return place


def can_rest(loop):
    """Whether nodes can rest on this loop."""
    if type(loop) is not SelectorEventLoop or loop.get_debug():
        return False
    selector = getattr(loop, "_selector", None)
    if type(selector).__name__ != "EpollSelector" or type(selector).__module__ != "selectors":
        return False
    if type(vars(selector).get("select")) not in (type(None), Rest):
        return False  # somebody else's
    known = type(getattr(loop, "_ready", None)), type(getattr(loop, "_scheduled", None))
    return known == (deque, list) and type(getattr(loop, "_stopping", None)) is bool


@cython.final
cdef class Sleeper:
    """One node that rests."""


@cython.final
cdef class Rest:
    """The wait of one event loop, for the nodes that rest on it; their clock is the system's."""

    def __init__(self, loop):
        self.loop = loop
        self.attributes = vars(loop)
        self.selector = loop._selector
        self.ready = loop._ready
        self.plain = self.selector.select
        self.descriptor = self.selector.fileno()
        self.scheduled = []
        self.silent_at = -INFINITY
        self.sleepers = []

    cdef int join(self, Sleeper sleeper) except -1:
        sleeper.ticks.keep(True)
        self.sleepers = [*self.sleepers, sleeper]
        return 0

    def leave(self, Passes passes not None):
        """This node rests no more; its timer is the clock's again. The last one puts the selector's own select back."""
        cdef Sleeper sleeper
        left = []
        for sleeper in self.sleepers:
            if sleeper.passes is passes:
                sleeper.ticks.keep(False)
            else:
                left.append(sleeper)
        self.sleepers = left
        if not left and vars(self.selector).get("select") is self:
            del self.selector.select

    def __call__(self, timeout=None):
        """As ``select`` of the loop's selector: what is there for the loop, ``timeout`` seconds from now at the latest
        (0 or less: at once; None: whenever it comes); an empty list also when there is something else to do for it."""
        if timeout is not None and timeout <= 0:
            self.hand_over()
            return self.plain(timeout)
        if self.inside or current_task(self.loop) is not None or self.loop.get_debug():
            self.hand_over()
            return self.plain(0 if len(self.ready) else self.shortened(timeout))
        self.scheduled = self.loop._scheduled  # the loop makes it anew in a turn of its own, and then comes here again
        self.timers = PyList_GET_SIZE(self.scheduled)
        return self.rest(INFINITY if timeout is None else monotonic_s() + <double> timeout)

    def shortened(self, timeout):
        """The timeout, or what is left until the first timer of a node that is kept here."""
        cdef double left = self.next_due() - monotonic_s()
        return timeout if timeout is not None and <double> timeout <= left or left == INFINITY else max(left, 0)

    cdef object rest(self, double until):
        cdef int[MOST] found
        cdef int count, i, milliseconds
        cdef double now, first
        cdef Sleeper sleeper
        while True:
            PyErr_CheckSignals()
            if self.is_wanted():
                return []
            now = monotonic_s()
            first = self.next_due()
            if first <= now:
                self.run_due(now)
                PyErr_CheckSignals()  # for one that came in a pass in which nothing interpreted has run
                if self.is_wanted():
                    return []
                now = monotonic_s()
                first = max(self.next_due(), now)  # nobody else waits for passes that take longer than until the next
            if until <= now:
                return []
            milliseconds = <int> ceil(1000 * min(min(first, until) - now, LONGEST_S))
            with nogil:
                count = raftpy_wait(self.descriptor, found, MOST, milliseconds)
            # The system has not looked earlier; how long ago it did nobody knows, as this may have been held up since.
            self.silent_at = now + milliseconds / 1000.0 if count == 0 else -INFINITY
            if count < 0 and errno == EINTR:
                continue
            if count < 0:
                return self.plain(0)
            for i in range(count):
                if self.find(found[i]) is None:
                    return self.plain(0)
            for i in range(count):
                sleeper = self.find(found[i])
                if sleeper is not None:
                    self.run(sleeper, False)

    cdef double next_due(self) noexcept:
        # When the first timer is due that is kept here.
        cdef double first = INFINITY
        cdef Sleeper sleeper
        for sleeper in self.sleepers:
            if sleeper.ticks.timer is KEPT:
                first = min(first, sleeper.ticks.due_at())
        return first

    cdef bint is_wanted(self) except -1:
        # Whether there is something for the loop to do, left by a pass or ordered by a signal's handler.
        return (size_of_any(self.ready) > 0 or PyList_GET_SIZE(self.scheduled) != self.timers
                or self.attributes["_stopping"] is not False)

    cdef Sleeper find(self, int descriptor):
        cdef Sleeper sleeper
        for sleeper in self.sleepers:
            if sleeper.descriptor == descriptor:
                return sleeper
        return None

    cdef int hand_over(self) except -1:
        # What is due the loop calls itself, in this turn.
        cdef Sleeper sleeper
        cdef double now = monotonic_s()
        self.timers = -1  # a loop in a pass may have dropped some: whoever waits around it goes back to look
        for sleeper in self.sleepers:
            if sleeper.ticks.timer is KEPT and sleeper.ticks.due_at() <= now:
                sleeper.ticks.hand_over(self.loop, PyContext_Copy(sleeper.context))  # it may be in use
        return 0

    cdef int run_due(self, double now) except -1:
        cdef Sleeper sleeper
        for sleeper in self.sleepers:
            if sleeper.ticks.timer is KEPT and sleeper.ticks.due_at() <= now:
                self.run(sleeper, True)
        return 0

    cdef int run(self, Sleeper sleeper, bint due) except -1:
        # As the loop runs a call of its own.
        cdef bint entered = False
        self.inside = True
        try:
            PyContext_Enter(sleeper.context)
            entered = True
            if due:
                sleeper.passes.nothing_waits = monotonic_s() - self.silent_at <= FRESH_S
                sleeper.ticks.call()
            else:
                sleeper.passes.run()
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            self.loop.call_exception_handler({"message": "Exception in a pass of a node", "exception": error})
        finally:
            self.inside = False
            sleeper.passes.nothing_waits = False
            if entered:
                PyContext_Exit(sleeper.context)
        return 0
