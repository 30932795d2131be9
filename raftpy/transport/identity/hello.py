"""The hello frame: what a node tells its peers about itself, beside Raft.

    byte 0      version, 1
    byte 1      length of the HTTP address, 0 when the node serves none
    then        the HTTP address, ASCII, ``host:port`` or ``https://host:port``
    then        records: one byte kind, one byte length, as many bytes; a reader passes over kinds that it does not
                know, and over what is no record

    kind 1      the sender is quarantined in a group: group, index, term, leader, leader_term, current_term, each u64
                (the last five are the fields of raftcore.Conflict); one record for each such group, by ascending id
    kind 2      standing (u8, raftpy.contracts.types.Standing); asks (u64), the number of a question for the
    receiver's
                standing, 0: none; answers (u64), the newest number that the receiver has asked, 0: none
    kind 3      the sender puts messages together from fragments: room (u64), bytes of the receiver's messages at a
                time; burst (u64), bytes that its socket holds for the receiver while it does not read; each 1 to 2**32
    kind 4      the sender answers probes of the path: u32, bytes of the largest datagram that it takes, not 0
    kind 5      the sender takes lanes: u32, messages of one that may be under way to it at a time, not 0
    kind 6      the sender makes up for lost fragments by parities: u32, datagrams in a group of which the last is one

A hello that asks is answered by a hello that does not, so questions and answers end. A transport frame stands first in
its datagram, so that looking for one costs a single comparison.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from struct import Struct

from raftcore.base.conflict import Conflict
from raftcore.base.errors import ConfigError, DecodeError
from raftcore.wire.codec import DATAGRAM_HEADER_SIZE, FRAME_HEADER_SIZE, FRAME_TRANSPORT
from raftpy.contracts.types import MAX_ADDRESS, Standing
from raftpy.transport.exchange.http_address import parse_http_address
from raftpy.transport.exchange.sizes import SMALLEST_DATAGRAM

FRAME_HELLO: int = FRAME_TRANSPORT
"""Kind of the frame, the first of the transport's; the core passes over those."""
HELLO_VERSION = 1

QUARANTINED = 1
STANDING = 2
TAKES = 3
PROBES = 4
LANES = 5
PARITY = 6
_CONFLICT = Struct("<6Q")
_STANDING = Struct("<BQQ")
_TAKES = Struct("<QQ")
_PROBES = Struct("<I")
_LANES = Struct("<I")
_PARITY = Struct("<I")
MOST_TAKEN = 1 << 32
"""The largest room and burst there are: more than any node has, and little enough to be reckoned with in 64 bits."""
SMALLEST_ROOM: int = SMALLEST_DATAGRAM - DATAGRAM_HEADER_SIZE - FRAME_HEADER_SIZE
"""Bytes that a hello's body may take in a datagram of any size."""
_STANDINGS = {int(standing): standing for standing in Standing}


@dataclass(frozen=True, slots=True)
class Takes:
    """What a node takes in fragments of messages from each peer."""

    room: int
    """Bytes of messages that are put together at a time, 1 to ``MOST_TAKEN``."""
    burst: int
    """Bytes that its socket holds for the peer while it does not read, 1 to ``MOST_TAKEN``."""


@dataclass(frozen=True, slots=True)
class Hello:
    """What a hello frame says; None where the sender does not say it."""

    http_address: str = ""
    """``host:port`` or ``https://host:port``; empty: it serves none."""
    standing: Standing | None = None
    """How far the sender has come."""
    asks: int = 0
    """Number of its question for the receiver's standing, 0 for none."""
    answers: int = 0
    """The newest number that the receiver has asked, 0 for none."""
    conflicts: Mapping[int, Conflict] = field(default_factory=dict)
    """Why the sender is quarantined: group id to conflict, for each group that it is in quarantine in."""
    takes: Takes | None = None
    """What it takes in fragments; None: it knows none."""
    probes: int = 0
    """Bytes of the largest datagram that it takes, and that it answers probes; 0: it does not say so."""
    lanes: int = 0
    """Messages of a lane that it takes at a time; 0: it does not say that it knows lanes."""
    parity: int = 0
    """Datagrams in a group of which it makes up for one; 0: it does not say that it does."""


