"""The frames that try what size of datagrams a path takes (docs/wire-format.md, "Probes of the path").

    probe      u32 version 1, u32 size, u64 number, then zeros up to the datagram's end, which is at ``size``
    answer     u32 version 1, u32 size, u64 number: those of the probe

The group is 0. Each value has one encoding, and what is not allowed is refused.
"""

from __future__ import annotations

from struct import Struct

from raftcore.base.errors import DecodeError
from raftcore.wire.codec import DATAGRAM_HEADER_SIZE, FRAME_HEADER_SIZE, FRAME_TRANSPORT

FRAME_PROBE: int = FRAME_TRANSPORT + 7
FRAME_PROBE_ANSWER: int = FRAME_TRANSPORT + 8
PROBE_FRAMES = (FRAME_PROBE, FRAME_PROBE_ANSWER)
PROBE_VERSION = 1

_PROBE = Struct("<IIQ")
OVERHEAD: int = DATAGRAM_HEADER_SIZE + FRAME_HEADER_SIZE
"""Bytes of a datagram beside the body of its only frame."""
SMALLEST_PROBE: int = OVERHEAD + _PROBE.size
"""Bytes of a datagram with a probe that has no padding."""


def encode_probe(number: int, size: int) -> tuple[bytes, bytes]:
    """The body of a probe in a datagram of ``size`` bytes, in two parts, of which the second is padding. ValueError for
    a datagram that is too small."""
    if size < SMALLEST_PROBE:
        raise ValueError(f"a probe takes {SMALLEST_PROBE} bytes at least, not {size}")
    return _PROBE.pack(PROBE_VERSION, size, number), bytes(size - SMALLEST_PROBE)


def encode_answer(number: int, size: int) -> bytes:
    """The body of the answer to this probe."""
    return _PROBE.pack(PROBE_VERSION, size, number)


def decode_probe(kind: int, group: int, body: bytes | memoryview, size: int) -> tuple[int, int]:
    """(number, size) in either's body; ``kind`` and ``group`` are the frame's, ``size`` the datagram's. DecodeError."""
    if group:
        raise DecodeError(f"a probe of group {group}: it is of none")
    if len(body) < _PROBE.size:
        raise DecodeError(f"{len(body)} bytes where a probe and its answer need {_PROBE.size}")
    version, told, number = _PROBE.unpack_from(body)
    if version != PROBE_VERSION or number == 0 or told < SMALLEST_PROBE:
        raise DecodeError(f"probe {number} of {told} bytes, version {version}: no such thing is known")
    padding = bytes(body[_PROBE.size :])
    if kind == FRAME_PROBE_ANSWER:
        if padding:
            raise DecodeError(f"{len(padding)} bytes behind the answer to a probe")
    elif told != size or len(body) != size - OVERHEAD:
        raise DecodeError(f"a probe of {told} bytes in a datagram of {size}")
    if padding.count(0) != len(padding):
        raise DecodeError("a probe holds something else than zeros")
    return number, told
