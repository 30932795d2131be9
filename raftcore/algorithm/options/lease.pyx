"""The leader's lease: reads without a round trip, as long as nobody else can have been elected (thesis 6.4.1).

Whoever answers a heartbeat of this leader refuses every vote for a minimum election timeout from then on, also after
its own restart (election.promised_lease). So once a quorum has answered a round, nobody can win an election for that
long, counted from the moment the round was SENT. ``lease_ms`` is that time less what the clocks may drift apart
meanwhile; whoever drives the core derives it, and its ``now_ms`` must run like a stopwatch: never back, never stepped.
The runtime of raftpy does not use leases yet.

    round sent          answered by a quorum                                      lease_ms after the send
        |------------------------|===================== reads at once ==================|
        |                        |--------- the voters refuse until at least here ---------|

When it ends:

    holds       lease_ms after the send of the newest round that a quorum has answered: it expires.
    restart     With another role or another configuration (a quorum of the old one may not overlap with one of the next
                but one): rounds sent before that confirm nothing. The next confirmed round begins it anew.
    give_up     When a transfer tells its target to stand (MsgTimeoutNow), which is voted for in spite of the lease. Not
                when the transfer is ordered: while the target catches up nobody votes. It does not come back in this
                term, since the target's election may come at any time, even after the transfer has failed.
    new_term    Takes that back: in another term there is nothing to hold against a new leader's lease.
"""

from libc.stdint cimport uint64_t

from raftcore.algorithm.state cimport Raft


cdef enum:
    ROUNDS_KEPT = 256  # unanswered rounds whose send time is remembered; older ones just confirm nothing


cdef int round_sent(Raft r) except -1:
    """The round r.reads.round goes out now."""
    if r.options.lease_ms != 0:
        r.round_times[r.reads.round] = r.now_ms
        if len(r.round_times) > ROUNDS_KEPT:
            del r.round_times[next(iter(r.round_times))]
    return 0


cdef int round_confirmed(Raft r, uint64_t round) except -1:
    """A quorum has answered this round, hence every earlier one."""
    cdef uint64_t sent
    if r.options.lease_ms == 0 or round == 0:
        return 0
    known = r.round_times.get(round)
    if known is None:
        return 0
    sent = known
    r.lease_until = max(r.lease_until, sent + r.options.lease_ms)
    for older in [number for number in r.round_times if number <= round]:
        del r.round_times[older]
    return 0


cdef bint holds(Raft r) noexcept:
    """May this leader answer reads from its own state right now?"""
    return r.options.lease_ms != 0 and not r.lease_given_up and r.now_ms < r.lease_until


cdef void restart(Raft r) noexcept:
    """What was confirmed so far no longer counts: the role or the configuration has changed."""
    r.lease_until = 0
    r.round_times = {}


cdef void give_up(Raft r) noexcept:
    """The target of a transfer is told to stand: no lease for the rest of this term."""
    r.lease_given_up = True


cdef void new_term(Raft r) noexcept:
    """Whoever leads in the term that begins may have a lease again."""
    r.lease_given_up = False
