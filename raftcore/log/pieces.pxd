# The newest entries of a log in the bytes that they came in, ascending.
from raftcore.base.types cimport index_t
from raftcore.values.entries cimport Entries

cdef enum:
    MOST_PIECES = 64        # a power of two

# Bytes of a piece, at least: what is smaller is put together for the store, where a record each would cost more. Few
# in a build for tests, whose messages are small.
cdef extern from *:
    """
    #ifdef RAFTPY_INVARIANTS
    #define RAFTPY_LEAST_PIECE 64
    #else
    #define RAFTPY_LEAST_PIECE 16384
    #endif
    """
    const Py_ssize_t LEAST_PIECE "RAFTPY_LEAST_PIECE"

cdef class Pieces:
    #   1. count <= MOST_PIECES; the places behind the count are None
    #   2. each begins behind the end of the one before; all of them are in the log, with the same terms and log times
    cdef list places
    cdef list staged            # pieces of entries that are staged (window.pxd)
    cdef Py_ssize_t begin       # where the first one is
    cdef readonly Py_ssize_t count

    # Behind the last one.
    cdef void add(self, Entries entries) noexcept
    # Adds those that are staged.
    cdef void commit_staged(self) noexcept
    # Adds those of another log with the same entries; there are none here.
    cdef void share(self, Pieces source) noexcept
    # How many begin before index.
    cdef Py_ssize_t before(self, index_t index) noexcept
    cdef Entries find(self, index_t first)
    # Forgets those that reach index, because other entries come there.
    cdef void truncate(self, index_t index) noexcept
    # Forgets those that end at or before index.
    cdef void forget_through(self, index_t index) noexcept
    cdef void forget_first(self) noexcept
    # What is wrong with those of a log that ends at last; None when nothing is.
    cdef str fault(self, index_t last)

cdef inline Entries piece_at(Pieces pieces, Py_ssize_t position):
    return <Entries> pieces.places[(pieces.begin + position) & (MOST_PIECES - 1)]


# The one that begins at `first`, or None.
cdef inline Entries piece_from(Pieces pieces, index_t first):
    return pieces.find(first) if pieces.count else None


# Where the first one behind `index` begins, or `end` when that comes earlier.
cdef inline index_t next_piece(Pieces pieces, index_t index, index_t end) noexcept:
    cdef Py_ssize_t position
    if pieces.count:
        position = pieces.before(index + 1)
        if position < pieces.count:
            return min(end, piece_at(pieces, position).first)
    return end
