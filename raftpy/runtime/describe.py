"""What a node says about itself, put together from its parts at one moment."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from raftcore.base.types import StateType
from raftpy.contracts.storage import Written
from raftpy.runtime.group import Group
from raftpy.runtime.status import (
    FAILED,
    ROLES,
    STOPPED,
    IncomingSnapshot,
    MemberStatus,
    NodeStatus,
    PeerProgress,
    why_refused,
    why_unserved,
)


def describe(group: Group) -> NodeStatus:
    """The node now. One that has stopped, by itself or not, has no role in its cluster and knows of no leader."""
    raw = group.raw
    failure = group.why_ended
    if group.closed:
        role, leader = STOPPED if failure is None else FAILED, None
    else:
        role, leader = ROLES[StateType(raw.state)], raw.leader or None
    members = _members(group)
    return NodeStatus(
        id=group.config.id,
        role=role,
        term=raw.term,
        leader=leader,
        first_index=raw.first_index,
        snapshot_index=group.snapshots.newest,
        last_index=raw.last_index,
        commit_index=raw.commit_index,
        applied_index=group.applying.applied,
        members=members,
        waits_for=group.host.waits_for,
        proposals=len(group.proposals),
        transport=group.transport.stats(),
        refused=why_refused(group.config.id, members),
        quarantine=group.quarantine.conflict,
        failure=None if failure is None else str(failure) or repr(failure),
        incoming_snapshot=_incoming(group),
        snapshot_failure=group.snapshots.failure,
        without_state=group.pulling.describe() if group.lacks_state and not group.closed else None,
        damage=group.host.damage,
        written=_written(group),
    )


def _written(group: Group) -> Written | None:
    if group.closed:  # the store may be one that is being closed
        return None
    written: Callable[[], Written] | None = getattr(group.host.storage, "written", None)
    return None if written is None else written()


def _incoming(group: Group) -> IncomingSnapshot | None:
    offer, pulling = group.installing.offer, group.pulling
    if group.closed:
        return None
    if offer is not None and offer.snapshot is not None:
        index, source, size = offer.snapshot.index, offer.from_, group.installing.size
        restoring = group.raw.first_index > index
    elif pulling.ref is not None:
        index, source, size = pulling.ref.index, pulling.source, pulling.size
        restoring = size is not None
    else:
        return None
    came = group.fetching.progress(group.id)
    if came is not None and came.ref.index == index:
        return IncomingSnapshot(index, source, came.position, came.size, restoring)
    return IncomingSnapshot(index, source, size or 0, size, restoring)


def _members(group: Group) -> tuple[MemberStatus, ...]:
    host, transport = group.host, group.transport
    progress = {} if group.closed else _progress(group)
    return tuple(
        MemberStatus(
            id=node_id,
            udp=udp,
            http=host.http(node_id),
            reachable=node_id == group.config.id or (not host.closed and transport.reachable(node_id)),
            progress=progress.get(node_id),
            priority=host.priority(node_id),
            refuses=None if host.closed else transport.refused_by(node_id),
            quarantine=group.quarantine.of(node_id),
            unserved=_unserved(group, node_id, progress[node_id].match) if node_id in progress else None,
        )
        for node_id, udp in _addresses(group).items()
    )


def _addresses(group: Group) -> Mapping[int, str]:
    """Of the members: group 0 is on every host of the table, another group on those of its configuration."""
    table = group.host.members
    if not group.id:
        return table
    conf = group.raw.conf_state
    ids = {*conf.voters, *conf.voters_outgoing, *conf.learners, *conf.learners_next}
    return {node_id: udp for node_id, udp in table.items() if node_id in ids}


def _progress(group: Group) -> dict[int, PeerProgress]:
    """Of every member; empty unless this node leads."""
    return {
        peer.id: PeerProgress(peer.match, peer.next, peer.state.removeprefix("State").lower())
        for peer in group.raw.status().progress.values()
    }


def _unserved(group: Group, node_id: int, match: int) -> str | None:
    transport = group.transport
    return why_unserved(transport.oversized(node_id), match, transport.max_datagram, group.clock.monotonic())
