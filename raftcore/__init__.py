"""The Raft consensus algorithm and nothing else: no clock, no socket, no file, no unseeded random source."""

from __future__ import annotations

from raftcore.api.outbox import Outbox
from raftcore.api.raw_node import RawNode
from raftcore.api.ready import Ready, SoftState
from raftcore.api.status import ProgressStatus, Status
from raftcore.base.config import Config
from raftcore.base.conflict import Conflict
from raftcore.base.types import LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD, UNLIMITED, EntryKind, MessageType, StateType
from raftcore.values.changes import ConfChange, ConfChangeTransition, ConfChangeType, ConfChangeV2, ProposedChange
from raftcore.values.message import ConfState, Entries, Entry, HardState, Message, Snapshot
from raftcore.values.storage_view import InitialState, PagedStorageView, StorageView

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
    "PagedStorageView",
    "ProgressStatus",
    "ProposedChange",
    "RawNode",
    "Ready",
    "Snapshot",
    "SoftState",
    "StateType",
    "Status",
    "StorageView",
]
