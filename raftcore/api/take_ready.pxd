# What a core wants done, put into an outbox; and the answers to it.
from libc.stdint cimport uint64_t

from raftcore.algorithm.state cimport Raft
from raftcore.api.outbox cimport Outbox
from raftcore.api.ready cimport Reported
from raftcore.base.types cimport index_t
from raftcore.values.message cimport Entries, Message

# Which writes are under way, and what they say.
cdef struct Writes:
    uint64_t begun     # appends put into an outbox; also the number of the last of them
    uint64_t done      # of these: reported as written
    index_t commit     # the commit index in the last of them

# Puts all outstanding work into `out`. Was there any?
cdef bint collect(Raft r, Reported* reported, Writes* writes, Outbox out) except -1
# The answers: these appends (any iterable of them) are written; these entries are applied.
cdef int written(Raft r, Writes* writes, object appends, Outbox out) except -1
cdef int applied(Raft r, Entries entries) except -1