def encode_hello(hello: Hello, room: int = SMALLEST_ROOM) -> bytes:
    """The frame's body, of ``room`` bytes at most: of the conflicts it tells as many as fit, by ascending group id.

    One always fits. Raises ``ConfigError`` for an address that peers would refuse.
    """
    body = (str(parse_http_address(hello.http_address)) if hello.http_address else "").encode("ascii")
    if len(body) > MAX_ADDRESS:
        raise ConfigError(f"HTTP address of {len(body)} bytes is too long: at most {MAX_ADDRESS} are allowed")
    told = bytes((HELLO_VERSION, len(body))) + body
    if hello.standing is not None:
        told += bytes((STANDING, _STANDING.size)) + _STANDING.pack(hello.standing, hello.asks, hello.answers)
    if hello.takes is not None:
        told += bytes((TAKES, _TAKES.size)) + _TAKES.pack(hello.takes.room, hello.takes.burst)
    if hello.probes:
        told += bytes((PROBES, _PROBES.size)) + _PROBES.pack(hello.probes)
    if hello.lanes:
        told += bytes((LANES, _LANES.size)) + _LANES.pack(hello.lanes)
    if hello.parity:
        told += bytes((PARITY, _PARITY.size)) + _PARITY.pack(hello.parity)
    for group, c in sorted(hello.conflicts.items())[: (room - len(told)) // (2 + _CONFLICT.size)]:
        record = _CONFLICT.pack(group, c.index, c.term, c.leader, c.leader_term, c.current_term)
        told += bytes((QUARANTINED, len(record))) + record
    return told


def decode_hello(body: bytes | memoryview) -> Hello:
    """What the frame says; of two records that say the same kind of thing, of one group, the first counts.

    Raises ``DecodeError``. The address is checked as strictly as one of our own: it ends up in HTTP headers.
    """
    raw = bytes(body)
    if len(raw) < 2 or raw[0] != HELLO_VERSION:
        raise DecodeError(f"hello frame of {len(raw)} bytes is not of version {HELLO_VERSION}")
    if len(raw) < 2 + raw[1]:
        raise DecodeError(f"hello frame announces {raw[1]} bytes of address and holds {len(raw) - 2}")
    try:
        http_address = raw[2 : 2 + raw[1]].decode("ascii")
        if http_address:
            http_address = str(parse_http_address(http_address))
    except ValueError as error:
        raise DecodeError(f"hello frame holds no address: {error}") from None
    return _with_records(http_address, raw[2 + raw[1] :])


def _with_records(http_address: str, records: bytes) -> Hello:
    standing, asks, answers, takes, probes, lanes, parity, at = None, 0, 0, None, 0, 0, 0, 0
    conflicts: dict[int, Conflict] = {}
    while at + 2 <= len(records):
        kind, record = records[at], records[at + 2 : at + 2 + records[at + 1]]
        if kind == QUARANTINED and len(record) == _CONFLICT.size:
            group, *fields = _CONFLICT.unpack(record)
            conflicts.setdefault(group, Conflict(*fields))
        elif kind == STANDING and standing is None and len(record) == _STANDING.size and record[0] in _STANDINGS:
            number, asks, answers = _STANDING.unpack(record)
            standing = _STANDINGS[number]
        elif kind == TAKES and takes is None and len(record) == _TAKES.size:
            room, burst = _TAKES.unpack(record)
            takes = Takes(room, burst) if 0 < room <= MOST_TAKEN and 0 < burst <= MOST_TAKEN else None
        elif kind == PROBES and not probes and len(record) == _PROBES.size:
            (probes,) = _PROBES.unpack(record)
        elif kind == LANES and not lanes and len(record) == _LANES.size:
            (lanes,) = _LANES.unpack(record)
        elif kind == PARITY and not parity and len(record) == _PARITY.size:
            (parity,) = _PARITY.unpack(record)
        at += 2 + records[at + 1]
    return Hello(http_address, standing, asks, answers, conflicts, takes, probes, lanes, parity)
