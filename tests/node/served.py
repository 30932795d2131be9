"""A cluster whose nodes serve HTTP, as they say, and what can be seen of its member table."""

from __future__ import annotations

import asyncio
from typing import Any

from raftcore.base.types import EntryKind
from raftpy import Node
from raftpy.members.operations import MemberOperations
from raftpy.members.table import MemberRecord, MemberTable
from raftpy.runtime.group import Group
from tests.node.harness import Cluster
from tests.node.loop import run

NEXT_LIFE_MS = 1500
"""Long enough for a hello, its entry and every follower's commit."""


class Served(Cluster):
    """Every node says where it serves HTTP."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.http = {i: f"127.0.0.1:{8100 + i}" for i in self.ids}


def serve(kind: str, size: int, seed: int, scenario: Any, **settings: Any) -> None:
    async def main() -> None:
        async with Served(kind, size, seed, **settings) as cluster:
            await scenario(cluster)
            cluster.same_order()

    run(main()) if kind.startswith("memory") else asyncio.run(main())


def group(node: Node) -> Group:
    return node._running


def operations(node: Node) -> MemberOperations:
    found = group(node).member_operations
    assert found is not None
    return found


def table(node: Node) -> MemberTable:
    return operations(node).table


def expected(cluster: Cluster) -> MemberTable:
    """The table when everybody has been heard and nothing was asked for."""
    return MemberTable(
        {i: MemberRecord(cluster.addresses[i], cluster.http.get(i, ""), cluster.disks[i].store_id) for i in cluster.ids}
    )


def changes(node: Node) -> list[int]:
    """Indexes of the configuration entries in the node's log, and nothing beside them but commands and no-ops."""
    status = node.status()
    entries = group(node).stored.entries(1, status.last_index + 1, 1 << 30)
    return [e.index for e in entries if e.kind in (EntryKind.EntryConfChange, EntryKind.EntryConfChangeV2)]


def no_change_refused(node: Node) -> bool:
    """Whether the no-ops in the node's log are those that leaders begin their terms with: a refused change would leave
    one more. A term may have no entry at all, as votes split."""
    status = node.status()
    entries = group(node).stored.entries(1, status.last_index + 1, 1 << 30)
    return [e.term for e in entries if e.kind == EntryKind.EntryNoop] == sorted({e.term for e in entries})


def leads(cluster: Cluster) -> int:
    """Whom all connected nodes follow; 0: nobody."""
    return (cluster._agreed() or (0, 0))[0]


async def agreed(cluster: Cluster, wanted: MemberTable) -> None:
    await cluster.until(
        lambda: all(table(cluster.nodes[i]) == wanted for i in cluster.connected), "the same table everywhere"
    )


def https(node: Node) -> dict[int, str | None]:
    return {member.id: member.http for member in node.status().members}
