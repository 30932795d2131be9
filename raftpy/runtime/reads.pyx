"""Reads that wait for a read index (thesis 6.4) and for the state machine to get there.

A read is in one of three places: queued until a pass puts it to the core, asked until the core has confirmed an index
for it, confirmed until that index is applied. All that are queued when a pass asks share one question. A question may
be lost on its way to the leader, or with it; one without an answer after a while is put again. Its answer may still
come, where the way to a quorum and back takes longer than that: it is as good as that to the later question, which was
put for the same reads.

    request -> queued -- begin --> asked -- answered --> confirmed -- release --> finished -- resume --> the task
                 ^                   |
                 +- tick, ask_again, +
                    take_back

Waiting, being resumed and the timeouts are in awaited.pyx.
"""
cimport cython
from libc.math cimport INFINITY

from raftcore.base.types cimport index_t

from raftpy.runtime.awaited import DEFAULT_TIMEOUT

from raftpy.runtime.awaited cimport FAILED, QUEUED, RETURNED, TAKEN, Awaited, Waits, checked_timeout

cdef enum:
    MOST_AGAIN = 8  # questions that were put again and may still be answered


@cython.final
cdef class Read(Awaited):
    """Awaitable result of one ``read_index``: the read index, once everything up to it is applied here.

    Works under ``await``, ``asyncio.create_task``, ``gather``, ``shield``, ``wait_for`` and ``timeout``, from tasks of
    the node's own event loop. A result that nobody asks for is dropped without a word. Only the node makes one: the
    class raises TypeError when it is called.
    """

    def __init__(self):
        raise TypeError("a Read is made by Node.read_index")

    def __repr__(self):
        cdef str state = ("queued", "waiting", "returned", "failed", "cancelled")[self.state]
        cdef str place = f" at {self.index}" if self.index else ""
        return f"<Read {state}{place}>"


@cython.final
@cython.freelist(16)
cdef class Question:
    """Reads that wait for the same answer. ``again``: they wait for that to a later question as well."""


cdef bint any_waits(list reads) noexcept:
    cdef Read read
    for read in reads:
        if read.state < RETURNED:
            return True
    return False


