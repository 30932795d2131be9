"""The vocabulary of the core: number types, the state, message and entry kinds, and the local targets."""

from enum import IntEnum
from typing import Final

LOCAL_APPEND_THREAD: Final = 18446744073709551615
LOCAL_APPLY_THREAD: Final = 18446744073709551614
LARGEST_ID: Final = 18446744073709551613
UNLIMITED: Final = 18446744073709551615

class StateType(IntEnum):
    StateFollower = 0
    StateCandidate = 1
    StateLeader = 2
    StatePreCandidate = 3
    StateQuarantined = 4

class EntryKind(IntEnum):
    EntryNormal = 0
    EntryConfChange = 1
    EntryConfChangeV2 = 2
    EntryNoop = 3

class MessageType(IntEnum):
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
