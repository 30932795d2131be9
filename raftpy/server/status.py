"""What a node says about itself: /v1/status and /healthz."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from aiohttp import web

from raftpy import Conflict, NoState, Quarantined
from raftpy.server.errors import json_response, no_state, quarantined, refused, takes_no_part

if TYPE_CHECKING:
    from raftpy import MemberStatus
    from raftpy.node import Node


class StatusHandlers:
    """Both answer at once, from what this node knows; nobody else is asked."""

    def __init__(self, node: Node) -> None:
        self._node = node

    async def status(self, request: web.BaseRequest) -> web.StreamResponse:
        """All of ``Node.status()``, under the names it has there."""
        status = self._node.status()
        voters = {member.id for member in self._node.members.list().members if member.voter}
        members = [
            _member(member, member.id in voters) for member in sorted(status.members, key=lambda member: member.id)
        ]
        return json_response(
            {
                "id": status.id,
                "role": status.role,
                "failure": status.failure,
                "refused": status.refused,
                "quarantine": conflict_of(status.quarantine),
                "term": status.term,
                "leader": status.leader,
                "first_index": status.first_index,
                "snapshot_index": status.snapshot_index,
                "without_state": status.without_state,
                "incoming_snapshot": None if status.incoming_snapshot is None else asdict(status.incoming_snapshot),
                "snapshot_failure": status.snapshot_failure,
                "damage": status.damage,
                "written": None if status.written is None else asdict(status.written),
                "last_index": status.last_index,
                "commit_index": status.commit_index,
                "applied_index": status.applied_index,
                "waits_for": status.waits_for,
                "proposals": status.proposals,
                "members": members,
                "transport": status.transport,
            }
        )

    async def health(self, request: web.BaseRequest) -> web.StreamResponse:
        """200 as long as the node takes part; a node without a leader is healthy, its cluster may not be.

        503 ``failed`` for a node that has stopped by itself, ``stopped`` for one that was stopped,
        ``quarantined`` for one that is, ``refused`` for one that its peers do not take for what it says it is, and
        ``no_state`` for one that has its log alone, and gets its state from another.
        """
        status = self._node.status()
        if status.role in ("failed", "stopped"):
            raise takes_no_part(status.role, status.failure)
        if status.quarantine is not None:
            raise quarantined(str(Quarantined(status.id, status.quarantine)))
        if status.refused is not None:
            raise refused(status.refused)
        if status.without_state is not None:
            raise no_state(str(NoState(status.id, status.without_state)))
        return json_response({"status": "ok", "id": status.id, "leader": status.leader})


def _member(member: MemberStatus, voter: bool) -> dict[str, object]:
    progress = member.progress
    return {
        "id": member.id,
        "udp": member.udp,
        "http": member.http,
        "voter": voter,
        "reachable": member.reachable,
        "match": None if progress is None else progress.match,
        "next": None if progress is None else progress.next,
        "state": None if progress is None else progress.state,
        "priority": member.priority,
        "refuses": member.refuses,
        "unserved": member.unserved,
        "quarantine": conflict_of(member.quarantine),
    }


def conflict_of(conflict: Conflict | None) -> dict[str, object] | None:
    """Why a node is quarantined, as JSON: the fields of ``raftpy.Conflict``, and ``message`` for people."""
    return None if conflict is None else {**asdict(conflict), "message": conflict.describe()}
