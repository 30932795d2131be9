"""Which disk may be harmed at rest, and when, so that what raftpy promises must still hold.

An emptied disk, and an older copy that is put back, have forgotten what they promised. What the others promise holds as
long as they are a majority, and remember the disk that was. They forget an older copy's later lives when they are
started again themselves (README.md, "Disk and memory"), so a copy is put back only where that makes no difference.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from raftpy.sim.cluster import Cluster, Life, Member
from raftpy.storage.leveldb.store import SNAPSHOTS
from raftpy.storage.snapshots.names import whole_ref


def may_be_harmed(cluster: Cluster, member: Member) -> bool:
    """Its disk was not harmed yet, and a majority of disks stays that was not."""
    harmed = sum(not other.trusted for other in cluster.members.values())
    return member.trusted and not member.lost and 2 * (harmed + 1) < len(cluster.ids)


def snapshots_of_one_group(member: Member) -> list[PurePath]:
    """The files of the snapshots of a group that has two at least, the oldest first; none where no group has."""
    refs = sorted((ref, path) for path in member.disk.paths() if (ref := whole_ref(path.name)) is not None)
    for group in sorted({ref.group for ref, _ in refs}):
        paths = [path for ref, path in refs if ref.group == group]
        if len(paths) > 1:
            return paths
    return []


def harm_snapshot(member: Member, how: int) -> None:
    """Harms one of those, mostly the newest, if there are any: ``how`` says which, and in what way."""
    disk, paths = member.disk, snapshots_of_one_group(member)
    if not paths:
        return
    oldest = how % 3 == 0
    path = paths[0 if oldest else -1]
    data = bytes(disk.contents(path).data)
    match how % 5:
        case 0:
            disk.lose(path)
        case 1:
            disk.rewrite(path, data[: how % len(data)])
        case 2:
            disk.rewrite(path, bytes(disk.contents(paths[-1 if oldest else 0]).data))
        case _:
            disk.flip_bit(path)


def may_lose_its_state(cluster: Cluster, member: Member) -> bool:
    """It did not yet, and a majority stays of those that did not, and whose disks were not harmed otherwise."""
    without = sum(other.lost_state or other.lost or not other.trusted for other in cluster.members.values())
    return not member.lost_state and not member.lost and member.trusted and 2 * (without + 1) < len(cluster.ids)


def log_begins_behind_a_snapshot(member: Member) -> bool:
    """In one of its groups, so that a start makes nothing of the log alone."""
    return member.life is not None and any(group.raw.first_index > 1 for group in member.life.groups.values())


def harm_all_snapshots(member: Member, how: int) -> None:
    """Whatever it has of them, whole or on its way: ``how`` says in what way."""
    disk = member.disk
    for path in [path for path in disk.paths() if path.parent.name == SNAPSHOTS]:
        data = bytes(disk.contents(path).data)
        if how % 3 == 0 or not data:
            disk.lose(path)
        elif how % 3 == 1:
            disk.rewrite(path, data[: how % len(data)])
        else:
            disk.flip_bit(path)
    member.lost_state = True


def nothing_to_lose(cluster: Cluster, member: Member) -> bool:
    """Whether all that ``member`` has ever promised stays true without it.

    All others live, and have heard its present life, so that they will refuse an earlier one. In each group they follow
    one leader, one of themselves, in a term that is durable for all of them and not below the member's: nobody stands
    in a term for which it has voted. And each of them holds its whole log, durably: so whoever wins has what it
    acknowledged, and a leader that counts on it counts on nothing that the others lack.
    """
    life = member.life
    if life is None or not life.serves or not life.takes_part:
        return False
    others = [other for other in cluster.members.values() if other is not member]
    lives = [other.life for other in others if other.life is not None and other.trusted and other.life.serves]
    if len(lives) < len(others) or not all(_has_heard(other, member.node, life) for other in lives):
        return False
    return all(_hold(group, life, lives) for group in life.groups)


def _has_heard(other: Life, node: int, life: Life) -> bool:
    transport: Any = other.host.transport
    storage: Any = other.storage
    assert life.host.driver is not None
    if not other.takes_part or storage._failure is not None or storage._writer._under_way:
        return False
    peer = transport._gate.peers.get(node)
    return peer is not None and peer.incarnation.boot == life.host.driver.boot


def _hold(group: int, life: Life, others: list[Life]) -> bool:
    raw = life.groups[group].raw
    leaders = set()
    for other in others:
        storage: Any = other.storage
        its, head = other.groups[group].raw, storage._groups[group].head
        if its.leader in (0, life.process.node) or its.term < raw.term or head.term != its.term:
            return False
        if head.last_index < raw.last_index or its.term_at(raw.last_index) != raw.last_term:
            return False
        leaders.add((its.term, its.leader))
    return len(leaders) == 1
