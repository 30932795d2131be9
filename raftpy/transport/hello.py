"""The hello frame: what a node tells its peers about itself, beside Raft.

    byte 0      version, 1
    byte 1      length of the HTTP address, 0 when the node serves none
    then        the HTTP address, ASCII, ``host:port`` or ``https://host:port``
    then        records: one byte kind, one byte length, as many bytes; a reader passes over kinds that it does not
                know, and over what is no record

    kind 1      the sender is quarantined: group, index, term, leader, leader_term, current_term, each u64 (the fields
                of raftcore.Conflict)

A transport frame stands first in its datagram, so that looking for one costs a single comparison.
"""

from __future__ import annotations

from struct import Struct

from raftcore.codec import FRAME_TRANSPORT
from raftcore.conflict import Conflict
from raftcore.errors import ConfigError, DecodeError
from raftpy.transport.http_address import parse_http_address

FRAME_HELLO: int = FRAME_TRANSPORT
"""Kind of the frame, the first of the transport's; the core passes over those."""
VERSION = 1
MAX_ADDRESS = 255

QUARANTINED = 1
_CONFLICT = Struct("<6Q")


def encode_hello(http_address: str, conflict: Conflict | None = None, group: int = 0) -> bytes:
    """The frame's body; ``conflict``: why the sender is quarantined in ``group``.

    Raises ``ConfigError`` for an address that peers would refuse.
    """
    body = (str(parse_http_address(http_address)) if http_address else "").encode("ascii")
    if len(body) > MAX_ADDRESS:
        raise ConfigError(f"HTTP address of {len(body)} bytes is too long: at most {MAX_ADDRESS} are allowed")
    hello = bytes((VERSION, len(body))) + body
    if conflict is None:
        return hello
    c = conflict
    record = _CONFLICT.pack(group, c.index, c.term, c.leader, c.leader_term, c.current_term)
    return hello + bytes((QUARANTINED, len(record))) + record


def decode_hello(body: bytes | memoryview) -> str:
    """The HTTP address, empty when there is none.

    Raises ``DecodeError``. The address is checked as strictly as one of our own: it ends up in HTTP headers.
    """
    raw = bytes(body)
    if len(raw) < 2 or raw[0] != VERSION:
        raise DecodeError(f"hello frame of {len(raw)} bytes is not of version {VERSION}")
    if len(raw) < 2 + raw[1]:
        raise DecodeError(f"hello frame announces {raw[1]} bytes of address and holds {len(raw) - 2}")
    try:
        http_address = raw[2 : 2 + raw[1]].decode("ascii")
        if http_address:
            http_address = str(parse_http_address(http_address))
    except ValueError as error:
        raise DecodeError(f"hello frame holds no address: {error}") from None
    return http_address


def decode_conflict(body: bytes | memoryview, group: int = 0) -> Conflict | None:
    """Why the sender is quarantined in ``group``; None: it is not. :func:`decode_hello` has read the body."""
    raw = bytes(body)
    at = 2 + raw[1]
    while at + 2 <= len(raw):
        kind, record = raw[at], raw[at + 2 : at + 2 + raw[at + 1]]
        if kind == QUARANTINED and len(record) == _CONFLICT.size and _CONFLICT.unpack(record)[0] == group:
            return Conflict(*_CONFLICT.unpack(record)[1:])
        at += 2 + raw[at + 1]
    return None
