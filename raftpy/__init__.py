"""Raft for Python: replicate your own state, durably.

    async with Node(Config(id=1, cluster={1: "127.0.0.1:7101", ...}, data_dir="n1"), machine) as node:
        result = await node.propose(b"command")
"""

from __future__ import annotations

from raftcore.errors import ConfigError, RaftError
from raftpy.blocking import BlockingNode
from raftpy.config import Config, format_cluster, parse_cluster
from raftpy.errors import (
    ApplyError,
    ApplyFailed,
    NotLeader,
    Overloaded,
    Stopped,
    StorageDamaged,
    StorageFailed,
    StorageLocked,
    Timeout,
    TooLarge,
    TransportFailed,
    WrongIdentity,
)
from raftpy.interfaces import BatchStateMachine, Clock, StateMachine, Storage, Transport
from raftpy.node import Node
from raftpy.runtime.commits import Commit
from raftpy.runtime.proposal import Proposal
from raftpy.runtime.status import MemberStatus, NodeStatus, PeerProgress
from raftpy.transport.unreliable import Unreliable

__version__ = "0.1.0"

__all__ = [
    "ApplyError",
    "ApplyFailed",
    "BatchStateMachine",
    "BlockingNode",
    "Clock",
    "Commit",
    "Config",
    "ConfigError",
    "MemberStatus",
    "Node",
    "NodeStatus",
    "NotLeader",
    "Overloaded",
    "PeerProgress",
    "Proposal",
    "RaftError",
    "StateMachine",
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
    "WrongIdentity",
    "__version__",
    "format_cluster",
    "parse_cluster",
]
