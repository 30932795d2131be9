"""The frame that says where in its lane a datagram belongs (docs/wire-format.md, "Lanes").

    u32 version 1, u32 reserved 0, u64 lane, u64 number, u64 oldest

It opens the datagram; its group is 0. Each value has one encoding, and what is not allowed is refused.
"""

from __future__ import annotations

from struct import Struct

from raftcore.base.errors import DecodeError
from raftcore.wire.codec import FRAME_TRANSPORT

FRAME_LANE: int = FRAME_TRANSPORT + 14
LANE_VERSION = 1

_LANE = Struct("<IIQQQ")


def encode_place(lane: int, number: int, oldest: int) -> bytes:
    """The body: the ``number``-th datagram of that lane, of which nothing before ``oldest`` is on its way any more."""
    return _LANE.pack(LANE_VERSION, 0, lane, number, oldest)


def decode_place(group: int, body: bytes | memoryview) -> tuple[int, int, int]:
    """(lane, number, oldest) of a body; ``group`` is the frame's. DecodeError."""
    if group:
        raise DecodeError(f"a place in a lane of group {group}: it is of none")
    if len(body) != _LANE.size:
        raise DecodeError(f"{len(body)} bytes where a place in a lane takes {_LANE.size}")
    version, reserved, lane, number, oldest = _LANE.unpack(body)
    if version != LANE_VERSION or reserved:
        raise DecodeError(f"a place in a lane of version {version}, reserved {reserved}: no such thing is known")
    if not 0 < oldest <= number or lane == 0:
        raise DecodeError(f"number {number} of lane {lane}, the oldest {oldest}: all are counted from 1")
    return lane, number, oldest
