"""The vocabulary of the core: number types, the state, message and entry kinds, and the local targets."""

from enum import IntEnum
from typing import Final

LOCAL_APPEND_THREAD: Final = 18446744073709551615
"""Where MsgStorageAppend goes: no node has this id."""
LOCAL_APPLY_THREAD: Final = 18446744073709551614
"""Where MsgStorageApply goes: no node has this id."""
LARGEST_ID: Final = 18446744073709551613
"""The largest id that a node can have."""
UNLIMITED: Final = 18446744073709551615
"""No limit, for settings that are counts of bytes."""

class StateType(IntEnum):
    """The roles of a node (paper 5.1); a pre-candidate asks whether it could win an election (thesis 9.6), a
    quarantined node takes part in nothing any more (docs/design.md, decision 1)."""

    StateFollower = 0
    StateCandidate = 1
    StateLeader = 2
    StatePreCandidate = 3
    StateQuarantined = 4

class EntryKind(IntEnum):
    """What an entry's payload is: a command, a ConfChange, a ConfChangeV2, or nothing (a new leader's first, paper
    8)."""

    EntryNormal = 0
    EntryConfChange = 1
    EntryConfChangeV2 = 2
    EntryNoop = 3

class MessageType(IntEnum):
    """What a message says; docs/messages.md has a line for each. A frame's kind is the type's number, plus 1."""

    MsgHup = 0
    MsgBeat = 1
    MsgProp = 2
    MsgApp = 3
    MsgAppResp = 4
    MsgVote = 5
    MsgVoteResp = 6
    MsgSnap = 7
    MsgHeartbeat = 8
    MsgHeartbeatResp = 9
    MsgUnreachable = 10
    MsgSnapStatus = 11
    MsgCheckQuorum = 12
    MsgTransferLeader = 13
    MsgTimeoutNow = 14
    MsgReadIndex = 15
    MsgReadIndexResp = 16
    MsgPreVote = 17
    MsgPreVoteResp = 18
    MsgStorageAppend = 19
    MsgStorageAppendResp = 20
    MsgStorageApply = 21
    MsgStorageApplyResp = 22
    MsgForgetLeader = 23

def message_words(message_type: int) -> frozenset[str]: ...
