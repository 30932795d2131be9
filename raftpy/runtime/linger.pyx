"""Lingering: a pass that expects an answer very soon waits for it, instead of returning to the event loop.

To return to the event loop, which then starts the next pass, costs more than everything the pass does with the answer.
So the pass waits by itself on the selector of the loop, which becomes readable for everything that the loop waits for.
If what came is for somebody else (another socket of the program, say), the pass ends and the loop runs it without
further delay. A pass does not wait while the loop has callbacks to run. Timers of the loop that fall due during a wait
are called late, but only a little: one wait takes a millisecond at most, and a pass that is two milliseconds old begins
no other.

After waits in which nothing came, the next chances to wait are skipped: one after the first such wait, then three, then
seven, up to 63.

The attributes ``_ready`` and ``_selector`` of the loop are private to asyncio. A pass on a loop that lacks one of them,
such as uvloop's or a simulator's, never waits.
"""
from collections import deque

cimport cython

cdef extern from "<poll.h>" nogil:
    struct pollfd:
        int fd
        short events
        short revents
    int POLLIN
    int poll(pollfd* descriptors, unsigned long count, int timeout_ms)

cdef enum:
    LONGEST_MS = 1
    MOST_PASSED = 63


def lingering(clock, loop):
    """What a node on this clock and this loop waits with: what the clock gives (LingeringClock), else a Linger."""
    return clock.lingering() if hasattr(clock, "lingering") else Linger(loop)


@cython.final
cdef class Linger:
    """Waits for one node on the event loop ``loop``. ``passing``: how many times it passes by before it waits again."""

    def __init__(self, loop):
        selector = getattr(loop, "_selector", None)
        self.ready = getattr(loop, "_ready", None)
        self.descriptor = -1
        if type(self.ready) is deque and hasattr(selector, "fileno"):
            self.descriptor = selector.fileno()

    @property
    def possible(self):
        """Whether this loop can be waited for."""
        return self.descriptor >= 0

    cpdef bint wait(self) except -1:
        """True: something waits to be read, by this node or somebody else. Then :meth:`found` has to be told."""
        cdef pollfd descriptor
        cdef int count
        if self.descriptor < 0 or len(self.ready):
            return False
        if self.passing:
            self.passing -= 1
            return False
        descriptor.fd = self.descriptor
        descriptor.events = POLLIN
        descriptor.revents = 0
        with nogil:
            count = poll(&descriptor, 1, LONGEST_MS)
        if count == 1 and descriptor.revents == POLLIN:
            return True
        self.found(False)
        return False

    cpdef void found(self, bint something) noexcept:
        """Whether it was for this node."""
        if something:
            self.in_vain = 0
        else:
            self.in_vain = min(2 * self.in_vain + 1, <unsigned int> MOST_PASSED)
        self.passing = self.in_vain
