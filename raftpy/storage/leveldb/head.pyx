"""The head: what every batch says of the store as a whole, so that a batch is known to be there whole or not at all.

It stands behind the last block of a batch's entries, and under a key of its own when a batch has none. The newest of
the two counts, which their numbers tell.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint64_t

from raftcore.base.bytes cimport store64

from struct import Struct

from raftcore.values.message import HardState

HEAD = Struct("<11Q")


@cython.final
cdef class Head:
    """Hard state (``term``, ``vote``, ``commit``; Figure 2) and bounds of one group's log, as of the last batch.

    Invariants: prev_index <= last_index; commit <= last_index.

    Attributes:
        boot: in which it was written; not below the floor's.
        prev_index: just before the first entry; 0 until the log is compacted.
        prev_term: the term of the entry there.
        last_index: entries are there up to here, without a gap, whatever an iterator says.
        last_term: the term of the entry at ``last_index``.
        cut: lowest index from which this boot has replaced entries; 0: none. Only then may the log end below its floor.
        closed: 1 in the last record before a clean close.
        number: of the batch it was written with, counted over the life of the store.
    """

    def __init__(
        self,
        uint64_t boot=0,
        uint64_t term=0,
        uint64_t vote=0,
        uint64_t commit=0,
        uint64_t prev_index=0,
        uint64_t prev_term=0,
        uint64_t last_index=0,
        uint64_t last_term=0,
        uint64_t cut=0,
        uint64_t closed=0,
        uint64_t number=0,
    ):
        self.boot = boot
        self.term = term
        self.vote = vote
        self.commit = commit
        self.prev_index = prev_index
        self.prev_term = prev_term
        self.last_index = last_index
        self.last_term = last_term
        self.cut = cut
        self.closed = closed
        self.number = number

    cdef tuple numbers(self):
        # In the order of the record.
        return (
            self.boot,
            self.term,
            self.vote,
            self.commit,
            self.prev_index,
            self.prev_term,
            self.last_index,
            self.last_term,
            self.cut,
            self.closed,
            self.number,
        )

    def copy(self):
        """Another head that says the same."""
        return Head(*self.numbers())

    def __eq__(self, other):
        return self.numbers() == (<Head> other).numbers() if isinstance(other, Head) else NotImplemented

    def __repr__(self):
        names = (
            "boot",
            "term",
            "vote",
            "commit",
            "prev_index",
            "prev_term",
            "last_index",
            "last_term",
            "cut",
            "closed",
            "number",
        )
        said = ", ".join(f"{name}={number}" for name, number in zip(names, self.numbers()))
        return f"Head({said})"

    def pack(self):
        """The record's body: eleven u64, little endian."""
        cdef bytes body = PyBytes_FromStringAndSize(NULL, 11 * 8)
        cdef uint8_t* at = <uint8_t*> PyBytes_AS_STRING(body)
        store64(at + 0, self.boot)
        store64(at + 8, self.term)
        store64(at + 16, self.vote)
        store64(at + 24, self.commit)
        store64(at + 32, self.prev_index)
        store64(at + 40, self.prev_term)
        store64(at + 48, self.last_index)
        store64(at + 56, self.last_term)
        store64(at + 64, self.cut)
        store64(at + 72, self.closed)
        store64(at + 80, self.number)
        return body

    @staticmethod
    def unpack(bytes body not None):
        """The head in ``body``; ValueError when it cannot be one."""
        cdef Head head
        if len(body) != HEAD.size:
            raise ValueError(f"{len(body)} bytes, {HEAD.size} expected")
        head = Head(*HEAD.unpack(body))
        if not (head.prev_index <= head.last_index and head.commit <= head.last_index and head.closed <= 1):
            raise ValueError(f"its values contradict each other: {head}")
        return head

    @property
    def hard_state(self):
        """Term, vote and commit index."""
        return HardState(self.term, self.vote, self.commit)
