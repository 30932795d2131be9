"""Where the members are reached: what the table says, and before it says anything what this node was given.

    this node's own          as it was given, since it is where the node listens or is known from outside
    anybody else             the member table; else what the settings say of the cluster at this start; else the
                             members as first given, which the store remembers

A member speaks to the members, whom the applied configuration names, and to whom the settings of this start name
beside them: it may have been cut off while all whom it knew as members were replaced. A node that is no member yet, or
none any more, speaks to all of whom it knows an address.
"""

from __future__ import annotations

from collections.abc import Mapping

from raftcore.values.message import ConfState
from raftpy.members.changes import members_of
from raftpy.members.table import MemberTable


class Addresses:
    """What one node knows of addresses beside the table."""

    def __init__(self, own_id: int, own: str, given: Mapping[int, str], first: Mapping[int, str]) -> None:
        """``own``: this node's; ``given``: of the cluster, at this start; ``first``: as first given."""
        self._own_id = own_id
        self._own = own
        self._given = given
        self._known = {**first, **given}
        self.begun_alone = len(first) == 1
        """There is one first member."""

    def members(self, conf: ConfState, table: MemberTable) -> dict[int, str]:
        """Node id to address of all members, by ascending id; empty where none is known."""
        return {node_id: self._of(node_id, table) for node_id in sorted(members_of(conf))}

    def peers(self, conf: ConfState, table: MemberTable) -> dict[int, str]:
        """Whom this node speaks to, itself among them: node id to address."""
        ids = {*members_of(conf), *(self._given.keys() - table.removed.keys()), self._own_id}
        if self._own_id not in members_of(conf):
            ids |= self._known.keys() - table.removed.keys()
        peers = {node_id: self._of(node_id, table) for node_id in sorted(ids)}
        return {node_id: address for node_id, address in peers.items() if address}

    def _of(self, node_id: int, table: MemberTable) -> str:
        if node_id == self._own_id:
            return self._own
        record = table.get(node_id)
        return (record.udp if record is not None else "") or self._known.get(node_id, "")
