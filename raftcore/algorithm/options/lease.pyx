"""The leader's lease: reads without a round trip, as long as nobody else can have been elected (thesis 6.4.1).

Whoever answers a heartbeat of this leader refuses every vote for a minimum election timeout from then on, also after
its own restart (election.in_lease). So once a quorum has answered a round, nobody can win an election for that long,
counted from the moment the round was SENT. ``lease_ms`` is that time less what the clocks may drift apart meanwhile;
the driver derives it, and its ``now_ms`` must run like a stopwatch: never back, never stepped.

    round sent          answered by a quorum                                      lease_ms after the send
        |------------------------|===================== reads at once ==================|
        |                        |--------- the voters refuse until at least here ---------|

Three things end it early: another role, another configuration (a quorum of the old one may not overlap with one of the
next but one), and a leadership transfer, whose target is voted for in spite of the lease.
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
