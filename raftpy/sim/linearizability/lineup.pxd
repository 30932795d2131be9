cimport cython
from libc.stdint cimport int32_t, int64_t

# As in history.Kind.
cdef enum:
    READ = 0
    WRITE = 1
    SWAP = 2
    DELETE = 3
    APPEND = 4

# Whether an operation was done; UNKNOWN: it may not even have happened.
cdef enum:
    NOT_DONE = 0
    DONE = 1
    NOT_TOLD = 2
    UNKNOWN = 3

# Values are numbered. ABSENT: the key is not there. NONE: no value, no version, no other operation.
cdef enum:
    ABSENT = 0
    NONE = -1


# An operation in numbers.
cdef struct Asked:
    int32_t kind
    int32_t done
    int32_t index       # among the operations as given
    int32_t slot        # its bit from its call to its return; of unknown outcome: its place among those
    int32_t twin        # of unknown outcome: the last one before it that asks the same
    int64_t value       # that it sets, or appends
    int64_t expected
    int64_t condition   # on the version
    int64_t seen        # the value that it was told of
    int64_t version     # that it was told of


# A version that an operation was told of, its own or the one that it found.
cdef struct Told:
    int64_t version
    int32_t number      # of the operation


# A call or a return.
cdef struct Moment:
    double time
    int32_t returns
    int32_t asked


@cython.final
cdef class Lineup:
    cdef Asked* asked           # those of known outcome by their returns, behind them the others by their calls
    cdef int32_t* candidates    # for one return after another: the known operations under way there, its own first
    cdef int32_t* first         # of each return: where its candidates begin; one more at the end
    cdef int32_t* called        # of each return: so many operations of unknown outcome had been called
    cdef int32_t* resets        # of each return: so many operations called before it may set the value anew
    cdef int32_t* finder        # of each return: the first of it and those after it whose operation must find a value
    cdef int64_t* needed        # of each value: so many known operations must find it
    cdef char* doubted          # of each value: whether somebody found something else than this
    cdef int64_t* makers        # of each value: so many operations can bring it about
    cdef Told* told             # of known operations, by version; without 0, which an absent key has
    cdef int32_t* told_place    # of each known operation: its place there, or NONE
    cdef int32_t versions       # so many are there
    cdef int32_t known          # so many operations have a known outcome,
    cdef int32_t unknown        # and so many none
    cdef int32_t widest         # so many known ones are under way at once, at most
    cdef bint appends           # there are values that no operation names
    cdef bint blind             # some depend on what is there otherwise than by its value
    cdef bint doubts            # some found something else than a value
    cdef bint guesses           # some expect a value, and nobody was told whether they found it
    cdef bint deletes           # to some it matters that something is there
    cdef dict numbers           # of the values
    cdef list values            # by their numbers

    cdef int64_t number(self, value) except -2
    cdef Py_ssize_t read_in(self, Asked* given, Moment* moments, list operations) except -1
    cdef int set_up(self, const Asked* given, const Moment* moments, Py_ssize_t count) except -1
    cdef void measure(self, const Asked* given, const Moment* moments, Py_ssize_t count) noexcept
    cdef void follow(self, const Asked* given, const Moment* moments, Py_ssize_t count, int32_t* room) noexcept
    cdef int leave_out(self) except -1
    cdef int count_values(self) except -1
    cdef int look_ahead(self) except -1
    cdef int order_versions(self) except -1


# The value that an operation must find for its answer to be right; NONE: any, or none in particular.
cdef int64_t must_find(const Asked* asked) noexcept nogil

# The value that an operation can bring about; NONE: none, or one that is not known beforehand.
cdef int64_t makes(const Asked* asked) noexcept nogil

# Whether an operation may set the value whatever it was before, rather than append to it.
cdef bint resets(const Asked* asked) noexcept nogil
