"""Pieces: the newest entries of a log in the bytes that they came in, so that these need not be put together again.

What a follower is sent in one message, and what a leader takes in at once, goes on as it is: to the other members, to
the store and to the state machine. A slice of exactly one piece is the piece itself; where entries are handed on that
are more than one, they are handed on piece by piece. Pieces are large: small ones are better put together (slices.pyx),
for a record of the store costs as much as thousands of bytes of it.

They are kept until they are durable and applied, as long as they are in memory and no more than MOST_PIECES.
"""

cimport cython
from cpython.object cimport PyObject

from raftcore.base.lists cimport empty, item_of, size_of
from raftcore.base.types cimport index_t
from raftcore.values.entries cimport Entries


@cython.final
cdef class Pieces:
    """The newest entries in the bytes that they came in; its methods are a C interface (pieces.pxd).

    Attributes:
        count: how many pieces there are.
    """

    def __cinit__(self):
        self.places = [None] * MOST_PIECES
        self.staged = []
        self.begin = 0
        self.count = 0

    cdef void add(self, Entries entries) noexcept:
        if self.count == MOST_PIECES:
            self.forget_first()
        self.places[(self.begin + self.count) & (MOST_PIECES - 1)] = entries
        self.count += 1

    cdef void commit_staged(self) noexcept:
        cdef Py_ssize_t i
        for i in range(size_of(<PyObject*> self.staged)):
            self.add(<Entries> item_of(<PyObject*> self.staged, i))
        empty(self.staged)

    cdef void share(self, Pieces source) noexcept:
        cdef Py_ssize_t position
        for position in range(source.count):
            self.add(piece_at(source, position))

    cdef Py_ssize_t before(self, index_t index) noexcept:
        cdef Py_ssize_t low = 0
        cdef Py_ssize_t high = self.count
        cdef Py_ssize_t middle
        while low < high:
            middle = (low + high) // 2
            if piece_at(self, middle).first < index:
                low = middle + 1
            else:
                high = middle
        return low

    cdef Entries find(self, index_t first):
        cdef Py_ssize_t position = self.before(first)
        cdef Entries piece
        if position < self.count:
            piece = piece_at(self, position)
            if piece.first == first:
                return piece
        return None

    cdef void truncate(self, index_t index) noexcept:
        cdef Entries piece
        while self.count:
            piece = piece_at(self, self.count - 1)
            if piece.first + piece.count <= index:
                break
            self.count -= 1
            self.places[(self.begin + self.count) & (MOST_PIECES - 1)] = None

    cdef void forget_through(self, index_t index) noexcept:
        cdef Entries piece
        while self.count:
            piece = piece_at(self, 0)
            if piece.first + piece.count - 1 > index:
                break
            self.forget_first()

    cdef void forget_first(self) noexcept:
        self.places[self.begin] = None
        self.begin = (self.begin + 1) & (MOST_PIECES - 1)
        self.count -= 1

    cdef str fault(self, index_t last):
        cdef index_t end = 0
        cdef Py_ssize_t position
        cdef Entries piece
        for position in range(self.count):
            piece = piece_at(self, position)
            if piece.first < end or piece.first + piece.count - 1 > last:
                return f"[{piece.first}, {piece.first + piece.count}) behind {end}, in a log that ends at {last}"
            end = piece.first + piece.count
        if size_of(<PyObject*> self.staged):
            return f"{size_of(<PyObject*> self.staged)} are staged"
        for position in range(self.count, MOST_PIECES):
            if self.places[(self.begin + position) & (MOST_PIECES - 1)] is not None:
                return f"{self.count} pieces, and place {position} is taken"
        return None
