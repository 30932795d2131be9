"""The hello frame: what a node tells its peers about itself, beside Raft.

    byte 0      version, 1
    byte 1      length of the HTTP address, 0 when the node serves none
    then        the HTTP address, ASCII, ``host:port`` or ``https://host:port``
    then        nothing yet; a reader passes over what a later version puts here

A transport frame stands first in its datagram, so that looking for one costs a single comparison.
"""

from __future__ import annotations

from raftcore.codec import FRAME_TRANSPORT
from raftcore.errors import ConfigError, DecodeError
from raftpy.transport.http_address import parse_http_address

FRAME_HELLO: int = FRAME_TRANSPORT
"""Kind of the frame, the first of the transport's; the core passes over those."""
VERSION = 1
MAX_ADDRESS = 255


def encode_hello(http_address: str) -> bytes:
    """The frame's body. Raises ``ConfigError`` for an address that peers would refuse."""
    body = (str(parse_http_address(http_address)) if http_address else "").encode("ascii")
    if len(body) > MAX_ADDRESS:
        raise ConfigError(f"HTTP address of {len(body)} bytes is too long: at most {MAX_ADDRESS} are allowed")
    return bytes((VERSION, len(body))) + body


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
