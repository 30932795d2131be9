"""When a pass begins, and what becomes of its failure.

    the transport has something to read (wake), a write has completed, a timer is due      at once
    a proposal or a read has been queued, a pass has left something for the next (schedule)  at the loop's next turn

One pass runs at a time: what asks for another meanwhile gets it at the loop's next turn. And one turn is asked for at a
time: passes that ask for more must not multiply.
"""
from asyncio import current_task

cimport cython
from libc.stdint cimport UINT32_MAX

from raftcore.base.errors import InvariantViolation

from raftpy.runtime.group_work cimport GroupWork


@cython.final
cdef class Passes:
    """The passes of one host. Made before its parts are, for the transport may call ``wake`` as soon as it has started;
    until ``bind``, nothing happens.

    ``rounds`` is what a pass runs, None until ``bind``; ``running``: a pass is under way; ``wanted``: another was asked
    for meanwhile; ``closed``: none begins any more.
    """

    def __init__(self, loop):
        self.loop = loop
        self.call_soon = loop.call_soon

    def bind(self, Rounds rounds not None, Ticks ticks not None, fail):
        """What a pass runs, the ticks that it is told of, and who hears of its failure."""
        self.rounds = rounds
        self.ticks = ticks
        self.fail = fail

    cpdef schedule(self):
        """Asks for a pass at the loop's next turn."""
        if not self.turn_due:
            self.turn_due = True
            self.call_soon(self.turn)

    cpdef request(self):
        """Asks for a pass, unless one is running: that one takes up what has come."""
        if not self.running:
            self.schedule()

    cpdef note(self, GroupWork group):
        """Asks for a pass that looks at this group: the one under way, or the next."""
        if self.rounds is not None:
            self.rounds.note(group)
        self.request()

    @cython.binding(False)
    def turn(self):
        """The loop's next turn has come."""
        self.turn_due = False
        self.run()

    @cython.binding(False)
    def wake(self):
        """Something waits to be read, or a write has completed: called by transport and storage, in the loop."""
        if current_task(self.loop) is None:
            self.run()
        else:
            self.schedule()  # a pass resumes tasks, which one that runs itself cannot do

    cpdef run(self):
        """A pass, unless one is running; what comes out of it ends the node."""
        cdef double now
        if self.running or self.closed or self.rounds is None:
            self.wanted = True
            return
        self.running = True
        self.wanted = False
        try:
            now = self.ticks.monotonic()
            self.rounds.run(now, self.ticks.passed(now))
        except (KeyboardInterrupt, SystemExit) as error:
            if self.rounds.resuming:  # of a task that was resumed: not the node's, and it has lost nothing
                self.wanted = True
            else:  # the pass was cut off somewhere: what it had in hand may be lost
                self.fail(error)
            raise
        except InvariantViolation as error:
            self.fail(error)
            raise
        except Exception as error:
            self.fail(error)
        finally:
            self.running = False
            self.end()

    cdef int end(self) except -1:
        # Is another one due?
        if self.closed:
            return 0
        if self.rounds.deadline < self.ticks.due_at():  # somebody's timeout ends then
            self.ticks.plan(UINT32_MAX, self.rounds.deadline)
        if self.wanted or self.rounds.has_left():
            self.schedule()
        return self.rounds.rest(self.turn_due)
