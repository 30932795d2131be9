"""For those who explore every schedule of a small cluster (decision 8): a node's protocol state, and its timers.

A clone (``RawNode.clone``) is where a schedule branches; ``protocol_state`` says whether two branches have met again;
``set_elapsed`` makes the passing of time an event like any other.
"""

from raftcore.base.errors import ConfigError
from raftcore.check.protocol_state import LogState, ProgressState, ProtocolState, ReadState

from raftcore.algorithm.state cimport Raft
from raftcore.api.raw_node cimport RawNode
from raftcore.base.types cimport NO_LIMIT, StateLeader
from raftcore.log.log cimport RaftLog
from raftcore.membership.progress cimport Progress
from raftcore.membership.tracker cimport TrackerConfig
from raftcore.values.message cimport Entries, Entry, Message, Snapshot


cdef object log_state(RaftLog log):
    cdef Entry entry
    cdef Entries entries
    cdef Snapshot snapshot = log.unstable.snapshot
    cdef list found = []
    if log.first_index() <= log.last_index():
        entries = log.slice(log.first_index(), log.last_index() + 1, NO_LIMIT)
        for entry in entries:
            found.append((entry.term, entry.kind, entry.data))
    return LogState(
        log.snapshot_index, log.snapshot_term, tuple(found), log.committed, log.applying, log.applied,
        log.unstable.offset - 1, log.unstable.offset_in_progress - 1,
        None if snapshot is None else (snapshot.index, snapshot.term), log.unstable.rewrites,
    )


cdef object read_state(Raft r, object name):
    cdef Message request
    requests = []
    for round, index, request in r.reads.requests:
        requests.append((round, index, name(request.from_), request.context))
    return ReadState(
        r.reads.round,
        bool(r.reads.round_open),
        tuple(requests),
        tuple(sorted([(name(id), round) for id, round in r.reads.acknowledged.items()])),
        tuple([(name((<Message> m).from_), (<Message> m).context) for m in r.postponed_reads]),
    )


cdef tuple renamed(object ids, object name):
    return tuple(sorted([name(id) for id in ids]))


cdef tuple progress_states(Raft r, object name):
    cdef Progress pr
    found = [
        ProgressState(
            name(pr.id), pr.match, pr.next, pr.state, pr.sent_commit, pr.pending_snapshot, bool(pr.recent_active),
            bool(pr.msg_app_flow_paused), bool(pr.bare_probe), tuple(pr.inflights.messages()),
        )
        for pr in r.tracker.ordered
    ]
    return tuple(sorted(found))


cdef tuple suspicion_state(Raft r, object name):
    if r.suspicion.rounds == 0:
        return ()
    return (r.suspicion.index, r.suspicion.leader_term, name(r.suspicion.leader), r.suspicion.rounds,
            bool(r.suspicion.heartbeat), bool(r.suspicion.elapsed >= r.options.heartbeat_timeout))


cdef tuple conflict_state(object conflict, object name):
    return (conflict.index, conflict.term, name(conflict.leader), conflict.leader_term, conflict.current_term)


def protocol_state(node, rename=None):
    """What a node will do next, as values, without clocks, timers and random numbers.

    Args:
        node: a RawNode whose Ready has been taken.
        rename: node id -> node id: who is called what in the result; for joining states by symmetry of ids.

    Returns:
        raftcore.check.protocol_state.ProtocolState: hashable; equal for nodes in the same protocol state.

    Raises:
        ConfigError: something waits to be sent, or a lease makes the clock part of the state.
    """
    cdef Raft r = (<RawNode?> node).raft
    cdef Progress pr
    cdef TrackerConfig config = r.tracker.config
    if r.messages.count or r.after_append.count or r.waiting.count or r.read_states:
        raise ConfigError("take the Ready first: what waits to be sent is no part of the protocol state")
    if r.options.lease_ms != 0:
        raise ConfigError("with a lease the clock is part of the protocol state: lease_ms must be 0, not "
                          f"{r.options.lease_ms}")

    def name(id):
        return id if rename is None or id == 0 else rename[id]

    return ProtocolState(
        name(r.id), r.term, name(r.vote), r.state, name(r.lead), log_state(r.log),
        renamed(config.voters, name), renamed(config.voters_outgoing, name),
        renamed(config.learners, name), renamed(config.learners_next, name), bool(config.auto_leave),
        r.conf_index,
        tuple(sorted([(name(pr.id), pr.conf_index) for pr in r.tracker.ordered])),
        tuple(sorted([(name(id), bool(granted)) for id, granted in r.tracker.votes.items()])),
        progress_states(r, name) if r.state == StateLeader else (),
        read_state(r, name),
        name(r.transferee), r.pending_conf_index, r.uncommitted_size, r.takeover_pause, name(r.preferred),
        bool(r.election_elapsed >= r.options.election_timeout),
        renamed(r.witnesses or (), name),
        None if r.priorities is None else tuple(sorted([(name(id), rank) for id, rank in r.priorities.items()])),
        suspicion_state(r, name), () if r.conflict is None else conflict_state(r.conflict, name),
    )


def set_elapsed(node, int election_ticks, int heartbeat_ticks=0):
    """Pins how many ticks ago a node's timers began.

    Raises:
        ConfigError: a number of ticks below 0, or heartbeats that would be overdue.
    """
    cdef Raft r = (<RawNode?> node).raft
    if election_ticks < 0 or not 0 <= heartbeat_ticks < r.heartbeat_pause:
        raise ConfigError(f"elapsed ticks must be at least 0, and below {r.heartbeat_pause} for heartbeats, "
                          f"not {election_ticks} and {heartbeat_ticks}")
    r.election_elapsed = election_ticks
    r.heartbeat_elapsed = heartbeat_ticks
