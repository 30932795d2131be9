"""What a node says about itself, put together from its parts at one moment."""

from __future__ import annotations

from raftcore.base.types import StateType
from raftpy.runtime.driver import Driver
from raftpy.runtime.status import (
    FAILED,
    ROLES,
    STOPPED,
    MemberStatus,
    NodeStatus,
    PeerProgress,
    why_refused,
    why_unserved,
)


def describe(driver: Driver) -> NodeStatus:
    """The node now. One that has stopped, by itself or not, has no role in its cluster and knows of no leader."""
    raw = driver.raw
    if driver.closed:
        role, leader = STOPPED if driver.failure is None else FAILED, None
    else:
        role, leader = ROLES[StateType(raw.state)], raw.leader or None
    members = _members(driver)
    return NodeStatus(
        id=driver.config.id,
        role=role,
        term=raw.term,
        leader=leader,
        first_index=raw.first_index,
        last_index=raw.last_index,
        commit_index=raw.commit_index,
        applied_index=driver.applying.applied,
        members=members,
        waits_for=() if driver.founding is None else driver.founding.waits_for,
        proposals=len(driver.proposals),
        transport=driver.transport.stats(),
        refused=why_refused(driver.config.id, members),
        quarantine=driver.quarantine.conflict,
        failure=None if driver.failure is None else str(driver.failure) or repr(driver.failure),
    )


def _members(driver: Driver) -> tuple[MemberStatus, ...]:
    transport = driver.transport
    progress = {} if driver.closed else _progress(driver)
    return tuple(
        MemberStatus(
            id=node_id,
            udp=udp,
            http=driver.member_operations.http(node_id),
            reachable=node_id == driver.config.id or (not driver.closed and transport.reachable(node_id)),
            progress=progress.get(node_id),
            priority=driver.member_operations.priority(node_id),
            refuses=None if driver.closed else transport.refused_by(node_id),
            quarantine=driver.quarantine.of(node_id),
            unserved=_unserved(driver, node_id, progress[node_id].match) if node_id in progress else None,
        )
        for node_id, udp in driver.members.items()
    )


def _progress(driver: Driver) -> dict[int, PeerProgress]:
    """Of every member; empty unless this node leads."""
    return {
        peer.id: PeerProgress(peer.match, peer.next, peer.state.removeprefix("State").lower())
        for peer in driver.raw.status().progress.values()
    }


def _unserved(driver: Driver, node_id: int, match: int) -> str | None:
    transport = driver.transport
    return why_unserved(transport.oversized(node_id), match, transport.max_datagram, driver.clock.monotonic())
