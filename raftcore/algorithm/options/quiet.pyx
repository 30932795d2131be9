"""A quiet leader's longer pause between two heartbeats.

A heartbeat says that its sender leads (paper 5.2), and it repeats what was lost: the commit index, a round of reads,
and by its answer the entries that a follower lacks. Where everybody has acknowledged the whole log, and no round was
begun, neither entries nor rounds can be missing; for the first it is enough that two heartbeats fit into the shortest
election timeout. So the pause behind a heartbeat is

    quiet_heartbeat_timeout     nothing was appended and no round of reads was begun since the heartbeat before, and
                                all members hold the whole log, all of which is committed
    heartbeat_timeout           otherwise

A leader looks once an election timeout whether it still has a quorum (thesis 6.2). Where that would wake it in the
middle of the longer pause it looks with the heartbeat before, so that a quiet leader wakes up for heartbeats alone; but
not before two such pauses have passed since the last look, so that of two heartbeats one may be lost:

    heartbeats   |------|------|------|------|          with the defaults' 7 and 15 ticks: looks after 14
    looks        |-------------|-------------|

The commit index can be missing: the heartbeat that begins the longer pause may be the first behind the commit, and so
the first to repeat what was told by an append. Where both are lost, a follower that has the entries learns that they
are committed from the next heartbeat, later than with a busy leader by the difference between the two pauses. Nobody
who proposes or reads at the leader waits for that; nor is it told again that everybody knows it, which no answer says.

What happens in the longer pause is sent at once, as ever. If that is lost it is repeated later than by a busy leader,
by the same difference, once: the next pause is the shorter one.
"""

from libc.stdint cimport uint64_t

from raftcore.algorithm.state cimport Raft
from raftcore.base.types cimport index_t
from raftcore.membership.progress cimport Progress


cdef void restart(Raft r) noexcept:
    """A role begins: as leader it has something to tell, the empty entry of its term."""
    r.heartbeat_pause = r.options.heartbeat_timeout
    r.heartbeat_last = 0
    r.heartbeat_round = 0


cdef int heartbeat_sent(Raft r, uint64_t round_before) except -1:
    """A leader has sent its heartbeats: how many ticks until the next. ``round_before``: the newest round of reads
    until then, as with a lease the heartbeat has begun another one."""
    cdef index_t last
    cdef bint quiet
    if r.options.quiet_heartbeat_timeout == r.options.heartbeat_timeout:
        return 0
    last = r.log.last_index()
    quiet = r.heartbeat_last == last and r.log.committed == last and all_hold(r, last)
    quiet = quiet and r.heartbeat_round == round_before and not r.reads.requests
    r.heartbeat_pause = r.options.quiet_heartbeat_timeout if quiet else r.options.heartbeat_timeout
    r.heartbeat_last = last
    r.heartbeat_round = r.reads.round
    return 0


cdef bint looks_early(Raft r) noexcept:
    """Behind a heartbeat: is this the time to look, as the election timeout ends in the middle of the longer pause?"""
    return (r.heartbeat_pause > r.options.heartbeat_timeout and r.transferee == 0
            and r.election_elapsed >= 2 * r.heartbeat_pause
            and r.election_elapsed + r.heartbeat_pause > r.options.election_timeout)


cdef bint all_hold(Raft r, index_t last) except -1:
    cdef Progress pr
    for pr in r.tracker.ordered:
        if pr.match != last:
            return False
    return True
