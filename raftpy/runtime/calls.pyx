"""The calls of a :class:`raftpy.Node` that a program makes for each command and each read, without a Python frame.

Whether the caller may call is asked of the node's Owner, except where it shows by itself: while a pass runs, whoever
calls in the pass's thread is a task that the pass has resumed. A fork takes the parts away in the child, so that it
need not be asked about.
"""
from cpython.pystate cimport PyThreadState_Get

from raftpy.contracts.errors import Stopped

from raftpy.runtime.awaited import DEFAULT_TIMEOUT

from raftpy.runtime.passes cimport Passes
from raftpy.runtime.pending_proposals cimport Proposals
from raftpy.runtime.reads cimport Reads

NOT_STARTED = "the node has not been started"


cdef class Calls:
    """The part of ``Node`` that is called most."""

    def _bind(self, Proposals proposals not None, Reads reads not None, Passes passes not None, owner):
        """The node has been started: whom the calls go to, and who may call. To be called in the node's thread."""
        self.proposals = proposals
        self.reads = reads
        self.passes = passes
        self.owner = owner
        self.thread = PyThreadState_Get()

    def _unbind(self):
        """The calls go to nobody any more, as before ``_bind``."""
        self.proposals = None
        self.reads = None

    cdef inline int check(self) except -1:
        if self.proposals is None:
            if self.owner is not None:
                self.owner.check()
            raise Stopped(NOT_STARTED)
        if self.thread != PyThreadState_Get() or not self.passes.running:
            self.owner.check()
        return 0

    def propose(self, command, *, timeout=DEFAULT_TIMEOUT):
        """Hands a command in (bytes, bytearray or memoryview, of at most ``max_command`` bytes), at once, and returns
        what to await for the result: what ``apply`` returned here.

        The awaitable raises ``ApplyError`` (the state machine's own), ``NotLeader`` and ``Overloaded`` (never appended
        here), ``TooLarge`` (nothing happened), ``Timeout`` (may or may not be committed; after ``timeout`` seconds from
        its being appended, to the tick, None for never, or when leadership is lost), ``Stopped``, ``StorageFailed``,
        ``ApplyFailed``, ``Quarantined``. Its ``index`` and ``term`` are the command's place in the log. Cancelling the
        wait does not take the command back. Only a leader takes commands: nothing is passed on for the caller, and
        without a leader ``NotLeader`` comes at once.

        The call itself raises ``NotOwner`` in another process, thread or event loop than the node's, ``Stopped`` before
        ``start``, and ``TypeError`` or ``ValueError`` for what is no command, or no timeout.
        """
        self.check()
        return self.proposals.propose(command, timeout)

    def propose_many(self, commands, *, timeout=DEFAULT_TIMEOUT):
        """Hands in commands that follow one another in the log; the result is the list of their results, empty for
        none.

        As ``propose``; but an ``ApplyError`` stands in its command's place in the list, and is not raised. With
        ``TooLarge``, ``NotLeader`` or ``Overloaded`` none of them was appended. ``index`` is the first one's.
        """
        self.check()
        return self.proposals.propose_many(commands, timeout)

    def read_index(self, *, timeout=DEFAULT_TIMEOUT):
        """Asks for a read index, at once, and returns what to await for it, without touching the log.

        The awaitable waits until this node has applied everything that was committed when this was called. Whatever is
        read from the state machine right afterwards, before the next ``await``, is linearizable (thesis 6.4), on the
        leader and, by way of it, on every other member. It gives the index, and raises ``Timeout`` (the read can be
        asked for again; after ``timeout`` seconds, to the tick, None for never), ``Stopped``, ``StorageFailed``,
        ``ApplyFailed``, ``Quarantined``, ``NoState``. While no leader is known it waits; a question that is lost is put
        again. The call itself raises what ``propose`` does.
        """
        self.check()
        return self.reads.request(timeout)