@cython.final
cdef class Reads(Waits):
    """All reads of one node that have no outcome yet. ``request`` is for callers, the rest for the driver.

    A question to the core that has no answer after ``retry_s`` seconds is put again. ``boot`` tells this start of the
    node from the others: the answer to a question of an earlier one must not be taken for the answer to a later one's.
    ``wanted``: queued reads are to be asked for in the running pass, or in one on its way.
    """

    def __init__(self, loop, schedule, double retry_s, uint64_t boot=0):
        Waits.__init__(self, loop, schedule)
        self.retry_s = retry_s
        self.boot = boot.to_bytes(8, "little")
        self.queued = []
        self.asked = {}
        self.confirmed = []

    cpdef Read request(self, object timeout=DEFAULT_TIMEOUT):
        """Queues a read; the Read to wait on. ``timeout`` in seconds, None for ever."""
        cdef double seconds = checked_timeout(timeout)
        cdef Read read = Read.__new__(Read)
        read.loop = self.loop
        read.timeout = seconds
        if self.stopped is not None:
            read.finish(FAILED, self.stopped())
            return read
        self.queued.append(read)
        if not self.wanted:
            self.wanted = True
            self.schedule()
        return read

    @property
    def waiting(self):
        """Whether anybody waits for an answer or an index."""
        return self.any_waiting()

    cdef bint any_waiting(self) noexcept:
        return len(self.queued) > 0 or len(self.asked) > 0 or len(self.confirmed) > 0

    cpdef bytes begin(self, double now):
        """The context of one question for all that are queued, to be put to the core at ``now``, before any other call;
        None when nobody is. Where there is nobody to ask, :meth:`take_back`.

        The timeouts of those who are new begin.
        """
        cdef list reads = self.queued
        cdef Read read
        cdef bint withdrawn = False
        cdef Question question
        self.wanted = False
        for read in reads:
            if read.state == QUEUED:
                self.mark_taken(read, now)
            elif read.state != TAKEN:
                withdrawn = True
        if withdrawn:
            reads = [read for read in reads if read.state == TAKEN]
        self.queued = reads
        if not reads:
            return None
        self.number += 1
        context = self.boot + self.number.to_bytes(8, "little")
        question = Question.__new__(Question)
        question.asked_at = now
        question.reads = reads
        self.asked[context] = question
        self.queued = []
        return context

    cpdef int take_back(self, bytes context) except -1:
        """There is nobody to ask: those of this question are queued again."""
        cdef Question question = self.asked.pop(context)
        self.queued = question.reads
        return 0

    cpdef int answered(self, index_t index, bytes context) except -1:
        """The core has confirmed: whoever asked under ``context`` may read what is applied up to ``index``."""
        cdef Question question = self.asked.pop(context, None)
        cdef Question last
        if question is None:
            return 0  # of another leader, or long ago
        question.index = index
        if self.confirmed:
            last = self.confirmed[len(self.confirmed) - 1]
            question.index = max(index, last.index)  # newer is as good, and keeps the order
        self.confirmed.append(question)
        return 0

    cpdef int release(self, index_t applied) except -1:
        """Finishes those whose index is applied."""
        cdef Question question
        cdef Read read
        cdef Py_ssize_t count = 0
        for question in self.confirmed:
            if question.index > applied:
                break
            count += 1
            index = question.index
            for read in question.reads:
                if read.state < RETURNED:
                    read.index = question.index
                    read.finish(RETURNED, index)
                    self.finished.append(read)
        if count:
            del self.confirmed[:count]
        return 0

    cpdef int tick(self, double now) except -1:
        """Ends the waits whose time is up at ``now``, and queues those whose question has been without an answer for
        too long; to be called now and then. Sets ``wanted``."""
        if self.sweep_is_due(now):
            self.sweep(now)
        if self.asked:
            self.requeue(now - self.retry_s)
        self.wanted = len(self.queued) > 0
        return 0

    def ask_again(self):
        """To be called when a leader has become known: what an earlier one was asked it may never answer. All is
        queued, and ``wanted`` set."""
        self.requeue(INFINITY)
        self.wanted = len(self.queued) > 0

    cdef int requeue(self, double until) except -1:
        # Queues the reads anew whose question was put up to then.
        cdef Question question
        cdef dict kept = {}
        cdef Py_ssize_t again = 0
        for context, question in self.asked.items():
            if not question.again and question.asked_at <= until:
                self.queued += question.reads
                question.again = True
            if not question.again:
                kept[context] = question
            elif until < INFINITY and any_waits(question.reads):
                again += 1
                kept[context] = question
        while again > MOST_AGAIN:  # the oldest come first
            again -= 1
            del kept[next(iter(kept))]
        self.asked = kept
        return 0

    cdef int sweep(self, double now) except -1:
        cdef Question question
        self.queued = self.swept(self.queued, now)
        for question in list(self.asked.values()) + self.confirmed:
            question.reads = self.swept(question.reads, now)
        self.asked = {context: question for context, question in self.asked.items() if question.reads}
        self.confirmed = [question for question in self.confirmed if question.reads]
        return 0

    cdef str late(self, Awaited awaited):
        return f"no quorum confirmed the read within {awaited.timeout:g} s; nothing happened"

    def refuse(self, error):
        """Every later read raises what ``error()`` makes, until this is called with None; to be undone before
        :meth:`stop`, if at all."""
        self.stopped = error

    def stop(self, error):
        """Every read there is and every later one raises what ``error()`` makes. Call :meth:`resume_soon` then."""
        cdef Question question
        self.stopped = error
        self.fail(self.queued, error)
        for question in list(self.asked.values()) + self.confirmed:
            self.fail(question.reads, error)
        self.queued = []
        self.asked = {}
        self.confirmed = []
