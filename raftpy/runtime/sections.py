"""What is in a snapshot: its sections beside those of ``raftpy.storage.snapshots.metadata``, in this order.

configuration, log-time    what the core knows of it
members                    group 0's alone: the member table, in its own byte form (docs/wire-format.md)
state                      the state machine's bytes; the version is the machine's own
"""

from __future__ import annotations

from raftpy.contracts.typed import TypeHeader
from raftpy.members.own_entries import MEMBERS
from raftpy.storage.snapshots.metadata import CONFIGURATION, LOG_TIME

STATE = "state"
"""Name of the state machine's section."""


def state_header(version: int) -> TypeHeader:
    """Of the section with a machine's bytes. Raises ``ValueError`` for a version that is none."""
    return TypeHeader(STATE, version)


def known_sections(version: int) -> dict[str, int]:
    """Name -> newest version of what a node reads whose state machine has this ``state_version``."""
    return {header.name: header.version for header in (CONFIGURATION, LOG_TIME, MEMBERS)} | {STATE: version}
