"""Changes of the member table and of the members, as they are asked for on the leader of group 0.

Each waits until what it asks for is applied here, and raises ``NotLeader`` where this node does not lead; what else
comes of it is for ``raftpy.members.operations`` to say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from raftpy.members.changes import MemberChange
from raftpy.members.operations import MemberOperations
from raftpy.runtime.group import Group


async def set_priority(group: Group, node_id: int, priority: int) -> None:
    """Puts the member's priority into the table."""
    await _change(group, lambda operations, done: operations.request_priority(node_id, priority, done))


async def set_max_command(group: Group, max_command: int) -> None:
    """Puts the largest command, in bytes, into the table."""
    await _change(group, lambda operations, done: operations.request_limit(max_command, done))


async def change_members(group: Group, changes: Sequence[MemberChange], expected: int | None, safe: bool) -> int:
    """Changes the members. Returns the index of the configuration that they then have, once that is so for good."""
    done: asyncio.Future[int] = _future(group)
    _operations(group).request_change(changes, expected, safe, done)
    group.schedule()
    return await done


async def _change(group: Group, request: Callable[[MemberOperations, asyncio.Future[None]], object]) -> None:
    """``request`` hands in a change; returns when it is applied here."""
    done: asyncio.Future[None] = _future(group)
    request(_operations(group), done)
    group.schedule()
    await done


def _operations(group: Group) -> MemberOperations:
    assert group.member_operations is not None
    return group.member_operations


def _future(group: Group) -> asyncio.Future[Any]:
    group.require_leader()
    return asyncio.get_running_loop().create_future()
