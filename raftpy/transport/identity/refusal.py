"""The refusal frame: what a node tells an incarnation of a peer that it does not take for the peer.

    byte 0      version, 1
    byte 1      why: 1 an older start, 2 a second start of the same state, 3 another data directory than the node's,
                4 the node was removed from the cluster
    then        of 4: u64, the index of the configuration entry that removed it; of the others nothing yet; a reader
                passes over what a later version puts here

It is said to exactly the incarnation that is refused, whose store and boot stand in the datagram's header: no other one
heeds it, and only who has heard that incarnation can name it. Nothing answers it, and it is said once a second at most
to each incarnation, and to a few of one peer, so that neither a loop nor a flood comes of it. What a node makes of it
is a line in its log and in its status; it goes on as before, and forgets it as soon as the peer says anything else to
it.
"""

from __future__ import annotations

import enum
from struct import Struct

from raftcore.base.errors import DecodeError
from raftcore.wire.codec import FRAME_TRANSPORT

FRAME_REFUSAL: int = FRAME_TRANSPORT + 1
"""Kind of the frame; see hello.py."""
REFUSAL_VERSION = 1
REFUSED_AGAIN_S = 1.0
"""The least time between two refusals to the same incarnation of a peer, whatever it says."""
_INDEX = Struct("<Q")
MOST_REFUSED = 8
"""Incarnations of a peer that are refused within that time: anybody can write a header with another one."""

_ADVICE = (
    "nothing it says counts; run one of the directories only, the newest, or bring the node back under a new node id "
    "with an empty directory"
)


class Refusal(enum.IntEnum):
    """Why an incarnation is refused."""

    OLDER_START = 1
    SECOND_START = 2
    OTHER_STORE = 3
    REMOVED = 4

    def describe(self, peer_id: int) -> str:
        """For people, from the side of the node that is refused."""
        if self is Refusal.REMOVED:
            return f"node {peer_id} says that this node was removed from the cluster"
        if self is Refusal.OLDER_START:
            what = "it has heard a later start of this data directory: an old copy was put back, or two of them run"
        elif self is Refusal.OTHER_STORE:
            return (
                f"node {peer_id} refuses this node: it knows this node id by another data directory; this one was "
                "emptied or replaced and has forgotten what the other promised; nothing it says counts; bring back the "
                "other, or start under a new node id with an empty directory"
            )
        else:
            what = "it has heard another start from the same state of this data directory: one of them is a copy"
        return f"node {peer_id} refuses this node: {what}; {_ADVICE}"


def encode_refusal(reason: Refusal) -> bytes:
    """The frame's body."""
    return bytes((REFUSAL_VERSION, reason))


def encode_removal(index: int) -> bytes:
    """The frame's body for a node that the configuration entry at ``index`` removed."""
    return encode_refusal(Refusal.REMOVED) + _INDEX.pack(index)


def decode_removal(body: bytes | memoryview) -> int:
    """The index in a frame with the reason ``REMOVED``. Raises ``DecodeError``."""
    raw = bytes(body[2 : 2 + _INDEX.size])
    index = _INDEX.unpack(raw)[0] if len(raw) == _INDEX.size else 0
    if not index:
        raise DecodeError(f"refusal frame of {len(body)} bytes does not say which entry removed this node")
    return int(index)


def decode_refusal(body: bytes | memoryview) -> Refusal:
    """Why. Raises ``DecodeError`` for another version or a reason that is not known."""
    raw = bytes(body[:2])
    if len(raw) < 2 or raw[0] != REFUSAL_VERSION:
        raise DecodeError(f"refusal frame of {len(body)} bytes is not of version {REFUSAL_VERSION}")
    try:
        return Refusal(raw[1])
    except ValueError:
        known = ", ".join(str(int(reason)) for reason in Refusal)
        raise DecodeError(f"refusal frame gives the reason {raw[1]}: {known} are known") from None
