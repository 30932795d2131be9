"""The Raft consensus algorithm and nothing else: no clock, no socket, no file, no unseeded random source."""

from __future__ import annotations

from raftcore.message import ConfState, Entries, Entry, HardState, Message, Snapshot
from raftcore.types import LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD, UNLIMITED, EntryKind, MessageType, StateType

__all__ = [
    "LOCAL_APPEND_THREAD",
    "LOCAL_APPLY_THREAD",
    "UNLIMITED",
    "ConfState",
    "Entries",
    "Entry",
    "EntryKind",
    "HardState",
    "Message",
    "MessageType",
    "Snapshot",
    "StateType",
]
