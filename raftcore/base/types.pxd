# The vocabulary of the core: number types and the three enumerations everything else is written in.
from libc.stdint cimport uint32_t, uint64_t

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

# No term and no index is larger: messages carry none (docs/wire-format.md), and adding to one cannot overflow.
cdef extern from *:
    """
    #define RAFT_LARGEST_NUMBER (UINT64_MAX >> 1)
    """
    const uint64_t LARGEST_NUMBER "RAFT_LARGEST_NUMBER"

cpdef enum StateType:
    StateFollower = 0
    StateCandidate = 1
    StateLeader = 2
    StatePreCandidate = 3
    StateQuarantined = 4

# What an entry is. In printed transcripts EntryNoop prints as EntryNormal: etcd/raft's empty entry.
cpdef enum EntryKind:
    EntryNormal = 0        # a command; an empty payload is a command too
    EntryConfChange = 1    # one change, etcd/raft's v1
    EntryConfChangeV2 = 2  # joint-capable change, v2
    EntryNoop = 3          # a new leader's first entry, or a refused configuration change; payload empty

# The one table of message types: a row a type, with its number and all that the core asks about types as such. What
# each word means, and what each type says, is in docs/messages.md. All of it is constant once the C is compiled: out of
# the rows come the enumeration MessageType and the sets below. Bit t of a set says whether type t's row has the word.
cdef extern from *:
    """
    enum {
        R_LOCAL = 1, R_NETWORK = 2, R_RESPONSE = 4, R_TERMLESS = 8, R_TERM_OPTIONAL = 16, R_FORWARDABLE = 32,
        R_CAMPAIGN = 64, R_PROMISE = 128, R_MEMBER = 256, R_ECHO = 512, R_LEADER = 1024, R_COMMON = 2048
    };

    #define RAFT_MESSAGE_TABLE(ROW, WORD) \\
        ROW(MsgHup,                0, R_LOCAL, WORD) \\
        ROW(MsgBeat,               1, R_LOCAL, WORD) \\
        ROW(MsgProp,               2, R_NETWORK | R_TERMLESS | R_FORWARDABLE, WORD) \\
        ROW(MsgApp,                3, R_NETWORK | R_LEADER | R_COMMON, WORD) \\
        ROW(MsgAppResp,            4, R_NETWORK | R_RESPONSE | R_PROMISE | R_MEMBER | R_ECHO | R_COMMON, WORD) \\
        ROW(MsgVote,               5, R_NETWORK | R_CAMPAIGN | R_PROMISE, WORD) \\
        ROW(MsgVoteResp,           6, R_NETWORK | R_RESPONSE | R_CAMPAIGN | R_PROMISE, WORD) \\
        ROW(MsgSnap,               7, R_NETWORK | R_LEADER, WORD) \\
        ROW(MsgHeartbeat,          8, R_NETWORK | R_LEADER | R_COMMON, WORD) \\
        ROW(MsgHeartbeatResp,      9, R_NETWORK | R_RESPONSE | R_MEMBER | R_ECHO | R_COMMON, WORD) \\
        ROW(MsgUnreachable,       10, R_LOCAL | R_MEMBER, WORD) \\
        ROW(MsgSnapStatus,        11, R_LOCAL | R_MEMBER, WORD) \\
        ROW(MsgCheckQuorum,       12, R_LOCAL, WORD) \\
        ROW(MsgTransferLeader,    13, R_NETWORK | R_TERM_OPTIONAL | R_FORWARDABLE, WORD) \\
        ROW(MsgTimeoutNow,        14, R_NETWORK, WORD) \\
        ROW(MsgReadIndex,         15, R_NETWORK | R_TERMLESS | R_FORWARDABLE, WORD) \\
        ROW(MsgReadIndexResp,     16, R_NETWORK | R_RESPONSE, WORD) \\
        ROW(MsgPreVote,           17, R_NETWORK | R_CAMPAIGN, WORD) \\
        ROW(MsgPreVoteResp,       18, R_NETWORK | R_RESPONSE | R_CAMPAIGN | R_PROMISE, WORD) \\
        ROW(MsgStorageAppend,     19, R_LOCAL, WORD) \\
        ROW(MsgStorageAppendResp, 20, R_LOCAL, WORD) \\
        ROW(MsgStorageApply,      21, R_LOCAL, WORD) \\
        ROW(MsgStorageApplyResp,  22, R_LOCAL, WORD) \\
        ROW(MsgForgetLeader,      23, R_LOCAL, WORD)

    #define RAFT_NUMBER(type, number, words, word) type = number,
    #define RAFT_ONE(type, number, words, word) + 1
    #define RAFT_BIT(type, number, words, word) | ((words) & (word) ? 1 << (number) : 0)
    #define RAFT_TYPES_WITH(word) = (0 RAFT_MESSAGE_TABLE(RAFT_BIT, word))

    enum MessageType { RAFT_MESSAGE_TABLE(RAFT_NUMBER, 0) };
    enum {
        MESSAGE_TYPES = 0 RAFT_MESSAGE_TABLE(RAFT_ONE, 0),
        LOCAL_TYPES RAFT_TYPES_WITH(R_LOCAL),
        NETWORK_TYPES RAFT_TYPES_WITH(R_NETWORK),
        RESPONSES RAFT_TYPES_WITH(R_RESPONSE),
        TERMLESS_TYPES RAFT_TYPES_WITH(R_TERMLESS),
        TERM_OPTIONAL_TYPES RAFT_TYPES_WITH(R_TERM_OPTIONAL),
        FORWARDABLE_TYPES RAFT_TYPES_WITH(R_FORWARDABLE),
        CAMPAIGNS RAFT_TYPES_WITH(R_CAMPAIGN),
        PROMISES RAFT_TYPES_WITH(R_PROMISE),
        MEMBER_TYPES RAFT_TYPES_WITH(R_MEMBER),
        ECHOES RAFT_TYPES_WITH(R_ECHO),
        LEADER_TYPES RAFT_TYPES_WITH(R_LEADER),
        COMMON_TYPES RAFT_TYPES_WITH(R_COMMON)
    };
    """
    cpdef enum MessageType:
        MsgHup
        MsgBeat
        MsgProp
        MsgApp
        MsgAppResp
        MsgVote
        MsgVoteResp
        MsgSnap
        MsgHeartbeat
        MsgHeartbeatResp
        MsgUnreachable
        MsgSnapStatus
        MsgCheckQuorum
        MsgTransferLeader
        MsgTimeoutNow
        MsgReadIndex
        MsgReadIndexResp
        MsgPreVote
        MsgPreVoteResp
        MsgStorageAppend
        MsgStorageAppendResp
        MsgStorageApply
        MsgStorageApplyResp
        MsgForgetLeader

    cdef enum:
        MESSAGE_TYPES        # how many there are
        LOCAL_TYPES          # only a node itself, or its storage threads, may send them to it
        NETWORK_TYPES        # all others: they travel between nodes
        RESPONSES            # answers: of no use from a node that is no member
        TERMLESS_TYPES       # requests, not statements about a term: they have none
        TERM_OPTIONAL_TYPES  # requests that may have a term
        FORWARDABLE_TYPES    # requests that one node passes on for another: sender and origin may differ
        CAMPAIGNS            # of an election: their term is the one that is stood for, and not always the sender's
        PROMISES             # say what must survive a crash: they wait until all that is unstable is durable
        MEMBER_TYPES         # a leader takes them only from, or about, a node whose progress it keeps
        ECHOES               # answers that carry back the conf_index of that progress
        LEADER_TYPES         # only the leader of their term sends them
        COMMON_TYPES          # nearly every message is one of these: encoding and decoding have a fast path for them


cdef inline bint is_one_of(int type, uint32_t types) noexcept nogil:
    return types >> type & 1
