"""Raft for Python: replicate your own state, durably.

async with Node(Config(id=1, cluster={1: "127.0.0.1:7101", ...}, data_dir="n1"), machine) as node:
    result = await node.propose(b"command")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from raftcore.base.conflict import Conflict
    from raftcore.base.errors import ConfigError, RaftError
    from raftpy.blocking import BlockingNode
    from raftpy.blocking_members import BlockingMembers
    from raftpy.config import Config, format_cluster, parse_cluster
    from raftpy.contracts.clock import Clock
    from raftpy.contracts.errors import (
        ApplyError,
        ApplyFailed,
        ChangeRefused,
        ForeignDirectory,
        NoSnapshots,
        NoState,
        NotLeader,
        NotOwner,
        NotUnderstood,
        Overloaded,
        Quarantined,
        Removed,
        RestoreFailed,
        SnapshotDamaged,
        SnapshotFailed,
        Stopped,
        StorageDamaged,
        StorageFailed,
        StorageLocked,
        Timeout,
        TooLarge,
        TransportFailed,
        WrongIdentity,
    )
    from raftpy.contracts.state_machine import (
        BatchStateMachine,
        InMemoryStateMachine,
        OnDiskStateMachine,
        SavedState,
        StateMachine,
        StateView,
    )
    from raftpy.contracts.storage import Storage, Written
    from raftpy.contracts.transport import Transport
    from raftpy.members.changes import AddMember, DemoteMember, PromoteMember, RemoveMember, SetAddress
    from raftpy.node import Node
    from raftpy.runtime.commits import Commit
    from raftpy.runtime.member_calls import Member, Members, Membership
    from raftpy.runtime.pending_proposals import Proposal
    from raftpy.runtime.reads import Read
    from raftpy.runtime.starting import StartProgress
    from raftpy.runtime.status import IncomingSnapshot, MemberStatus, NodeStatus, PeerProgress
    from raftpy.transport.exchange.unreliable import Unreliable

__version__ = "0.1.0"

__all__ = [
    "AddMember",
    "ApplyError",
    "ApplyFailed",
    "BatchStateMachine",
    "BlockingMembers",
    "BlockingNode",
    "ChangeRefused",
    "Clock",
    "Commit",
    "Config",
    "ConfigError",
    "Conflict",
    "DemoteMember",
    "ForeignDirectory",
    "InMemoryStateMachine",
    "IncomingSnapshot",
    "Member",
    "MemberStatus",
    "Members",
    "Membership",
    "NoSnapshots",
    "NoState",
    "Node",
    "NodeStatus",
    "NotLeader",
    "NotOwner",
    "NotUnderstood",
    "OnDiskStateMachine",
    "Overloaded",
    "PeerProgress",
    "PromoteMember",
    "Proposal",
    "Quarantined",
    "RaftError",
    "Read",
    "RemoveMember",
    "Removed",
    "RestoreFailed",
    "SavedState",
    "SetAddress",
    "SnapshotDamaged",
    "SnapshotFailed",
    "StartProgress",
    "StateMachine",
    "StateView",
    "Stopped",
    "Storage",
    "StorageDamaged",
    "StorageFailed",
    "StorageLocked",
    "Timeout",
    "TooLarge",
    "Transport",
    "TransportFailed",
    "Unreliable",
    "Written",
    "WrongIdentity",
    "__version__",
    "format_cluster",
    "parse_cluster",
]

_HOMES = {
    "raftcore.base.conflict": ("Conflict",),
    "raftcore.base.errors": ("ConfigError", "RaftError"),
    "raftpy.blocking": ("BlockingNode",),
    "raftpy.blocking_members": ("BlockingMembers",),
    "raftpy.config": ("Config", "format_cluster", "parse_cluster"),
    "raftpy.contracts.errors": (
        "ApplyError",
        "ApplyFailed",
        "ChangeRefused",
        "ForeignDirectory",
        "NotLeader",
        "NoSnapshots",
        "NoState",
        "NotOwner",
        "NotUnderstood",
        "Overloaded",
        "Quarantined",
        "Removed",
        "RestoreFailed",
        "SnapshotDamaged",
        "SnapshotFailed",
        "Stopped",
        "StorageDamaged",
        "StorageFailed",
        "StorageLocked",
        "Timeout",
        "TooLarge",
        "TransportFailed",
        "WrongIdentity",
    ),
    "raftpy.contracts.clock": ("Clock",),
    "raftpy.contracts.state_machine": (
        "BatchStateMachine",
        "InMemoryStateMachine",
        "OnDiskStateMachine",
        "SavedState",
        "StateMachine",
        "StateView",
    ),
    "raftpy.contracts.storage": ("Storage", "Written"),
    "raftpy.contracts.transport": ("Transport",),
    "raftpy.members.changes": ("AddMember", "DemoteMember", "PromoteMember", "RemoveMember", "SetAddress"),
    "raftpy.node": ("Node",),
    "raftpy.runtime.commits": ("Commit",),
    "raftpy.runtime.member_calls": ("Member", "Members", "Membership"),
    "raftpy.runtime.pending_proposals": ("Proposal",),
    "raftpy.runtime.reads": ("Read",),
    "raftpy.runtime.starting": ("StartProgress",),
    "raftpy.runtime.status": ("IncomingSnapshot", "MemberStatus", "NodeStatus", "PeerProgress"),
    "raftpy.transport.exchange.unreliable": ("Unreliable",),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    """Loads a public name's module when it is first asked for (PEP 562).

    Everything together takes a quarter of a second, which ``raftpy kv get`` and ``raftpy --version`` need none of.
    """
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(module), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
