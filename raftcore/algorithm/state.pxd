# Raft: all state of one node in one group, under Figure 2's headings, and its outbox, which sending.pyx fills. No rule
# lives here.
from libc.stdint cimport int64_t, uint64_t

from raftcore.base.options cimport Options
from raftcore.base.types cimport index_t, node_id_t, term_t
from raftcore.log.log cimport RaftLog
from raftcore.membership.tracker cimport Tracker
from raftcore.values.message cimport Queue

# A conflict with the leader of this term that is not certain yet (quarantine.pyx). The other fields count only while
# rounds is above 0; a change of role or term resets it.
cdef struct Suspicion:
    index_t index                        # of the committed entry that has another term there
    term_t leader_term                   # that term
    node_id_t leader                     # who said so
    int rounds                           # in which that leader has said so; 0: nothing is suspected
    bint heartbeat                       # a heartbeat of that leader has come since the last of these rounds
    int elapsed                          # ticks since then, up to the heartbeat timeout

# Reads that wait for a quorum to confirm this leader's leadership (thesis 6.4): made anew whenever the role changes,
# kept by the rules in read_index.pyx.
cdef class ReadOnly:
    # Requests are grouped in rounds. A round is one broadcast of heartbeats that carries the round's number; an answer
    # to round n confirms every round <= n, never a later one.
    #   requests are in round order; round_open only while the round's heartbeats have not been handed out
    cdef uint64_t round                  # number of the newest round of this leadership
    cdef bint round_open                 # may a further request still join that round?
    cdef list requests                   # (round, read index, request), oldest first
    cdef dict acknowledged               # node id -> newest round it has answered

cdef class Raft:
    # Persistent state on all servers (Figure 2)
    cdef term_t term                     # latest term this node has seen
    cdef node_id_t vote                  # candidate that received this node's vote in term, 0 for none
    cdef RaftLog log                     # entries; holds the commit and the applied index too

    # Volatile state on all servers
    cdef node_id_t id
    cdef int state                       # StateType
    cdef node_id_t lead                  # leader of term as far as known, 0 for none
    cdef bint is_learner                 # by this node's own applied configuration
    cdef Tracker tracker                 # configuration, votes; on a leader every member's progress
    cdef index_t conf_index              # index of the applied configuration's entry
    cdef index_t acknowledged            # up to here this term's leader has this node's word; since the start
    cdef Suspicion suspicion
    cdef object conflict                 # why this node is quarantined (a Conflict); None when it is not

    # Volatile state on leaders
    cdef node_id_t transferee            # target of the running leadership transfer, 0 for none (thesis 3.10)
    cdef index_t pending_conf_index      # no configuration change is taken until this index is applied
    cdef uint64_t uncommitted_size       # estimate: payload bytes not yet applied, kept only when limited
    cdef ReadOnly reads                  # reads waiting for a quorum
    cdef list postponed_reads            # requests that wait for the first commit of this term
    cdef dict round_times                # read round -> now_ms when it was sent; only with a lease
    cdef uint64_t lease_until            # in now_ms; 0 for no lease
    cdef bint lease_given_up             # a transfer's target was told to stand: no lease in the rest of this term
    cdef int takeover_pause              # election timeouts before the next attempt to hand over
    cdef node_id_t preferred             # member to hand over to, if it is still ready at the next look

    # Time, in ticks, and the caller's clock in milliseconds
    cdef int election_elapsed            # since the leader was heard, a vote was given, or the last timeout
    cdef int heartbeat_elapsed
    cdef int heartbeat_pause             # ticks between the last heartbeats and the next
    cdef index_t heartbeat_last          # last index at the last heartbeats; kept, as the next, for quiet ones only
    cdef uint64_t heartbeat_round        # newest round of reads then
    cdef uint64_t heard_leader_ms        # now_ms when a leader was last heard, 0 before the first time
    cdef int contact_elapsed             # since any leader was last heard, or since the start
    cdef int randomized_timeout          # in [election_timeout, 2 * election_timeout)
    cdef int64_t election_wait           # on top of it while no leader is known, for the writes of an election
    cdef int64_t vote_ticks              # how long votes are known to take, from those that came too late
    cdef int64_t write_ticks             # how long this node's writes take; shrinks with each that is shorter
    cdef uint64_t now_ms                 # newest time given by the caller; never decreases
    cdef uint64_t random_state

    # Settings, and what the replicated member table says of the members
    cdef Options options                 # for all its life
    cdef uint64_t message_size           # bytes of blocks in one append, options.max_size_per_msg at most
    cdef object far                      # None, or the ids of the members whose appends the options alone limit
    cdef object witnesses                # None, or the ids of the members without payloads
    cdef object priorities               # None, or node id -> priority (default 0)

    # Outbox
    cdef Queue messages           # may leave at once
    cdef Queue after_append       # may leave once everything unstable so far is durable
    cdef Queue waiting            # with an outbox only: may leave once a write under way is done, in their order
    cdef list read_states                # (index, context) of confirmed reads

    # Inbox
    cdef list offers                     # MsgSnap held back for the driver; None: they are stepped as they come

    cdef uint64_t draw(self, uint64_t below) noexcept
    cdef int emit(self, str event, dict fields) except -1

cdef inline bint tracing(Raft r) noexcept:
    return r.options.trace is not None
