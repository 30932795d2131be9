# The values that travel: messages, snapshots, hard state (and, from raftcore.entries, entries). All immutable once
# handed out.
from libc.stdint cimport uint64_t

from raftcore.block cimport BLOCK_HEADER_SIZE, MAX_PAYLOAD, BlockHeader, read_block_header, write_block_header
from raftcore.entries cimport Entries, Entry, make_block, make_entries, parse_entries
from raftcore.types cimport index_t, node_id_t, term_t

cdef class HardState:
    # What must survive a crash besides the log (Figure 2, persistent state).
    cdef readonly term_t term
    cdef readonly node_id_t vote
    cdef readonly index_t commit

cdef class ConfState:
    # A configuration as it is printed, stored and sent; each tuple sorted ascending.
    cdef readonly tuple voters
    cdef readonly tuple voters_outgoing
    cdef readonly tuple learners
    cdef readonly tuple learners_next
    cdef readonly bint auto_leave

    cdef tuple _fields(self)

cdef class Snapshot:
    cdef readonly index_t index
    cdef readonly term_t term
    cdef readonly ConfState conf_state
    cdef readonly index_t conf_index   # index of the configuration entry that conf_state is from
    cdef readonly bytes data
    cdef readonly uint64_t time_ms     # log time of the entry at index; 0: unknown

    cdef tuple _fields(self)

cdef class Message:
    cdef public int type               # MessageType
    cdef public node_id_t to
    cdef public node_id_t from_
    cdef public term_t term            # 0: a local message
    cdef public term_t log_term        # term of the entry at index (MsgApp: of the entry before entries)
    cdef public index_t index
    cdef public index_t commit
    cdef public node_id_t vote         # MsgStorageAppend only
    cdef public bint reject
    cdef public index_t reject_hint
    cdef public index_t conf_index     # configuration entry that made the follower's progress; echoed in replies
    cdef public bint must_sync         # MsgStorageAppend only: set by the core
    cdef public Entries entries        # None when there are none
    cdef public Snapshot snapshot      # None when there is none
    cdef public bytes context          # None when there is none
    cdef public list responses         # messages to deliver once the storage work is done; None when there are none

    cdef tuple _fields(self)

cdef Message new_message(int type, node_id_t to)
