"""What is in a snapshot: its sections beside those of ``raftpy.storage.snapshots.metadata``, in this order.

configuration, log-time    what the core knows of it
members                    group 0's alone: the member table, in its own byte form (docs/wire-format.md)
state                      the state machine's bytes; the version is the machine's own
"""

from __future__ import annotations

from raftpy.contracts.typed import TypeHeader
from raftpy.members.own_entries import MEMBERS
from raftpy.members.table import REMOVED_VERSION
from raftpy.storage.snapshots.metadata import CONFIGURATION, LOG_TIME

SAYS_WHO_WAS_REMOVED = TypeHeader(MEMBERS.name, 2)
"""Of a member table that older releases would misread: they would let a removed id in again."""
STATE = "state"
"""Name of the state machine's section."""


def state_header(version: int) -> TypeHeader:
    """Of the section with a machine's bytes. Raises ``ValueError`` for a version that is none."""
    return TypeHeader(STATE, version)


def members_header(table: bytes) -> TypeHeader:
    """Of the section with a member table's bytes."""
    return SAYS_WHO_WAS_REMOVED if table[0] == REMOVED_VERSION else MEMBERS


def known_sections(version: int) -> dict[str, int]:
    """Name -> newest version of what a node reads whose state machine has this ``state_version``."""
    newest = (CONFIGURATION, LOG_TIME, SAYS_WHO_WAS_REMOVED)
    return {header.name: header.version for header in newest} | {STATE: version}
