# The vocabulary of the core: number types and the three enumerations everything else is written in.
from libc.stdint cimport uint64_t

ctypedef uint64_t index_t    # position in the log; the first entry has index 1, 0 means "before the log"
ctypedef uint64_t term_t     # election term; 0 before the first election
ctypedef uint64_t node_id_t  # a node's identity for all time; 0 is nobody

cdef enum:
    NO_NODE = 0

# Targets of the local storage messages (etcd/raft's LocalAppendThread and LocalApplyThread).
cdef node_id_t APPEND_THREAD
cdef node_id_t APPLY_THREAD
# "No limit" for every size and count.
cdef uint64_t NO_LIMIT

cpdef enum StateType:
    StateFollower = 0
    StateCandidate = 1
    StateLeader = 2
    StatePreCandidate = 3

# What an entry is. In printed transcripts EntryNoop prints as EntryNormal: etcd/raft's empty entry.
cpdef enum EntryKind:
    EntryNormal = 0        # a command; an empty payload is a command too
    EntryConfChange = 1    # one change, etcd/raft's v1
    EntryConfChangeV2 = 2  # joint-capable change, v2
    EntryNoop = 3          # a new leader's first entry, or a refused configuration change; payload empty

cpdef enum MessageType:
    MsgHup = 0
    MsgBeat = 1
    MsgProp = 2
    MsgApp = 3
    MsgAppResp = 4
    MsgVote = 5
    MsgVoteResp = 6
    MsgSnap = 7
    MsgHeartbeat = 8
    MsgHeartbeatResp = 9
    MsgUnreachable = 10
    MsgSnapStatus = 11
    MsgCheckQuorum = 12
    MsgTransferLeader = 13
    MsgTimeoutNow = 14
    MsgReadIndex = 15
    MsgReadIndexResp = 16
    MsgPreVote = 17
    MsgPreVoteResp = 18
    MsgStorageAppend = 19
    MsgStorageAppendResp = 20
    MsgStorageApply = 21
    MsgStorageApplyResp = 22
    MsgForgetLeader = 23

cdef enum:
    MESSAGE_TYPES = 24
