"""The Raft consensus algorithm and nothing else: no clock, no socket, no file, no unseeded random source."""

from __future__ import annotations

from raftcore.changes import ConfChange, ConfChangeTransition, ConfChangeType, ConfChangeV2, ProposedChange
from raftcore.config import Config
from raftcore.conflict import Conflict
from raftcore.message import ConfState, Entries, Entry, HardState, Message, Snapshot
from raftcore.outbox import Outbox
from raftcore.raw_node import RawNode
from raftcore.ready import Ready, SoftState
from raftcore.status import PeerProgress, Status
from raftcore.storage_view import InitialState, StorageView
from raftcore.types import LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD, UNLIMITED, EntryKind, MessageType, StateType

__all__ = [
    "LOCAL_APPEND_THREAD",
    "LOCAL_APPLY_THREAD",
    "UNLIMITED",
    "ConfChange",
    "ConfChangeTransition",
    "ConfChangeType",
    "ConfChangeV2",
    "ConfState",
    "Config",
    "Conflict",
    "Entries",
    "Entry",
    "EntryKind",
    "HardState",
    "InitialState",
    "Message",
    "MessageType",
    "Outbox",
    "PeerProgress",
    "ProposedChange",
    "RawNode",
    "Ready",
    "Snapshot",
    "SoftState",
    "StateType",
    "Status",
    "StorageView",
]
